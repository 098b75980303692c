#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An administrator destroys delegated connections: by `ss -K`, and by a BPF iterator, which owns
# the socket meanwhile and must not sleep.
# kernel: release
# timeout: 300

. ./lib.sh

PROGRAM=/sys/fs/bpf/destroy

serve
delegate_at_once
clang -g -O2 -target bpf -Wall -I"/usr/include/$(uname -m)-linux-gnu" -DPORT="$PORT" \
	-c destroy.bpf.c -o "$TEMP/destroy.o" || die "the program cannot be compiled"
rm -f $PROGRAM
check "the program is loaded" bpftool iter pin "$TEMP/destroy.o" $PROGRAM

iterate()
{
	timeout "$(patience 5)" cat $PROGRAM
}

by_diag()
{
	ss -K state established dport = ":$PORT"
}

# destroys NAME PEER COMMAND...: COMMAND destroys a delegated connection
destroys()
{
	local before client
	before=$(returned close)
	carry "$2"
	check "$1: delegated" within 5 at_least 1 connections
	check "$1: destroyed" "${@:3}"
	check "$1: the application has an error" not wait "$client"
	check "$1: no connections left" within 15 is connections 0
	check "$1: returned for close" at_least $((before + 1)) returned close
	check "$1: the socket has gone" within 5 is ss -Htn state established dport = ":$PORT" ""
}

for peer in "$PEER4" $PEER6; do
	destroys "$peer, bpf_sock_destroy()" "$peer" iterate
	destroys "$peer, ss -K" "$peer" by_diag
done
stays "afterwards" "$PEER4" -u 1M -d 1M
rm -f $PROGRAM

finish
