#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a delegated socket sends, and when: the same as one that Linux carries.
# topology: pair wire
# kernel: release

. ./lib.sh

sysctl -qw net.toe.enable=1

# sees CASE RELATION VALUE: what the peer sees, of Linux and of the adapter
sees()
{
	local of seen
	for of in Linux adapter; do
		[ $of = adapter ] || sysctl -qw net.toe.enable=0
		check "$1 of $of" eval "seen=\$(python3 sending.py $1) && echo \"\$seen\" && [ \"\$seen\" $2 $3 ]"
		sysctl -qw net.toe.enable=1
	done
}

# A round trip takes 400 ms: no acknowledgement comes before.
toectl impair toe0 delay 200ms >/dev/null
for case in file_end cork_nodelay more_nodelay cork_more_uncork; do
	sees $case -lt 120
done
# The first segment and its acknowledgement, and no timer.
sees more_acknowledged -lt 520
toectl impair toe0 off >/dev/null

sees records -eq 3
sees window -ge 80

check "receive_alone of adapter" eval 'seconds=$(python3 sending.py receive_alone) && [ "$seconds" -lt 30 ]'
tc qdisc del dev toe0 root 2>/dev/null

finish
