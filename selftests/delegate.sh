#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Connections are handed over by TCP_ULP, by policy and by command, over IPv4 and IPv6;
# the adapter carries them, all tools show them, and they return at their end.
# timeout: 1200

. ./lib.sh

serve

# MiB each way
SIZE=16
[ "$TOE_KERNEL" != debug ] || SIZE=2

# delivered: payload bytes carried by the adapter, both directions
delivered()
{
	stats '.sent + .received'
}

# moves PEER OPTION...: transfers SIZE each way, nearly all of it by the adapter
moves()
{
	local before
	before=$(delivered)
	stream "$1" -u ${SIZE}M -d ${SIZE}M "${@:2}" || return
	at_least $(((2 * SIZE - 1) << 20)) expr "$(delivered)" - "$before"
}

shows()
{
	local family=$1 peer=$2
	carry "$peer" -u 1M -d 1M --rate 0 --chunk 65536 --hold 600
	check "IPv$family: toectl lists the connection" within 5 sh -c 'toectl -j conn list --rport 5300 | jq -e "length == 1 and .[0].state == \"delegated\""'
	check "IPv$family: ss names the ULP" within 2 sh -c "ss -Htni dport = :$PORT | grep -q tcp-ulp-toe"
	check "IPv$family: TCP_INFO counts the bytes" within 5 sh -c \
		"ss -Htni dport = :$PORT | grep -Eq 'bytes_received:10485[0-9]+'"
	carried "IPv$family: held"
	check "IPv$family: it returned" within 5 is connections 0
}

for family in 4 6; do
	peer=PEER$family
	peer=${!peer}

	sysctl -qw net.toe.enable=1
	check "IPv$family: carried by TCP_ULP" moves "$peer" --ulp toe
	check "IPv$family: TCP_ULP was accepted" report '.ulp.attached == 1'
	before=$(stats .delegated)
	check "IPv$family: data correct without TCP_ULP" stream "$peer" -u 1M -d 1M
	check "IPv$family: not delegated without TCP_ULP" is stats .delegated "$before"

	delegate_at_once
	check "IPv$family: carried by policy" moves "$peer"
	# Linux's windows exceed what a header without window scaling can express.
	sysctl -qw net.ipv4.tcp_window_scaling=0
	check "IPv$family: carried without window scaling" moves "$peer"
	sysctl -qw net.ipv4.tcp_window_scaling=1
	shows $family "$peer"

	sysctl -qw net.toe.min_bytes=$((SIZE * 3 << 18))
	before=$(stats .delegated)
	check "IPv$family: below min_bytes: data correct" stream "$peer" -u 512K -d 512K
	check "IPv$family: below min_bytes: not delegated" is stats .delegated "$before"
	check "IPv$family: beyond min_bytes: data correct" stream "$peer" -u ${SIZE}M -d ${SIZE}M
	check "IPv$family: beyond min_bytes: delegated" at_least $((before + 1)) stats .delegated

	sysctl -qw net.toe.enable=1
	carry "$peer"
	sysctl -qw net.toe.enable=0
	within 5 sh -c "ss -Htn state established dport = :$PORT | grep -q ."
	check "IPv$family: toectl is refused while delegation is off" not toectl conn offload --rport "$PORT"
	sysctl -qw net.toe.enable=1
	check "IPv$family: toectl conn offload" within 3 toectl conn offload --rport "$PORT"
	check "IPv$family: it is delegated" within 3 is connections 1
	check "IPv$family: toectl conn return" toectl conn return --rport "$PORT"
	check "IPv$family: it is no longer delegated" within 3 is connections 0
	carried "IPv$family: offload and return"
done

check "toe_connections is 0" is counter toe_connections 0
finish
