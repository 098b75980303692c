#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Received frames that only Linux's TCP can process: the connection stays delegated, all data is
# correct, and direct delivery resumes.
# timeout: 1500

. ./lib.sh

serve
delegate_at_once

SIZE=4M
[ "$TOE_KERNEL" != debug ] || SIZE=1M

# Reasons for which a special frame could return a connection.
SPECIAL=out-of-order,option,window,gap,out-of-step,timeout,ecn,submission

# Bytes 20 and 21 of a TCP header with timestamps are padding: makes an unknown option of it.
UNKNOWN='@th,160,16 0x0101 limit rate 200/second @th,160,16 set 0xc802'

# odd RULE...: lets the peer change what it sends
odd()
{
	peer nft -f - <<-END
		table inet toe_odd {
			chain output {
				type filter hook output priority 0
				meta l4proto tcp tcp sport $PORT tcp flags & (syn|fin|rst) == 0 $*
			}
		}
	END
}

even()
{
	peer nft delete table inet toe_odd
}

# stays NAME PEER [OPTION...]: a stream both ways stays delegated
stays()
{
	local name=$1 returned delegated
	returned=$(returned $SPECIAL)
	delegated=$(stats .delegated)
	check "$name: data correct" stream "$2" -u "$SIZE" -d "$SIZE" "${@:3}"
	check "$name: delegated" at_least $((delegated + 1)) stats .delegated
	check "$name: not returned" is returned $SPECIAL "$returned"
	check "$name: no connections left" within 15 is connections 0
}

# each_resync FRAMES ENTERED RESYNCED LEGACY: whether legacy mode lasted at most FRAMES frames on average
# since the three counters had these values
each_resync()
{
	local entered resynced frames
	entered=$(($(counter toe_legacy_entered) - $2))
	resynced=$(($(counter toe_legacy_resynced) - $3))
	frames=$(($(counter toe_legacy_frames) - $4))
	echo "entered $entered times, $frames frames, $resynced times in step again"
	[ $entered -gt 0 ] && [ $resynced -gt 0 ] && [ $frames -le $(($1 * entered)) ]
}

# special NAME RULE...: the connection enters legacy mode and soon comes out of it
special()
{
	local name=$1 peer before
	shift
	for peer in "$PEER4" "$PEER6"; do
		before=("$(counter toe_legacy_entered)" "$(counter toe_legacy_resynced)" "$(counter toe_legacy_frames)")
		odd "$@"
		stays "$name, $peer" "$peer"
		even
		check "$name, $peer: at most 100 frames on average" each_resync 100 "${before[@]}"
	done
}

# harmless NAME RULE...: the adapter itself handles such frames
harmless()
{
	local name=$1
	shift
	odd "$@"
	stays "$name" "$PEER4"
	even
}

special "unknown option" "$UNKNOWN"
harmless "unknown option without payload" 'meta length < 100' "$UNKNOWN"
special "no timestamp" '@th,160,16 0x0101 limit rate 200/second @th,160,96 set 0x010101010101010101010101'
# Timestamps without a random offset: 1 is old.
peer sysctl -qw net.ipv4.tcp_timestamps=2
harmless "old timestamp" '@th,160,32 0x0101080a limit rate 2/second burst 1 packets @th,192,32 set 1'
peer sysctl -qw net.ipv4.tcp_timestamps=1
harmless "old sequence number" 'limit rate 2/second burst 1 packets @th,32,8 set 0'
harmless "old acknowledgement" 'limit rate 2/second burst 1 packets @th,64,8 set 0'

# Loss, reordering and duplication in both directions, alone and with frames of unknown options.
lossy()
{
	toectl impair toe0 loss 1% reorder 1% duplicate 0.1% >/dev/null
	stays "$1 bad path" "$PEER4" -c 4
	odd "$UNKNOWN"
	stays "$1 bad path and unknown options" "$PEER4" -c 4
	even
	toectl impair toe0 off >/dev/null
}
lossy "a"

# More is in flight than the adapter can hold out of order.
toectl impair toe0 --direction ingress loss 0.5% delay 30ms >/dev/null
stays "holes in a long path" "$PEER4"
toectl impair toe0 off >/dev/null

# A small receive buffer: Linux drops legacy frames.
read -r -a rmem </proc/sys/net/ipv4/tcp_rmem
sysctl -qw net.ipv4.tcp_rmem='4096 8192 8192'
refused=$(counter toe_legacy_refused)
odd '@th,160,16 0x0101' '@th,160,16 set 0xc802'
SIZE=1M stays "no receive buffer" "$PEER4" -c 4
even
sysctl -qw net.ipv4.tcp_rmem="${rmem[*]}"
echo "# Linux was out of step $(($(counter toe_legacy_refused) - refused)) times"

# Handed over while payload is missing: Linux holds the rest out of order.
hand_over_with_holes()
{
	local try before
	before=$(counter toe_legacy_entered)
	for ((try = 0; try < 10; try++)); do
		toectl conn return --all >/dev/null
		sleep 0.05
		toectl conn offload --rport "$PORT" >/dev/null 2>&1
		sleep 0.1
	done
	at_least $((before + 1)) counter toe_legacy_entered
}
toectl impair toe0 --direction ingress loss 5% reorder 5% >/dev/null
carry "$PEER4" -c 4 --rate 0
check "holes: delegated" within 10 at_least 1 connections
check "holes: handed over again and again" hand_over_with_holes
toectl impair toe0 off >/dev/null
carried "holes at the hand-over"
check "holes: no connections left" within 15 is connections 0

# during NAME COMMAND...: the commands work in the midst of legacy mode, and nothing is lost
during()
{
	local name="legacy mode, $1" before
	shift
	before=$(counter toe_legacy_entered)
	odd '@th,160,16 0x0101' '@th,160,16 set 0xc802'
	carry "$PEER4" -c 2
	check "$name: delegated" within 5 at_least 1 connections
	check "$name: entered" within 10 at_least $((before + 10)) counter toe_legacy_entered
	check "$name: the commands succeed" "$@"
	even
	carried "$name"
	check "$name: no connections left" within 15 is connections 0
}

channels()
{
	ethtool -L toe0 combined 1 && sleep 0.2 && ethtool -L toe0 combined 2
}

during return toectl conn return --all
during "packet filter" filter_output
during "MTU changed" change_mtu
during "queues changed" channels
during "function reset" reset_toe0
for finish in close shutdown reset; do
	odd '@th,160,16 0x0101' '@th,160,16 set 0xc802'
	check "legacy mode, finish by $finish" stream "$PEER4" -u 1M -d 1M --finish $finish
	even
done
check "no connections left" within 15 is connections 0

finish
