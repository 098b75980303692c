#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The generic netlink family: JSON, events and errors of toectl, and the same with the
# kernel's own tool if its source is available.

. ./lib.sh

serve
delegate_at_once

# Start watching before the connection exists.
toectl -j watch >"$TEMP/events" &
background+=($!)
sleep 0.5
carry "$PEER4" -u 1M -d 1M --rate 0 --chunk 65536 --hold 600
check "a connection is delegated" within 3 is connections 1
# A socket gets its cookie on the first request.
ss -Htne dport = ":$PORT" >"$TEMP/ss"
toectl -j conn >"$TEMP/conn"
check "toectl -j conn lists it" jq -e '.[0] | .dev == "toe0" and (.remote | endswith(":5300"))
	and .state == "delegated" and .cookie != 0' "$TEMP/conn"
cookie=$(jq -r '.[0].cookie' "$TEMP/conn")
hex=$(printf %x "$cookie")
check "ss shows the same cookie" sh -c "ss -Htne dport = :$PORT | grep -q sk:$hex"
check "conn list finds it by cookie" sh -c "toectl -j conn list --cookie $hex | jq -e 'length == 1'"
check "conn list does not find it by another port" sh -c "toectl -j conn list --port 1 | jq -e 'length == 0'"
check "toectl conn prints a table" sh -c "toectl conn | grep -q ^toe0"
check "stats as JSON" sh -c "toectl -j stats | jq -e 'map(select(.dev == \"toe0\"))[0].connections == 1'"
check "stats as text" sh -c "toectl stats toe0 | grep -q 'handed over'"
check "conn return without a match fails" not toectl conn return --port 1
check "impair fails for an unknown interface" not toectl impair nosuch0 loss 1%
check "impair fails for lo" not toectl impair lo loss 1%
check "impair" toectl impair toe0 delay 1ms loss 0.1%
check "impair off" toectl impair toe0 off
carried "netlink"
check "the connection returned" within 5 is connections 0
check "watch prints both events" within 3 sh -c "jq -se 'map(.event) | index(\"delegated\") != null
	and index(\"returned\") != null' $TEMP/events"
check "conn return fails without CAP_NET_ADMIN" sh -c "! setpriv --reuid 65534 --clear-groups \
	--bounding-set=-all --inh-caps=-all toectl conn return --all"

# by_cli OPTION...: the kernel's command-line tool
by_cli()
{
	PYTHONDONTWRITEBYTECODE=1 python3 /usr/src/linux/tools/net/ynl/pyynl/cli.py --output-json \
		--spec ../Documentation/netlink/specs/toe.yaml \
		--schema /usr/src/linux/Documentation/netlink/genetlink.yaml "$@"
}
by_cli --dump stats-get >"$TEMP/ynl" 2>&1
check "ynl dumps the statistics" jq -e 'map(select(.ifindex != 0)) | length == 1 and .[0].delegated >= 1' "$TEMP/ynl"
by_cli --do impair-set --json "{\"ifindex\": $(cat /sys/class/net/toe0/ifindex), \"directions\": 3}" >"$TEMP/ynl" 2>&1
check "ynl sets impairment" is cat "$TEMP/ynl" null

finish
