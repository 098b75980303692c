#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# toe0 as an ordinary network interface: Linux's own TCP, offloads on and off, MTU, down
# and up, ethtool.
# timeout: 600

. ./lib.sh

sysctl -qw net.toe.enable=0
serve

whole()
{
	stream "$1" -u 4M -d 4M
}

for peer in "$PEER4" $PEER6; do
	check "ping $peer" ping -q -c 3 -i 0.1 -W 5 "$peer"
	check "TCP both ways, $peer" whole "$peer"
done

check "rx checksums cannot be switched off" sh -c "ethtool -k toe0 | grep -q 'rx-checksumming: on \[fixed\]'"
for feature in tso tx gro; do
	check "$feature off" ethtool -K toe0 $feature off
	for peer in "$PEER4" $PEER6; do
		check "TCP with $feature off, $peer" whole "$peer"
	done
	check "$feature on" ethtool -K toe0 $feature on
done

# vlan NAME ID PROTOCOL UNDER PEER-UNDER: a VLAN on both sides, 198.18.ID.0/24
vlan()
{
	ip link add link "$4" name "$1" type vlan proto "$3" id "$2" &&
		peer ip link add link "$5" name "$1" type vlan proto "$3" id "$2" &&
		ip addr add "198.18.$2.1/24" dev "$1" && peer ip addr add "198.18.$2.2/24" dev "$1" &&
		ip link set "$1" up && peer ip link set "$1" up
}

check "802.1Q VLAN" vlan c4 4 802.1q toe0 "$(peer_dev)"
check "802.1ad VLAN" vlan s5 5 802.1ad toe0 "$(peer_dev)"
check "802.1Q VLAN in the 802.1ad VLAN" vlan c6 6 802.1q s5 s5
for id in 4 5 6; do
	check "TCP both ways, VLAN $id" whole "198.18.$id.2"
done
check "VLANs deleted" sh -c "ip link del c4; ip link del s5; peer ip link del c4; peer ip link del s5"
check "no resets" sh -c "ethtool -S toe0 | grep -q 'resets: 0$'"

in_background peer iperf3 -s -p 5301
check "iperf3, sending" within 10 iperf3 -c "$PEER4" -p 5301 -t 2
check "iperf3, receiving" iperf3 -c "$PEER4" -p 5301 -t 2 -R
check "iperf3, UDP" iperf3 -c "$PEER4" -p 5301 -t 2 -u -b 20M

for mtu in 1280 576 1500; do
	check "MTU $mtu" ip link set toe0 mtu $mtu
	[ $mtu -lt 1280 ] || check "TCP at MTU $mtu" whole "$PEER4"
done
restore
sysctl -qw net.toe.enable=0

before=$(cat /sys/class/net/toe0/statistics/rx_bytes)
for _ in 1 2 3; do
	check "interface down" ip link set toe0 down
	check "interface up" ip link set toe0 up
done
after=$(cat /sys/class/net/toe0/statistics/rx_bytes)
check "counters survive down and up" test $((after - before)) -ge 0 -a $((after - before)) -lt 100000
restore
sysctl -qw net.toe.enable=0
check "ping after down and up" within 10 ping -q -c 1 -W 1 "$PEER4"
check "TCP after down and up" whole "$PEER4"

check "ethtool -i names the driver" is sh -c "ethtool -i toe0 | sed -n 's/^driver: //p'" toe
for option in -k -l -g -c -S; do
	check "ethtool $option" ethtool $option toe0
done
before=$(cat /sys/class/net/toe0/statistics/rx_bytes)
check "4 MiB received" stream "$PEER4" -u 0 -d 4M
after=$(cat /sys/class/net/toe0/statistics/rx_bytes)
check "rx_bytes counts 4 MiB" test $((after - before)) -ge $((4 << 20)) -a $((after - before)) -lt $((5 << 20))
check "no receive errors" is cat /sys/class/net/toe0/statistics/rx_errors 0
check "no transmit errors" is cat /sys/class/net/toe0/statistics/tx_errors 0
check "nothing was delegated" is connections 0

finish
