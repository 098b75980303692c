#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Receive rules and hash contexts: under traffic, a connection follows its frames to the
# processor of a rule, and frames dropped by a rule do not arrive.
# timeout: 600

. ./lib.sh

serve
delegate_at_once

# rule ARGUMENTS...: sets a rule
rule()
{
	ethtool -N toe0 flow-type "$@"
}

# on PROCESSOR: number of connections that it carries
on()
{
	ethtool -S toe0 | sed -n "s/^ *p$1_toe_connections: //p"
}

# drops: number of frames dropped by rules
drops()
{
	counter rx_rule_drops
}

reaches()
{
	ping -q -c 1 -W 1 "$1"
}

carry "$PEER4"
check "a connection is delegated" within 5 is connections 1
for processor in 1 0 1; do
	check "rule to processor $processor" rule tcp4 src-port "$PORT" action $processor loc 9
	check "the connection moves to processor $processor" within 5 is on $processor 1
done
check "rule at an earlier location to processor 0" rule ip4 src-ip "$PEER4" action 0 loc 3
check "the connection moves to processor 0" within 5 is on 0 1
check "earlier rule deleted" ethtool -N toe0 delete 3
check "the remaining rule applies" within 5 is on 1 1
check "a queue that a rule uses cannot be removed" not ethtool -L toe0 combined 1
check "ethtool -n lists the rule" sh -c "ethtool -n toe0 | grep -q 'Filter: 9'"
before=$(drops)
check "rule to drop the frames" rule tcp4 src-port "$PORT" action -1 loc 0
check "the connection returns" within 5 is connections 0
check "rx_rule_drops counts its frames" within 5 at_least $((before + 1)) drops
check "rule deleted" ethtool -N toe0 delete 0
carried "rules"

context=$(ethtool -X toe0 context new start 0 equal 1 | awk '{ print $NF }')
check "RSS context created" test "$context" -gt 0
check "rule to the context" rule tcp4 src-port "$PORT" context "$context" loc 9
carry "$PEER4"
check "a connection is delegated" within 5 is connections 1
check "the context's table applies" within 5 is on 0 1
check "a context that a rule uses cannot be deleted" not ethtool -X toe0 context "$context" delete
check "the context's table is changed" ethtool -X toe0 context "$context" start 1 equal 1
check "the connection moves to processor 1" within 5 is on 1 1
check "function reset" sh -c "echo 1 >/sys/bus/pci/devices/$(slot)/reset"
check "rule and context apply after the reset" within 20 is on 1 1
carried "contexts"
check "rule deleted" ethtool -N toe0 delete 9
check "context deleted" ethtool -X toe0 context "$context" delete

filtered=$(stats '.refused.filter // 0' || true)
check "rule for some frames of a connection" rule ip4 src-ip "$PEER4" tos 4 action 1
check "data correct" stream "$PEER4" -u 1M -d 1M
check "not delegated, refusal reason is filter" at_least $((filtered + 1)) stats '.refused.filter // 0'
check "ntuple off" ethtool -K toe0 ntuple off
check "no rules are listed" is sh -c "ethtool -n toe0 | sed -n 's/^Total \([0-9]*\) rules/\1/p'" 0
check "a rule is refused while off" not rule tcp4 src-port "$PORT" action 1
check "ntuple on" ethtool -K toe0 ntuple on

mac=$(ip neigh show "$PEER4" dev toe0 | awk '{ print $3 }')
for frames in "ip4 src-ip $PEER4 l4proto 1" "ether src $mac" "ether proto 0x800"; do
	# shellcheck disable=SC2086 # a list
	check "drop $frames" rule $frames action -1 loc 255
	check "no answer to ping" not reaches "$PEER4"
	check "rule deleted" ethtool -N toe0 delete 255
	check "ping" within 5 reaches "$PEER4"
done

for refused in "tcp4 src-port 1 action 2" "tcp4 src-port 1 action 1 loc 256" "sctp4 src-port 1 action 1" \
	"tcp4 src-port 1 user-def 1 action 1" "tcp4 src-port 1 vf 1 queue 1"; do
	# shellcheck disable=SC2086 # a list
	check "refused: $refused" not rule $refused
done
check "no rule is left" is sh -c "ethtool -n toe0 | sed -n 's/^Total \([0-9]*\) rules/\1/p'" 0

finish
