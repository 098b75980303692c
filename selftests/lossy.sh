#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 50 connections carry data both ways for LOSSY_SECONDS, with loss, reordering and duplication in both
# directions and now and then a frame that only Linux's TCP can process: all of them stay delegated
# throughout, no byte is wrong, and hardly any goes through Linux's TCP.
# timeout: 7200

. ./lib.sh

LOSSY_SECONDS=${LOSSY_SECONDS:-600}
# Bytes per second on each connection, each way
RATE=$((48 << 10))
[ "$TOE_KERNEL" != debug ] || RATE=$((2 << 10))

serve
delegate_at_once

total=$((RATE * LOSSY_SECONDS))
delegated=$(stats .delegated) returned=$(returned_early) before=$(counter toe_rx_bytes)
toectl impair toe0 loss 1% reorder 1% duplicate 0.1% >/dev/null
odd "$SELDOM $UNKNOWN"
clients=()
for peer in "$PEER4" "$PEER6"; do
	carry "$peer" -c 25 -u $total -d $total --rate $RATE
	clients+=("$client")
done
check "50 connections are delegated" within 60 at_least $((delegated + 50)) stats .delegated
sleep $((LOSSY_SECONDS / 2))
check "50 connections are delegated after half the time" is connections 50
for client in "${clients[@]}"; do
	check "data correct" wait "$client"
done
even
toectl impair toe0 off >/dev/null
cat "$TEMP/carried"
check "none has returned" is returned_early "$returned"
check "no connections left" within 15 is connections 0
share=$((($(counter toe_rx_bytes) - before) * 100 / (50 * total)))
echo "# $share % were delivered directly"
check "95 % are delivered directly" [ $share -ge 95 ]

finish
