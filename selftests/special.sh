#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Special cases of delegated connections: each continues over Linux with correct data and
# leaves nothing behind.
# timeout: 900

. ./lib.sh

serve
delegate_at_once

quiet()
{
	check "$1: no connections left" within 15 is connections 0
}

# All ways to end a connection; urgent data; socket options.
for finish in close shutdown reset disconnect server; do
	check "finish by $finish" stream "$PEER4" -u 2M -d 2M --finish $finish
	quiet "finish by $finish"
done
check "urgent data each way" stream "$PEER4" -u 4M -d 4M --urgent
check "socket options during the transfer" stream "$PEER4" -u 8M -d 8M --options
quiet "socket options"

# returned_for REASON COUNT: whether COUNT connections returned for REASON; if not, prints the reasons
returned_for()
{
	at_least "$2" returned "$1" || { stats .returned; return 1; }
}

# disturb NAME REASON COMMAND...: runs COMMAND while a delegated connection carries data
disturb()
{
	local name=$1 reason=$2 before
	shift 2
	before=$(returned "$reason")
	carry "$PEER4"
	check "$name: a connection is delegated" within 5 is connections 1
	sleep 0.5
	check "$name: the commands succeed" "$@"
	check "$name: returned with reason $reason" within 5 returned_for "$reason" $((before + 1))
	carried "$name"
	quiet "$name"
}

down_and_up()
{
	ip link set toe0 down && sleep 0.2 && set_up
}

address()
{
	ip addr del 192.0.2.1/24 dev toe0 && within 5 is connections 0 && ip addr add 192.0.2.1/24 dev toe0
}

route()
{
	ip route add blackhole "$PEER4"/32 && within 5 is connections 0 && ip route del blackhole "$PEER4"/32
}

neighbour()
{
	ip neigh del "$PEER4" dev toe0 && ping -q -c 1 -W 2 "$PEER4"
}

switch_off()
{
	sysctl -qw net.toe.enable=0 && within 5 is connections 0 && sysctl -qw net.toe.enable=2
}

capture()
{
	# Frames with payload. Linux sees none while the adapter carries the connection.
	timeout 20 tcpdump -i toe0 -c 10 -w /dev/null "tcp port $PORT and greater 1000"
}

disturb "interface down" link-down down_and_up
# Linux removes the routes of an address before the address itself.
disturb "address removed" address,route address
disturb "route removed" route route
disturb "conn return" user toectl conn return --all
disturb "net.toe.enable 0" sysctl switch_off
disturb "capture" filter capture
disturb "packet filter" filter filter_output

# back_and_forth: returns a connection and hands it over, 10 times; whether Linux's retransmission timer
# has not fired, except once or twice on a busy machine
back_and_forth()
{
	local before timeouts
	before=$(mib TCPTimeouts)
	for _ in {1..10}; do
		toectl conn return --all >/dev/null && sleep 0.2 &&
			toectl conn offload --rport "$PORT" >/dev/null && sleep 0.2 || return
	done
	timeouts=$(($(mib TCPTimeouts) - before))
	echo "$timeouts timeouts"
	[ $timeouts -le 2 ]
}

# All that the window allows is in flight: a return has nothing new to send until an acknowledgement comes.
sysctl -qw net.toe.enable=1
toectl impair toe0 delay 200ms >/dev/null
carry "$PEER4" -u 128M -d 0 --rate 0
check "returns with data in flight: handed over" within 5 toectl conn offload --rport "$PORT"
check "returns with data in flight: no timeouts" back_and_forth
toectl impair toe0 off >/dev/null
carried "returns with data in flight"
quiet "returns with data in flight"
sysctl -qw net.toe.enable=2

# The function is unbound and bound, reset, and its driver removed.
slot=$(slot)

configure()
{
	name_toe0 "$slot" && set_up
}

rebind()
{
	echo "$slot" >/sys/bus/pci/drivers/toe/unbind &&
		echo "$slot" >/sys/bus/pci/drivers/toe/bind && configure
}

# survives NAME COMMAND...: like disturb; the connection may or may not return, and counters may
# disappear with the interface
survives()
{
	local name=$1
	shift
	carry "$PEER4"
	check "$name: a connection is delegated" within 5 is connections 1
	sleep 0.5
	check "$name: the commands succeed" "$@"
	carried "$name"
	quiet "$name"
}

survives "neighbour deleted" neighbour
survives "MTU changed" change_mtu
survives "function reset" reset_toe0
survives "driver unbound and bound" rebind

finish
