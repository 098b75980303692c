#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Hardware GRO: consecutive segments of a connection that Linux carries arrive as large
# segments with correct content; with GRO off they arrive as sent.

. ./lib.sh

start_ynl
ifindex=$(cat /sys/class/net/toe0/ifindex)

# gro NAME: a statistic of toe0, summed over its queues
gro()
{
	ynl netdev dump qstats-get "{\"ifindex\": $ifindex}" | jq ".[0].\"rx-hw-gro-$1\""
}

# datagrams ADDRESS: whether datagrams that the peer sends by UDP_SEGMENT arrive separately
datagrams()
{
	local receiver
	timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 5302))
s.settimeout(10)
sizes = [len(s.recv(65536)) for _ in range(46)]
sys.exit(sizes != [1000] * 45 + [10])' "$1" &
	receiver=$!
	within 5 sh -c "ss -Hlun sport = :5302 | grep -q ." || return
	peer python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_UDP, 103, 1000)
s.sendto(bytes(45010), (sys.argv[1], 5302))' "$1" || return
	wait $receiver
}

sysctl -qw net.toe.enable=0
serve
for address in 192.0.2.1 2001:db8:77::1; do
	check "UDP_SEGMENT datagrams arrive separately, $address" datagrams $address
done
# Without the peer's segmentation offload, its frames are those on the wire.
peer ethtool -K "$(peer_dev)" tso off gso off

check "rx-gro-hw is on" sh -c "ethtool -k toe0 | grep -q '^rx-gro-hw: on'"
for peer in "$PEER4" $PEER6; do
	packets=$(gro packets) wire=$(gro wire-packets)
	check "data correct, $peer" stream "$peer" -u 1M -d 8M
	packets=$(($(gro packets) - packets)) wire=$(($(gro wire-packets) - wire))
	check "large segments arrive, $peer" test $packets -gt 0
	check "each with several wire frames, $peer" test $wire -ge $((3 * packets))
	check "impair" toectl impair toe0 loss 1% reorder 1% duplicate 1%
	check "data correct with loss, $peer" stream "$peer" -u 1M -d 4M
	check "impair off" toectl impair toe0 off
done
check "wire bytes include the headers of all frames" test "$(gro wire-bytes)" -gt "$(gro bytes)"

# A BPF program that knows no headers replaces the flow dissector, which the driver uses as well.
DISSECTOR=/sys/fs/bpf/dissector
clang -O2 -target bpf -x c -c -o "$TEMP/dissector.o" - <<END || die "the program cannot be compiled"
__attribute__((section("flow_dissector"), used)) int drop(void *ctx) { return 2; /* BPF_DROP */ }
END
packets=$(gro packets)
check "a flow dissector is loaded" bpftool prog load "$TEMP/dissector.o" $DISSECTOR type flow_dissector
check "and attached" bpftool prog attach pinned $DISSECTOR flow_dissector
for peer in "$PEER4" $PEER6; do
	check "data correct with a flow dissector, $peer" stream "$peer" -u 1M -d 8M
done
check "large segments arrive" test "$(gro packets)" -gt "$packets"
check "no resets" sh -c "ethtool -S toe0 | grep -q 'resets: 0$'"
bpftool prog detach pinned $DISSECTOR flow_dissector
rm $DISSECTOR

check "rx-gro-hw off" ethtool -K toe0 rx-gro-hw off
packets=$(gro packets)
for peer in "$PEER4" $PEER6; do
	check "data correct while off, $peer" stream "$peer" -u 1M -d 8M
done
check "no large segments while off" is gro packets "$packets"
# Not every device supports it: a refused setting was off before.
peer ethtool -K "$(peer_dev)" tso on gso on >/dev/null 2>&1
check "data correct while off, peer with TSO" stream "$PEER4" -u 1M -d 8M
check "no large segments while off, peer with TSO" is gro packets "$packets"
for address in 192.0.2.1 2001:db8:77::1; do
	check "UDP_SEGMENT datagrams arrive separately while off, $address" datagrams $address
done
check "rx-gro-hw on" ethtool -K toe0 rx-gro-hw on
check "data correct after switching on" stream "$PEER4" -u 1M -d 8M
check "large segments after switching on" test "$(gro packets)" -gt "$packets"

finish
