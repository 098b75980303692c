#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Settings of NAPI instances and of their interrupts survive a stop of the queue, and
# interrupts are deferred accordingly.
# timeout: 600

. ./lib.sh

start_ynl
index=$(cat /sys/class/net/toe0/ifindex)

# napi FILTER: filters the instances of toe0 with jq
napi()
{
	ynl netdev dump napi-get "{\"ifindex\": $index}" | jq -cr "sort_by(.id) | $1"
}

# set_napi SETTINGS: sets all instances; SETTINGS is a jq expression of the instance number
set_napi()
{
	local requests=() i
	for i in "${!ids[@]}"; do
		requests+=(napi-set "$(jq -c "{id: ${ids[$i]}} + $1" <<<"$i")")
	done
	ynl netdev "do" "${requests[@]}"
}

# settings: prints the settings of all instances and their interrupt affinities
settings()
{
	local irq
	napi 'map(del(.pid))'
	for irq in "${irqs[@]}"; do
		cat "/proc/irq/$irq/smp_affinity"
	done
}

# interrupts: number of interrupts of toe0
interrupts()
{
	local irq
	for irq in "${irqs[@]}"; do
		awk -v irq="$irq:" '$1 == irq { for (i = 2; $i ~ /^[0-9]+$/; i++) print $i }' /proc/interrupts
	done | awk '{ sum += $1 } END { print sum }'
}

serve
delegate_at_once

mapfile -t ids < <(napi '.[].id')
mapfile -t irqs < <(napi '.[].irq')
queues=${#ids[@]}
rx=$(ethtool -g toe0 | awk '/^Current/ { now = 1 } now && $1 == "RX:" { print $2 }')
check "one NAPI instance and interrupt per queue" test "$queues" = "${#irqs[@]}" -a "$queues" -gt 1

# Affinities other than the default.
masks=()
for i in "${!irqs[@]}"; do
	masks+=("$(cat "/proc/irq/${irqs[$i]}/smp_affinity")")
	echo $((1 << i % 2)) >"/proc/irq/${irqs[$i]}/smp_affinity"
done
check "napi-set on each instance" set_napi '{"defer-hard-irqs": (10 + .), "gro-flush-timeout": (200000 + .),
	"irq-suspend-timeout": (9000000 + .), "threaded": ["enabled", "disabled"][. % 2]}'
settings >"$TEMP/settings"
check "settings are reported" is sh -c "jq -c '.[1] | [.\"defer-hard-irqs\", .\"gro-flush-timeout\",
	.\"irq-suspend-timeout\", .threaded]' $TEMP/settings 2>/dev/null" '[11,200001,9000001,"disabled"]'

# outlives NAME COMMAND...
outlives()
{
	check "$1" "${@:2}"
	settings >"$TEMP/after"
	check "$1: settings unchanged" diff "$TEMP/settings" "$TEMP/after"
}

outlives "down and up" sh -c "ip link set toe0 down && ip link set toe0 up"
set_up
outlives "one queue, then all" sh -c "ethtool -L toe0 combined 1 && ethtool -L toe0 combined $queues"
outlives "other ring size" sh -c "ethtool -G toe0 rx 64 && ethtool -G toe0 rx $rx"

# GRO holds frames while interrupts are deferred. The first completions of a connection must not
# overtake them.
check "interrupts deferred, 20 ms" set_napi '{"defer-hard-irqs": 1000, "gro-flush-timeout": 20000000,
	"irq-suspend-timeout": 0, "threaded": "disabled"}'
check "warm-up" stream "$PEER4" -u 1M -d 1M
before=$(interrupts)
check "data correct with deferral" stream "$PEER4" -u 4M -d 4M
deferred=$(($(interrupts) - before))
check "interrupts not deferred" set_napi '{"defer-hard-irqs": 0, "gro-flush-timeout": 0}'
check "warm-up" stream "$PEER4" -u 1M -d 1M
before=$(interrupts)
check "data correct without deferral" stream "$PEER4" -u 4M -d 4M
undeferred=$(($(interrupts) - before))
check "fewer interrupts when deferred ($deferred, $undeferred)" test $((deferred * 4)) -lt $undeferred

for i in "${!irqs[@]}"; do
	echo "${masks[$i]}" >"/proc/irq/${irqs[$i]}/smp_affinity"
done

finish
