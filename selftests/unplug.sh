#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The function is unplugged and the module removed while a connection is delegated and a
# process sleeps in its write: the connection waits in Linux until the interface is back,
# and continues with correct data. So does one in legacy mode.
# topology: wire host
# timeout: 600

. ./lib.sh

serve
delegate_at_once
slot=$(slot)

configure()
{
	name_toe0 "$slot" && set_up && delegate_at_once
}

# cycle NAME REMOVE RESTORE: runs REMOVE and RESTORE while a process writes
cycle()
{
	local name=$1 client
	# One write of 16 MiB, more than any buffer holds and more than is transferred meanwhile: the
	# adapter disappears while the writer sleeps.
	check "$name: a slow port" toectl impair toe0 rate 40mbit
	toe-stream client "$PEER4" --port "$PORT" -u 24M -d 24M --rate 3M --chunk 16777216 \
		--receive recv >"$TEMP/client" &
	client=$!
	check "$name: a connection is delegated" within 5 is connections 1
	sleep 1
	[ -z "$special" ] || check "$name: legacy mode" within 10 at_least 10 counter toe_legacy_entered
	check "$name: removal" "$2"
	check "$name: no interface" within 10 test ! -e /sys/class/net/toe0
	sleep 1
	check "$name: restoration" "$3"
	check "$name: configured" configure
	check "$name: data correct" wait $client
	check "$name: no connections left" within 15 is connections 0
}

unplug()
{
	echo 1 >/sys/bus/pci/devices/"$slot"/remove
}

plug()
{
	echo 1 >/sys/bus/pci/rescan
}

unload()
{
	timeout 60 rmmod toe
}

load()
{
	insmod "$TOE_MODULE"
}

known=$(toectl -j stats | jq length)
for special in "" "legacy mode, "; do
	[ -z "$special" ] || odd "$UNKNOWN"
	cycle "${special}unplugged" unplug plug
	cycle "${special}module removed" unload load
	check "no reference to the removed adapter" is sh -c "toectl -j stats | jq length" "$known"
done
even

finish
