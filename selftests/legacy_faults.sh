#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What happens in the midst of legacy mode costs no data: Linux drops frames, the connection returns or
# is handed over, settings change, the function is reset.
# timeout: 1200

. ./lib.sh

serve
delegate_at_once

# shown STATE: whether `toectl conn list` shows a connection in this state
shown()
{
	toectl -j conn list --dev toe0 | jq -e "any(.state == \"$1\")"
}

# hoard: a connection over loopback holds 8 MiB that nobody reads. Each CPU keeps net.core.mem_pcpu_rsv
# pages before TCP's memory counts as used, at least 1 MiB: without this, no limit would be exceeded.
hoard()
{
	in_background python3 -c 'if True:
		import signal, socket
		SO_SNDBUFFORCE = 32
		server = socket.create_server(("127.0.0.1", 0))
		sender = socket.create_connection(server.getsockname())
		sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
		sender.setblocking(False)
		sender.send(bytes(8 << 20))
		signal.pause()'
}

# memory: pages that TCP uses
memory()
{
	awk '$1 == "TCP:" { print $NF }' /proc/net/sockstat
}

# unread: the bytes that $client has not read, more than the pages which TCP gives to every socket
unread()
{
	ss -tnH "dport = :$PORT" | awk '{ bytes += $2 } END { print bytes }'
}

# no_memory NAME PEER: without memory, Linux drops legacy frames as long as there is payload to read. The
# delay has many of them arrive before the peer knows; they do not fill the window before the limit is in
# force. The adapter asks until Linux is in step.
no_memory()
{
	local mem before
	mem=$(</proc/sys/net/ipv4/tcp_mem)
	toectl impair toe0 --direction ingress delay 500ms >/dev/null
	before=$(counter toe_legacy_entered)
	begin "$1" "$2" -u 0 -d 600K --rate 20K --chunk 1000
	odd "$UNKNOWN"
	check "$1: legacy mode" within 10 at_least $((before + 1)) counter toe_legacy_entered
	before=$(counter toe_legacy_refused)
	stall
	check "$1: payload to read" within 10 at_least 8000 unread
	echo "1 1 1" >/proc/sys/net/ipv4/tcp_mem
	check "$1: Linux drops frames" within 10 at_least $((before + 1)) counter toe_legacy_refused
	check "$1: toectl shows it" within 10 shown legacy
	echo "$mem" >/proc/sys/net/ipv4/tcp_mem
	even
	toectl impair toe0 off >/dev/null
	go_on
	end "$1"
}

hoard
check "TCP uses memory" within 10 at_least 2 memory
for peer in "$PEER4" "$PEER6"; do
	no_memory "no memory, $peer" "$peer"
done

options=(-c 2)

# both NAME COMMAND...: COMMAND succeeds while connections over IPv4 and IPv6 carry data
both()
{
	local peer client clients=()
	for peer in "$PEER4" "$PEER6"; do
		carry "$peer" "${options[@]}"
		clients+=("$client")
	done
	check "$1: delegated" within 5 at_least 4 connections
	check "$1" "${@:2}"
	for client in "${clients[@]}"; do
		carried "$1"
	done
	check "$1: no connections left" within 15 is connections 0
}

# special COMMAND...: COMMAND succeeds while all received frames are special
special()
{
	local before
	before=$(counter toe_legacy_entered)
	odd "$UNKNOWN"
	within 10 at_least $((before + 10)) counter toe_legacy_entered && "$@"
	local status=$?
	even
	return $status
}

channels()
{
	ethtool -L toe0 combined 1 && sleep 0.2 && ethtool -L toe0 combined 2
}

# Handed over while payload is missing, Linux holds the rest out of order.
hand_over_with_holes()
{
	local try before status
	before=$(counter toe_legacy_entered)
	toectl impair toe0 --direction ingress loss 5% reorder 5% >/dev/null
	for ((try = 0; try < 10; try++)); do
		toectl conn return --all >/dev/null
		sleep 0.05
		toectl conn offload --rport "$PORT" >/dev/null 2>&1
		sleep 0.1
	done
	at_least $((before + 1)) counter toe_legacy_entered
	status=$?
	toectl impair toe0 off >/dev/null
	return $status
}

both "return" special toectl conn return --all
both "packet filter" special filter_output
both "MTU changed" special change_mtu
both "queues changed" special channels
both "function reset" special reset_toe0
options+=(--rate 0)
both "hand-over with holes" hand_over_with_holes

odd "$UNKNOWN"
for finish in close shutdown reset; do
	check "finish by $finish" stream "$PEER4" -u 1M -d 1M --finish $finish
done
even
check "no connections left" within 15 is connections 0

finish
