#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a delegated socket sends, and when: the same as one that Linux carries.
# topology: pair wire
# kernel: release
# timeout: 300

. ./lib.sh

sysctl -qw net.toe.enable=1

# seen CASE RELATION VALUE: whether the value of a case of sending.py is in that relation
seen()
{
	local value
	value=$(python3 sending.py "$1") && echo "$value" && test "$value" "$2" "$3"
}

# sees CASE RELATION VALUE: the same, of Linux and of the adapter
sees()
{
	local of
	for of in Linux adapter; do
		[ $of = adapter ] || sysctl -qw net.toe.enable=0
		check "$1 of $of" seen "$@"
		sysctl -qw net.toe.enable=1
	done
}

# A round trip takes 400 ms: no acknowledgement comes before.
toectl impair toe0 delay 200ms >/dev/null
for case in file_end cork_nodelay more_nodelay cork_more_uncork; do
	sees $case -lt 120
done
sees lowat -lt 200
# The first segment and its acknowledgement, and no timer.
sees more_acknowledged -lt 520
toectl impair toe0 off >/dev/null

sees records -eq 3
sees window -ge 80

sees header = 0x48-9-0x0-0
check "reno of adapter" seen reno -eq 1
# Each time it is handed over later.
sysctl -qw net.toe.enable=2 net.toe.min_bytes=0
check "control_messages of adapter" seen control_messages -lt 10
sysctl -qw net.toe.enable=1

# Options and sysctls that Linux heeds.
sees user_timeout -lt 4000
sysctl -qw net.ipv4.tcp_retries2=2
sees retries -lt 6000
sysctl -qw net.ipv4.tcp_retries2=15
sysctl -qw net.ipv4.tcp_rto_min_us=20000
ip tcp_metrics flush all
sees timeout -lt 150
sysctl -qw net.ipv4.tcp_rto_min_us=200000
sysctl -qw net.ipv4.tcp_slow_start_after_idle=0
sees idle -ge 90
sysctl -qw net.ipv4.tcp_slow_start_after_idle=1

# A router behind the peer says that packets are too large.
far()
{
	ip netns add far
	ip link add far0 netns peer type veth peer name far1 netns far
	ip -n peer addr add 10.9.0.1/24 dev far0
	ip -n far addr add 10.9.0.2/24 dev far1
	ip -n peer link set far0 up
	ip -n far link set far1 up
	ip -n far route add default via 10.9.0.1
	peer sysctl -qw net.ipv4.ip_forward=1
	ip route add 10.9.0.0/24 via "$PEER4"
}
check "a router" far
sees path_mtu -lt 400
ip route del 10.9.0.0/24
ip netns del far
peer sysctl -qw net.ipv4.ip_forward=0
ip route flush cache

check "receive_alone of adapter" seen receive_alone -lt 30
tc qdisc del dev toe0 root 2>/dev/null

finish
