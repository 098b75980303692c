#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A connection that a user took back stays with Linux until it is handed over by name; other
# connections are delegated meanwhile. To hand over what is delegated is no failure.
# timeout: 240

. ./lib.sh

serve
delegate_at_once

# mine: number of delegated connections among those of the first client
mine()
{
	toectl -j conn list --dev toe0 --port "$own" | jq length
}

carry "$PEER4"
check "it is delegated" within 5 is connections 1
own=$(toectl -j conn list --dev toe0 | jq -r '.[0].local | split(":") | last')
first=$client
check "to hand over what is delegated succeeds" toectl conn offload --rport "$PORT"
check "it stays delegated" is connections 1
check "conn return" toectl conn return --port "$own"
check "it is Linux's" within 2 is mine 0
# Longer than any delay of automatic delegation before the first failure.
sleep 7
check "it stays with Linux" is mine 0
carry "$PEER4"
check "another one is delegated" within 5 is connections 1
carried "the other one"
client=$first
check "still Linux's" is mine 0
check "handed over by name" within 3 toectl conn offload --port "$own"
check "delegated" is mine 1
check "filter" filter_output
check "automatic delegation takes it again" within 10 is mine 1
carried "taken back and handed over"
finish
