#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No byte is lost or repeated: a connection over IPv4 and one over IPv6, in parallel, are
# each returned and handed over 100 times while they carry a known stream in both
# directions, with 1 % loss, reordering and duplication at the port. A rate limit makes the
# streams last; the rest runs at full speed.
# timeout: 1200

. ./lib.sh

ROUNDS=100
serve
sysctl -qw net.toe.enable=1

# toggle CLIENT PEER: returns the connection and hands it over repeatedly
toggle()
{
	local rounds=0 end=$((SECONDS + $(patience 180)))
	while kill -0 "$1" 2>/dev/null && [ $SECONDS -lt $end ] && [ $rounds -lt $ROUNDS ]; do
		toectl conn offload --rport "$PORT" --remote "$2" >/dev/null 2>&1 || { sleep 0.02; continue; }
		sleep "0.0$((RANDOM % 10))"
		toectl conn return --rport "$PORT" --remote "$2" >/dev/null 2>&1 && rounds=$((rounds + 1))
		sleep "0.0$((RANDOM % 5))"
	done
	[ $rounds -ge $ROUNDS ] || { echo "$rounds returns, wanted $ROUNDS"; return 1; }
}

peers=("$PEER4" "$PEER6")
check "impair the port" toectl impair toe0 loss 1% reorder 1% duplicate 1% seed 1
before=$(returned user)
clients=() togglers=()
for i in "${!peers[@]}"; do
	carry "${peers[i]}" -u 128M -d 128M --rate 256K
	clients[i]=$client
	toggle "${clients[i]}" "${peers[i]}" &
	togglers[i]=$!
done
for i in "${!peers[@]}"; do
	check "${peers[i]}: $ROUNDS returns in one connection" wait "${togglers[i]}"
done
check "impairment off" toectl impair toe0 off
for i in "${!peers[@]}"; do
	client=${clients[i]}
	carried "${peers[i]}"
done
check "the returns were counted" at_least $((before + 2 * ROUNDS * 9 / 10)) returned user
check "all connections returned" within 10 is connections 0

finish
