#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The socket interface is Linux's own: every way to send and to receive works on
# delegated connections.
# timeout: 600

. ./lib.sh

serve
delegate_at_once

# through OPTION...: streams over a delegated connection; the adapter carries the bytes
through()
{
	local before
	before=$(stats '.sent + .received')
	stream "$peer" -u 6M -d 6M --ulp toe "$@" || return
	at_least $((10 << 20)) expr "$(stats '.sent + .received')" - "$before"
}

for peer in "$PEER4" $PEER6; do
	for receive in epoll recv waitall poll peek splice lowat uring; do
		check "$peer: receive by $receive" through --receive $receive
	done
	for send in send more zerocopy sendfile uring; do
		check "$peer: send by $send" through --send $send --receive recv
		[ $send != zerocopy ] || check "$peer: MSG_ZEROCOPY notifications" report '.zerocopy.sends > 0'
	done
	check "$peer: small chunks" stream "$peer" -u 400k -d 400k --ulp toe --chunk 100 -c 2
	check "$peer: big chunks" through --chunk 4194304
done

finish
