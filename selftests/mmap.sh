#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zero-copy receive: the kernel's own tcp_mmap can map at least 90 % of the received
# bytes (TCP_ZEROCOPY_RECEIVE) at an MTU of 1500, for delegated and other connections.
# topology: pair

. ./lib.sh

tcp_mmap=/usr/lib/kselftest/net/tcp_mmap
[ -x $tcp_mmap ] ||
	die "the kernel's tcp_mmap is not there: run 'tools/vm/setup kselftest' on the machine"

# mapped FAMILY ADDRESS: percentage of mapped bytes of a transfer of a few seconds
mapped()
{
	local server
	stdbuf -oL $tcp_mmap -"$1" -s -z >"$TEMP/mmap" 2>&1 &
	server=$!
	within 5 sh -c "ss -Hltn sport = :8787 | grep -q ." || return
	timeout "$([ "$TOE_KERNEL" = debug ] && echo 15 || echo 3)" peer $tcp_mmap -"$1" -z -H "$2" >&2
	within 5 grep -q "mmap'ed" "$TEMP/mmap" || return
	kill $server
	cat "$TEMP/mmap" >&2
	sed -n "s/^received .* MB (\([0-9]*\).* % mmap'ed).*/\1/p" "$TEMP/mmap"
}

# Without the peer's segmentation offload, its frames are those on the wire.
peer ethtool -K "$(peer_dev)" tso off gso off
check "tcp-data-split on" ethtool -G toe0 tcp-data-split on
# 0: Linux carries both connections, 2: the adapter does
for enable in 0 2; do
	check "net.toe.enable=$enable" sysctl -qw net.toe.enable=$enable net.toe.min_bytes=0
	delegated=$(stats .delegated)
	check "90 % of the bytes are mapped, IPv4" at_least 90 mapped 4 192.0.2.1
	check "90 % of the bytes are mapped, IPv6" at_least 90 mapped 6 2001:db8:77::1
	check "$enable connections are delegated" is stats .delegated $((delegated + enable))
done
peer ethtool -K "$(peer_dev)" tso on gso on >/dev/null
check "tcp-data-split auto" ethtool -G toe0 tcp-data-split auto
restore

finish
