#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One queue is restarted, with and without application memory, while the other runs: each
# failing allocation leaves it unchanged.
# topology: pair
# kernel: debug
# timeout: 900

. ./lib.sh

BESIDE=5301

sysctl -qw net.toe.enable=0
serve
start_ynl
in_background peer "$STREAM" server --port $BESIDE
threshold=$(threshold)
check "tcp-data-split on" ethtool -G toe0 tcp-data-split on
check "hds-thresh 0" set_threshold 0
check "rule to queue 1" ethtool -N toe0 flow-type tcp4 src-port "$PORT" action 1 loc 1
check "rule to queue 0" ethtool -N toe0 flow-type tcp4 src-port $BESIDE action 0 loc 0
can_fail
check "each failure in the restart of queue 1" python3 fail_bind.py 1 "${DENSITY:-4}" \
	"toe-stream client $PEER4 --port $BESIDE -u 256K -d 256K --rate 256K" \
	"timeout $(patience 10) toe-stream client $PEER4 --port $PORT -u 64K -d 64K"
cat "$TEMP/check"

for location in 0 1; do
	check "rule $location deleted" ethtool -N toe0 delete $location
done
check "hds-thresh restored" set_threshold "$threshold"
check "tcp-data-split auto" ethtool -G toe0 tcp-data-split auto
finish
