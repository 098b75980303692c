#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A connection is handed over and returned while a process is in a long write, in
# Linux's sendmsg() or in the shim's.
# timeout: 600

. ./lib.sh

serve
sysctl -qw net.toe.enable=1

# toggle CLIENT: hands its connection over and returns it until it ends
toggle()
{
	local times=0 end=$((SECONDS + $(patience 40)))
	while kill -0 "$1" 2>/dev/null; do
		[ $SECONDS -lt $end ] || {
			ss -tino "dport = :$PORT"
			peer ss -tino "sport = :$PORT"
			kill "$1"
			return 1
		}
		toectl conn offload --rport "$PORT" >/dev/null 2>&1 && times=$((times + 1))
		sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
		toectl conn return --rport "$PORT" >/dev/null 2>&1
	done
	[ $times -gt 0 ] || { echo "never handed over"; return 1; }
}

for peer in "$PEER4" $PEER6; do
	for round in 1 2 3 4 5 6; do
		toe-stream client "$peer" --port "$PORT" -u 24M -d 24M --chunk 16777216 --receive recv \
			--seed $round >"$TEMP/writer" &
		client=$!
		check "$peer: hand-overs and returns, round $round" toggle $client
		check "$peer: data correct, round $round" wait $client
	done
done

finish
