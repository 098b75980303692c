#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Queues, rings, receive storage and hash change under traffic: no connection is lost,
# all data is correct, settings are shown as set, and refused requests change nothing.
# timeout: 600

. ./lib.sh

serve
start_ynl
delegate_at_once

# now OPTION NAME: present value of a setting that ethtool OPTION shows
now()
{
	ethtool "$1" toe0 | awk -F ':[ \t]*' -v name="$2" '/^Current/ { now = 1 } now && $1 == name { print tolower($2) }'
}

# change NAME COMMAND...: runs COMMAND while a delegated connection carries data
change()
{
	local name=$1
	shift
	carry "$PEER4"
	check "$name: a connection is delegated" within 5 is connections 1
	check "$name" "$@"
	check "$name: it is delegated again" within 5 is connections 1
	carried "$name"
	check "$name: no connections left" within 15 is connections 0
}

queues=$(now -l Combined)
rx=$(now -g RX) tx=$(now -g TX)
for count in 1 "$queues"; do
	change "$count queues" ethtool -L toe0 combined "$count"
	check "$count queues: shown" is now -l Combined "$count"
done
for entries in 64 8192 "$rx"; do
	change "rx $entries" ethtool -G toe0 rx "$entries"
	check "rx $entries: shown" is now -g RX "$entries"
done
for entries in 128 4096 "$tx"; do
	change "tx $entries" ethtool -G toe0 tx "$entries"
	check "tx $entries: shown" is now -g TX "$entries"
done
for split in off on; do
	change "tcp-data-split $split" ethtool -G toe0 tcp-data-split $split
	check "tcp-data-split $split: shown" is now -g "TCP data split" $split
done
check "tcp-data-split auto" ethtool -G toe0 tcp-data-split auto
for bytes in 0 1024 256; do
	change "hds-thresh $bytes" set_threshold $bytes
	check "hds-thresh $bytes: shown" is threshold $bytes
done

for setting in "equal 1" "weight 1 3" "default"; do
	# shellcheck disable=SC2086 # a list
	change "indirection $setting" ethtool -X toe0 $setting
done
key=$(ethtool -x toe0 | awk '/^RSS hash key/ { getline; print }')
change "another hash key" ethtool -X toe0 hkey "$(printf '%02x:' {1..39})ff"
change "former hash key" ethtool -X toe0 hkey "$key"
for kind in tcp4 tcp6; do
	change "$kind hashed by addresses" ethtool -N toe0 rx-flow-hash $kind sd
	change "$kind hashed by all" ethtool -N toe0 rx-flow-hash $kind sdfn
done
change "symmetric" ethtool -X toe0 xfrm symmetric-xor
check "symmetric: shown" sh -c "ethtool -x toe0 | grep -q 'symmetric-xor: on'"
change "symmetric off" ethtool -X toe0 xfrm none

# refuse COMMAND...
refuse()
{
	local before after
	before=$(ethtool -l toe0 && ethtool -g toe0 && ethtool -x toe0)
	check "refused: $*" not "$@"
	after=$(ethtool -l toe0 && ethtool -g toe0 && ethtool -x toe0)
	check "refused: $*: settings unchanged" test "$before" = "$after"
}

refuse ethtool -L toe0 combined $((queues + 1))
refuse ethtool -L toe0 combined 0
refuse ethtool -G toe0 rx 32
refuse ethtool -G toe0 rx 8193
refuse ethtool -G toe0 tx 64
refuse ethtool -G toe0 tx 4097
refuse set_threshold 1025
refuse ethtool -X toe0 equal $((queues + 1))

check "down" ip link set toe0 down
check "one queue while it is down" ethtool -L toe0 combined 1
check "small rings while it is down" ethtool -G toe0 rx 64 tx 128
set_up
check "TCP over one queue" stream "$PEER4" -u 4M -d 4M
check "all queues again" ethtool -L toe0 combined "$queues"
check "large rings again" ethtool -G toe0 rx "$rx" tx "$tx"
check "TCP over all queues" stream "$PEER4" -u 4M -d 4M

finish
