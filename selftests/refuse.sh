#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A refused connection is unchanged, its errno and counter have the reason, and the
# transfer continues over Linux's own TCP.
# timeout: 600

. ./lib.sh

serve

# refused_for REASON: number over all interfaces, including refusals without an adapter
refused_for()
{
	toectl -j stats | jq "[.[].refused[\"$1\"] // 0] | add"
}

# refuses NAME ERRNO REASON PEER [OPTION...]
refuses()
{
	local name=$1 errno=$2 reason=$3 before
	before=$(refused_for "$reason")
	check "$name: data correct" stream "$4" -u 1M -d 1M --ulp toe "${@:5}"
	check "$name: $errno" report ".ulp.refused == {\"$errno\": 1}"
	check "$name: counted as $reason" at_least $((before + 1)) refused_for "$reason"
	check "$name: not delegated" is connections 0
}

sysctl -qw net.toe.enable=0
refuses "net.toe.enable 0" EPERM disabled "$PEER4"
sysctl -qw net.toe.enable=1

# An interface other than the adapter's.
in_background toe-stream server 127.0.0.1 --port "$PORT"
refuses "loopback" ENODEV no-device 127.0.0.1

old=$(sysctl -n net.ipv4.tcp_congestion_control)
sysctl -qw net.ipv4.tcp_congestion_control=reno
refuses "congestion control" EOPNOTSUPP congestion-control "$PEER4"
sysctl -qw net.ipv4.tcp_congestion_control="$old"

# Functions that would no longer see the frames.
nft add table inet toe_refuse
nft add chain inet toe_refuse input '{ type filter hook input priority 0; }'
refuses "packet filter" EOPNOTSUPP filter "$PEER4"
nft delete table inet toe_refuse

tcpdump -i toe0 -w /dev/null 2>"$TEMP/tcpdump" &
capture=$!
check "the capture runs" within 10 grep -q 'listening on' "$TEMP/tcpdump"
refuses "capture" EOPNOTSUPP filter "$PEER6"
kill $capture
wait $capture

tc qdisc add dev toe0 clsact
tc filter add dev toe0 egress matchall action ok
refuses "traffic control" EOPNOTSUPP filter "$PEER4"
tc qdisc del dev toe0 clsact

check "accepted again" stream "$PEER4" -u 1M -d 1M --ulp toe
check "TCP_ULP was accepted" report '.ulp.attached == 1'

finish
