#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Odd, old and forged frames at 10,000 a second beside a stream: the connection stays delegated, all
# data is correct, and none of these frames causes legacy mode.
# timeout: 900

. ./lib.sh

serve
delegate_at_once

# Reasons for which such a frame could return a connection.
REASONS=out-of-order,option,window,gap,out-of-step,timeout,ecn,submission,reset,syn,fin,urgent,fragment

# streams PEER [OPTION...]: one stream after another until the flood ends
streams()
{
	while injecting; do
		stream "$@" || return
	done
}

# causes: entries into legacy mode by what the streams do not have: unknown options, and windows that stay
# closed. A busy machine loses frames of the streams, which is another cause.
causes()
{
	counter toe_legacy_option toe_legacy_window
}

# disturbed NAME PEER [OPTION...]: a flood of all kinds does not disturb such streams
disturbed()
{
	local name=$1 returned unacceptable causes
	returned=$(returned $REASONS)
	causes=$(causes)
	unacceptable=$(counter toe_unacceptable)
	inject 4 "${FORGED[@]}"
	check "$name: data correct" streams "${@:2}"
	check "$name: frames injected" injected
	echo "# $(cat "$TEMP/rate") frames a second"
	check "$name: not returned" is returned $REASONS "$returned"
	check "$name: the adapter rejects them" at_least $((unacceptable + 1000)) counter toe_unacceptable
	check "$name: none causes legacy mode" is causes "$causes"
}

for peer in "$PEER4" "$PEER6"; do
	disturbed "received, $peer" "$peer" -u 64k -d 16M
	disturbed "sent, $peer" "$peer" -u 16M -d 64k
done
check "no connections left" within 15 is connections 0

finish
