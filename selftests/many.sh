#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 1,000 connections at once, then 10,000 (CYCLES) in sequence: each exchanges correct data in both
# directions and releases everything at its end.
# timeout: 900

. ./lib.sh

AT_ONCE=1000
CYCLES=${CYCLES:-10000}
# The debug kernel is an order of magnitude slower.
[ "$TOE_KERNEL" != debug ] || CYCLES=1000

serve
delegate_at_once
ulimit -n 8192

before=$(stats .delegated)
carry "$PEER4" -c $AT_ONCE -u 128k -d 128k --rate 0 --chunk 65536 --hold 600
# A few may have returned, for example by a timeout on a busy machine, and have nothing more to send.
all_delegated()
{
	local now
	now=$(connections)
	[ "$now" -lt $((AT_ONCE * 9 / 10)) ] || toectl conn offload --rport "$PORT" >/dev/null 2>&1
	[ "$now" -eq $AT_ONCE ] || { echo "$now"; return 1; }
}
check "$AT_ONCE connections are delegated at once" within 120 all_delegated
carried "$AT_ONCE connections"
cat "$TEMP/carried"
check "all connections were delegated" at_least $((before + AT_ONCE)) stats .delegated
check "no connections left" within 20 is connections 0

before=$(stats .delegated)
export LIMIT=400
check "$CYCLES cycles of connect, transfer, close" stream "$PEER4" -n "$CYCLES" -c 8 -u 4k -d 4k
cat "$TEMP/report"
echo "# $(($(stats .delegated) - before)) of $CYCLES were handed over"
check "connections of the cycles are delegated" at_least $((before + 1)) stats .delegated
check "no connections left after the cycles" within 20 is connections 0
check "toe_connections is 0" within 5 is counter toe_connections 0
check "no sockets left" within 70 is sh -c "ss -Htan state established state close-wait state last-ack state fin-wait-1 dport = :$PORT | wc -l" 0

finish
