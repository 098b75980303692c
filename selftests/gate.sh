#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# While a packet filter sees the frames of all connections of an address family, automatic delegation
# does not try each of them again and again.
# timeout: 300

. ./lib.sh

CONNECTIONS=20

serve
delegate_at_once

refused()
{
	stats '.refused.filter // 0'
}

# shellcheck disable=SC2034
for family in ip ip6; do
	peer=$PEER4
	[ $family = ip ] || peer=$PEER6
	nft add table $family toe_test
	nft add chain $family toe_test output '{ type filter hook output priority 0; }'
	before=$(refused)
	toe-stream client "$peer" --port "$PORT" -c $CONNECTIONS -u 1M -d 1M --rate 16K --chunk 4096 >/dev/null &
	client=$!
	check "$family: tried" within 10 at_least $((before + 1)) refused
	sleep 12
	check "$family: no connection is tried twice" at_least "$(refused)" echo $((before + CONNECTIONS))
	check "$family: not delegated" is connections 0
	nft delete table $family toe_test
	check "$family: delegated without the filter" within 10 is connections $CONNECTIONS
	carried "$family"
	check "$family: no connections left" within 15 is connections 0
done

finish
