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
	check "a rule names processor $processor" rule tcp4 src-port "$PORT" action $processor loc 9
	check "the connection follows to $processor" within 5 is on $processor 1
done
check "an earlier rule names processor 0" rule ip4 src-ip "$PEER4" action 0 loc 3
check "it counts" within 5 is on 0 1
check "the earlier rule goes" ethtool -N toe0 delete 3
check "the later one counts" within 5 is on 1 1
check "its queue stays" not ethtool -L toe0 combined 1
check "rules are shown" sh -c "ethtool -n toe0 | grep -q 'Filter: 9'"
before=$(drops)
check "a rule drops the frames" rule tcp4 src-port "$PORT" action -1 loc 0
check "the connection comes back" within 5 is connections 0
check "its frames are dropped" within 5 at_least $((before + 1)) drops
check "the rule goes" ethtool -N toe0 delete 0
carried "rules"

context=$(ethtool -X toe0 context new start 0 equal 1 | awk '{ print $NF }')
check "a context" test "$context" -gt 0
check "a rule names it" rule tcp4 src-port "$PORT" context "$context" loc 9
carry "$PEER4"
check "a connection is delegated" within 5 is connections 1
check "its table counts" within 5 is on 0 1
check "the context is in use" not ethtool -X toe0 context "$context" delete
check "another table" ethtool -X toe0 context "$context" start 1 equal 1
check "it counts" within 5 is on 1 1
check "a reset" sh -c "echo 1 >/sys/bus/pci/devices/$(slot)/reset"
check "rule and context are as they were" within 20 is on 1 1
carried "contexts"
check "the rule goes" ethtool -N toe0 delete 9
check "the context goes" ethtool -X toe0 context "$context" delete

filtered=$(stats '.refused.filter // 0' || true)
check "a rule for some frames only" rule ip4 src-ip "$PEER4" tos 4 action 1
check "a connection" stream "$PEER4" -u 1M -d 1M
check "it is Linux's" at_least $((filtered + 1)) stats '.refused.filter // 0'
check "rules off" ethtool -K toe0 ntuple off
check "there are none" is sh -c "ethtool -n toe0 | sed -n 's/^Total \([0-9]*\) rules/\1/p'" 0
check "none can be set" not rule tcp4 src-port "$PORT" action 1
check "rules on" ethtool -K toe0 ntuple on

mac=$(ip neigh show "$PEER4" dev toe0 | awk '{ print $3 }')
for frames in "ip4 src-ip $PEER4 l4proto 1" "ether src $mac" "ether proto 0x800"; do
	# shellcheck disable=SC2086 # a list
	check "drop $frames" rule $frames action -1 loc 255
	check "no answer" not reaches "$PEER4"
	check "no rule" ethtool -N toe0 delete 255
	check "an answer" within 5 reaches "$PEER4"
done

for refused in "tcp4 src-port 1 action 2" "tcp4 src-port 1 action 1 loc 256" "sctp4 src-port 1 action 1" \
	"tcp4 src-port 1 user-def 1 action 1" "tcp4 src-port 1 vf 1 queue 1"; do
	# shellcheck disable=SC2086 # a list
	check "refused: $refused" not rule $refused
done
check "no rule is left" is sh -c "ethtool -n toe0 | sed -n 's/^Total \([0-9]*\) rules/\1/p'" 0

finish
