#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# frames.sh FILE: captures the input of the engine's benchmark: segments of Linux's TCP as
# received on toe0, one of each size:
#
#   tools/vm/run --share tools/engine/benches -- tools/bench/frames.sh /share/frames.pcap

set -euo pipefail

file=$1 port=5300
dev=$(peer ip -j addr show to 192.0.2.2 | jq -r '.[0].ifname')
temp=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -r "$temp"' EXIT

sysctl -qw net.toe.enable=0
ip link set toe0 mtu 9000
ethtool -K toe0 gro off rx-gro-hw off
peer ethtool -K "$dev" tso off gso off
socat -u TCP-LISTEN:$port,fork,reuseaddr OPEN:/dev/null &

# capture SIZE FLAGS MTU BYTES: captures a segment of SIZE bytes on the wire, from a connection
# that sends BYTES with this MTU
capture()
{
	local filter="dst port $port and len = $1 and tcp[tcpflags] = $2" watching
	peer ip link set "$dev" mtu "$3"
	tcpdump -i toe0 -c 1 -w "$temp/$1" "$filter" 2>"$temp/log" &
	watching=$!
	until grep -q 'listening on' "$temp/log"; do sleep 0.1; done
	head -c "$4" /dev/zero | peer timeout 10 socat -u -b 1000000 - TCP:192.0.2.1:$port
	timeout 10 tail --pid=$watching -f /dev/null || {
		echo "no segment of $1 bytes captured" >&2
		exit 1
	}
}

# One message each, the shortest without timestamps, then two segments of a stream.
peer sysctl -qw net.ipv4.tcp_timestamps=0
capture 64 'tcp-push|tcp-ack' 1500 10
peer sysctl -qw net.ipv4.tcp_timestamps=1
capture 256 'tcp-push|tcp-ack' 1500 190
capture 1500 tcp-ack 1486 300000
capture 9000 tcp-ack 8986 300000
# Each file starts with the same 24-byte header.
{
	head -c 24 "$temp/64"
	for size in 64 256 1500 9000; do tail -c +25 "$temp/$size"; done
} >"$file"
tcpdump -nr "$file"
