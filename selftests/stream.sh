#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No byte is lost or repeated: one connection is taken back and handed over again
# 100 times while it carries a known stream both ways, under 1 % loss, reordering
# and duplication at the port; IPv4 and IPv6.
# timeout: 600

. ./lib.sh

ROUNDS=100
serve
sysctl -qw net.toe.enable=1

toggle()
{
	local rounds=0 end=$((SECONDS + 200))
	while kill -0 "$1" 2>/dev/null && [ $SECONDS -lt $end ] && [ $rounds -lt $ROUNDS ]; do
		toectl conn offload --rport "$PORT" >/dev/null 2>&1 || { sleep 0.02; continue; }
		sleep "0.0$((RANDOM % 10))"
		toectl conn return --rport "$PORT" >/dev/null 2>&1 && rounds=$((rounds + 1))
		sleep "0.0$((RANDOM % 5))"
	done
	echo $rounds >"$TEMP/rounds"
	[ $rounds -ge $ROUNDS ] || { echo "$rounds returns, wanted $ROUNDS"; return 1; }
}

for peer in "$PEER4" $PEER6; do
	check "$peer: impair the port" toectl impair toe0 loss 1% reorder 1% duplicate 1% seed 1
	before=$(returned user)
	toe-stream client "$peer" --port "$PORT" -u 48M -d 48M --rate 1M >"$TEMP/stream" &
	client=$!
	check "$peer: $ROUNDS returns in one connection" toggle $client
	check "$peer: no more loss" toectl impair toe0 off
	check "$peer: every byte is right" wait $client
	cat "$TEMP/stream"
	check "$peer: the returns were counted" at_least $((before + ROUNDS * 9 / 10)) returned user
	check "$peer: it came back" within 10 is connections 0
done

finish
