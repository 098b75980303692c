#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux verifies the next hop of a delegated connection as if it sent the frames itself, keeps it in
# the neighbour table, and finds it again under another hardware address.
# topology: pair wire
# timeout: 240

. ./lib.sh

serve
delegate_at_once
default=net.ipv4.neigh.default
thresholds=$(sysctl "$default.gc_thresh1" "$default.gc_thresh2" "$default.gc_thresh3")
reachable=$(sysctl net.ipv4.neigh.toe0.base_reachable_time_ms net.ipv4.neigh.toe0.delay_first_probe_time)

restore_neighbours()
{
	sysctl -qp - <<<"$thresholds"
	sysctl -qp - <<<"$reachable"
	ip neigh flush dev toe0 to 192.0.2.128/25 2>/dev/null
	clean_up
}
trap restore_neighbours EXIT

# state: of the peer's entry
state()
{
	ip -j neigh show to "$PEER4" dev toe0 | jq -r '.[0].state[0]'
}

# is_peer: whether the entry has the peer's address
is_peer()
{
	is sh -c "ip -j neigh show to $PEER4 dev toe0 | jq -r '.[0].lladdr'" \
		"$(peer cat "/sys/class/net/$(peer_dev)/address")"
}

# keeps SECONDS STATE: whether the entry keeps STATE for SECONDS
keeps()
{
	local end=$((SECONDS + $1))
	while [ $SECONDS -lt $end ]; do
		is state "$2" || return
		sleep 0.5
	done
}

# Reachable for 2 to 6 seconds after a confirmation; the entry has to be used at all to get there.
sysctl -qw net.ipv4.neigh.toe0.base_reachable_time_ms=4000 net.ipv4.neigh.toe0.delay_first_probe_time=1
begin "verified" "$PEER4"
check "verified: becomes reachable" within 5 is state REACHABLE
check "verified: stays reachable" keeps 10 REACHABLE

# More entries than the table may have, of which those go that nobody holds.
sysctl -qw $default.gc_thresh1=1 $default.gc_thresh2=2 $default.gc_thresh3=4
for i in $(seq 130 150); do
	ip neigh replace "192.0.2.$i" lladdr 02:00:00:00:00:$((i - 100)) nud stale dev toe0
done 2>/dev/null
check "held: the entry stays" is_peer
sysctl -qp - <<<"$thresholds"
end "held"

# A wrong address.
carry "$PEER4"
check "another address: delegated" within 5 at_least 1 connections
ip neigh replace "$PEER4" lladdr 02:00:00:00:00:66 nud stale dev toe0
check "another address: Linux finds it" within 20 is_peer
carried "another address"

finish
