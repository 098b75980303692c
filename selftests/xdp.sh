#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Native XDP: programs are attached, replaced and detached under traffic; their actions are
# carried out; connections whose frames they would miss stay with Linux; afterwards toe0
# has its former settings.
# timeout: 600

. ./lib.sh

PROGRAMS=$TEMP/xdp.o
DEV=$(peer_dev)
# KiB of a stream, each way
SIZE=2048
[ "$TOE_KERNEL" != debug ] || SIZE=256

tidy()
{
	ip link set toe0 xdpdrv off promisc off mtu 1500
	peer ip link set "$DEV" mtu 1500
	peer ip link del xdp9
	ip addr del 198.18.9.1/32 dev toe0
	ip netns del xdp-far
	ip link del xdp-near
	ethtool -K toe0 rx-gro-hw on
} >/dev/null 2>&1
trap 'tidy; clean_up' EXIT

# attach PROGRAM [DEVICE]
attach()
{
	ip -force link set "${2:-toe0}" xdpdrv obj "$PROGRAMS" program "$1"
}

detach()
{
	ip link set "${1:-toe0}" xdpdrv off
}

features()
{
	ethtool -k toe0 | grep -v '^Features'
}

# counts NAME LEAST COMMAND...: COMMAND increases the counter by at least LEAST
counts()
{
	local name=$1 least=$2 before
	before=$(counter "$name")
	"${@:3}" || return
	at_least $((before + least)) counter "$name"
}

# moves PEER [OPTION...]: transfers SIZE each way
moves()
{
	stream "$1" -u ${SIZE}K -d ${SIZE}K "${@:2}"
}

sysctl -qw net.toe.enable=0
serve

ip netns add xdp-far
check "veth pair" ip link add xdp-near type veth peer name far netns xdp-far
clang -O2 -target bpf -Wall -I"/usr/include/$(uname -m)-linux-gnu" \
	-DTOE0="$(cat /sys/class/net/toe0/ifindex)" -DVETH="$(cat /sys/class/net/xdp-near/ifindex)" \
	-DPORT=5310 -c xdp.bpf.c -o "$PROGRAMS" || die "the programs cannot be compiled"

# Changes under traffic.

features >"$TEMP/features"
carry "$PEER4"
attached=0
for _ in {1..8}; do
	for program in pass pass_frags meta; do
		attach $program && attached=$((attached + 1))
	done
	sleep 0.2
	detach
	sleep 0.1
done
check "the transfer outlasts the changes" lasts
carried "programs attached and detached"
check "24 attachments succeed" is echo $attached 24
check "features are restored" diff "$TEMP/features" <(features)
for program in pass pass_frags meta; do
	check "$program is attached" attach $program
	for peer in "$PEER4" $PEER6; do
		check "$program: TCP, $peer" counts rx_xdp_packets 100 moves "$peer"
	done
done
check "interface down" ip link set toe0 down
check "interface up" set_up
check "the program is attached after down and up" within 10 counts rx_xdp_packets 1 ping -q -c 1 -W 1 "$PEER4"
queues=$(ethtool -l toe0 | awk '/^Combined/ { n = $2 } END { print n }')
check "one queue" ethtool -L toe0 combined 1
check "the program is attached with one queue" within 10 counts rx_xdp_packets 1 ping -q -c 1 -W 1 "$PEER4"
check "all queues" ethtool -L toe0 combined "$queues"
check "TCP over all queues" within 10 counts rx_xdp_packets 100 moves "$PEER4"
detach

# Settings that conflict with programs.

gro()
{
	ethtool -k toe0 | sed -n 's/^rx-gro-hw: //p'
}
check "hardware GRO is on" is gro on
attach pass_frags
check "hardware GRO is off with a program" is gro "off [requested on]"
detach
check "hardware GRO is on again" is gro on
ethtool -K toe0 rx-gro-hw off
attach pass_frags
detach
check "hardware GRO that was off stays off" is gro off
attach pass_frags
ethtool -K toe0 rx-gro-hw on
check "hardware GRO requested with a program stays off" is gro "off [requested on]"
detach
check "hardware GRO is on after detaching" is gro on

# Delegated connections.

delegate_at_once
before=$(returned filter)
carry "$PEER4"
check "a connection is delegated" within 5 is connections 1
check "a program is attached" attach pass_frags
check "the connection returns at once" within 1 is connections 0
check "return reason is filter" at_least $((before + 1)) returned filter
carried "returned connection"
refused()
{
	stats '.refused.filter // 0' || true
}
before=$(refused)
check "data correct with a program" moves "$PEER4" --ulp toe
check "TCP_ULP is refused with a program" report '.ulp.refused == {"EOPNOTSUPP": 1}'
check "refusal reason is filter" at_least $((before + 1)) refused
check "not delegated" is connections 0
detach
check "data correct without a program" moves "$PEER4" --ulp toe
check "delegated without a program" report '.ulp.attached == 1'
sysctl -qw net.toe.enable=0

# Actions of programs.

attach drop_icmp
check "XDP_DROP" counts rx_xdp_drops 3 not ping -q -c 3 -i 0.1 -W 0.2 "$PEER4"
check "other frames pass" moves "$PEER4"
attach abort_icmp
check "XDP_ABORTED" counts rx_xdp_errors 3 not ping -q -c 3 -i 0.1 -W 0.2 "$PEER4"

attach echo
for size in 16 400 1400; do
	check "XDP_TX, $size bytes" counts rx_xdp_tx 5 peer ping -q -c 5 -i 0.1 -W 5 -s $size 192.0.2.1
done
check "tx_xdp_packets counts XDP_TX" counts tx_xdp_packets 5 peer ping -q -c 5 -i 0.1 -W 5 192.0.2.1

# lengths: sends datagrams of 100, 1000 and 1400 bytes, prints the received lengths
lengths()
{
	local size
	for size in 100 1000 1400; do
		: >"$TEMP/datagram"
		socat -u UDP4-RECV:5310,reuseaddr "OPEN:$TEMP/datagram" &
		local receiver=$!
		within 10 sh -c 'ss -Hunl sport = :5310 | grep -q .' || return
		# shellcheck disable=SC2016 # its own
		peer bash -c 'head -c '$size' /dev/zero >/dev/udp/192.0.2.1/5310' || return
		within 2 test -s "$TEMP/datagram"
		kill $receiver
		wait $receiver 2>/dev/null
		stat -c %s "$TEMP/datagram"
	done | xargs
}
check "datagram lengths unchanged" is lengths "100 1000 1400"
attach cut
check "bpf_xdp_adjust_tail shrinks" is lengths "96 996 1396"
attach grow
check "bpf_xdp_adjust_tail grows" is lengths "356 1256 1656"
detach

# untagged: whether a datagram sent in the VLAN arrives without a tag
untagged()
{
	: >"$TEMP/datagram"
	socat -u UDP4-RECV:5311,reuseaddr "OPEN:$TEMP/datagram" &
	local receiver=$!
	within 10 sh -c 'ss -Hunl sport = :5311 | grep -q .' &&
		peer bash -c 'echo tagged >/dev/udp/198.18.9.1/5311' && within 2 grep -q tagged "$TEMP/datagram"
	local result=$?
	kill $receiver
	wait $receiver 2>/dev/null
	return $result
}
# The adapter strips the tag; a program finds it in the frame. Not every machine's kernel has VLANs.
if peer ip link add link "$DEV" name xdp9 type vlan id 9 2>/dev/null; then
	peer ip link set xdp9 up
	peer ip addr add 198.18.9.2/24 dev xdp9
	ip addr add 198.18.9.1/32 dev toe0
	peer ip neigh replace 198.18.9.1 lladdr "$(cat /sys/class/net/toe0/address)" dev xdp9
	attach untag
	check "the tag is in the frame, bpf_xdp_adjust_head removes it" untagged
	attach pass_frags
	check "the tag stays on with another program" not untagged
	ip link add link toe0 name xdp9 type vlan id 9
	ip addr del 198.18.9.1/32 dev toe0
	ip addr add 198.18.9.1/24 dev xdp9
	ip link set xdp9 up
	check "TCP in a VLAN with a program" moves 198.18.9.2
	ip link del xdp9
	peer ip link del xdp9
	detach
fi

# All received frames are redirected to the veth pair, whose frames leave through toe0.
ip netns exec xdp-far ethtool -K far tx off tso off gso off gro on >/dev/null
ip netns exec xdp-far ip link set far up
ip link set xdp-near up
ip netns exec xdp-far ip addr add 192.0.2.9/24 dev far
ip link set toe0 promisc on
check "redirect to veth" attach redirect_to_veth
check "redirect to toe0" attach redirect_to_toe0 xdp-near
check "ping through redirects" within 10 ip netns exec xdp-far ping -q -c 3 -i 0.1 -W 2 "$PEER4"
redirected()
{
	ip netns exec xdp-far timeout "$(patience 60)" toe-stream client "$PEER4" --port "$PORT" \
		-u ${SIZE}K -d ${SIZE}K
}
check "rx_xdp_redirects counts a stream" counts rx_xdp_redirects 100 redirected
check "tx_xdp_packets counts a stream" counts tx_xdp_packets 100 redirected
detach xdp-near
detach
ip link set toe0 promisc off
check "TCP after detaching" within 10 moves "$PEER4"

# Large frames.

check "MTU 9000" ip link set toe0 mtu 9000
check "a single-buffer program is refused" not attach pass
check "the refusal has an extack message" sh -c "ip link set toe0 xdpdrv obj $PROGRAMS program pass 2>&1 | grep -q 'MTU too large'"
check "a multi-buffer program is accepted" attach pass_frags
check "replacing it by a single-buffer program is refused" not attach pass
if peer ip link set "$DEV" mtu 9000; then
	check "TCP at MTU 9000" counts rx_xdp_packets 20 moves "$PEER4"
	check "ping of 8000 bytes" ping -q -c 3 -i 0.1 -W 5 -s 8000 "$PEER4"
	attach echo
	check "XDP_TX, 8000 bytes" counts rx_xdp_tx 3 peer ping -q -c 3 -i 0.1 -W 5 -s 8000 192.0.2.1
fi
detach
check "MTU 1500" ip link set toe0 mtu 1500
peer ip link set "$DEV" mtu 1500
check "a single-buffer program is accepted" attach pass
check "MTU 9000 is refused with it" not ip link set toe0 mtu 9000
detach
check "features are restored" diff "$TEMP/features" <(features)

# rebind: unbinds the driver from toe0's function and binds it again
rebind()
{
	local slot
	slot=$(slot)
	echo "$slot" >/sys/bus/pci/drivers/toe/unbind &&
		echo "$slot" >/sys/bus/pci/drivers/toe/bind && name_toe0 "$slot" && set_up
}
attach pass_frags
check "unbind with a program, and bind" rebind
check "no program is attached after binding" not sh -c "ip link show toe0 | grep -q xdp"
check "TCP after binding" within 10 moves "$PEER4"
check "no resets" sh -c "ethtool -S toe0 | grep -q 'resets: 0$'"

finish
