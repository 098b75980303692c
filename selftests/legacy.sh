#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Received frames that only Linux's TCP can process: the connection stays delegated, all data is
# correct, and direct delivery resumes, after a single frame within three round trips and 100 frames.
# timeout: 1500

. ./lib.sh

serve
delegate_at_once

SIZE=4M LONG=32M RATE=3M DELAY=100ms
[ "$TOE_KERNEL" != debug ] || SIZE=1M LONG=4M RATE=400K DELAY=1s

# once RULE: the peer sends one special frame; legacy mode then ends within three round trips of 100 ms and
# 100 frames
once()
{
	local counters=(toe_legacy_resynced toe_legacy_frames toe_legacy_us) before after frames time
	read -r -a before < <(counter "${counters[@]}")
	odd "$1"
	within 10 at_least $((before[0] + 1)) counter toe_legacy_resynced
	even
	read -r -a after < <(counter "${counters[@]}")
	frames=$((after[1] - before[1])) time=$((after[2] - before[2]))
	echo "in step again $((after[0] - before[0])) times, after $frames frames and $time us"
	most_frames=$((frames > most_frames ? frames : most_frames)) most_time=$((time > most_time ? time : most_time))
	[ $((after[0])) -gt $((before[0])) ] && [ $frames -le 100 ] && [ $time -le 300000 ]
}

# special NAME RULE: frames that the rule makes special, one at a time
special()
{
	local peer name most_frames=0 most_time=0
	toectl impair toe0 delay 50ms >/dev/null
	for peer in "$PEER4" "$PEER6"; do
		name="$1, $peer"
		begin "$name" "$peer"
		for _ in {1..3}; do
			check "$name: in step again" once "$2"
		done
		check "$name: the transfer outlasts them" lasts
		end "$name"
	done
	toectl impair toe0 off >/dev/null
	echo "# $1: at most $most_frames frames, $most_time us in legacy mode"
}

# harmless NAME RULE: the adapter itself handles such frames
harmless()
{
	odd "$2"
	stays "$1" "$PEER4" -u "$SIZE" -d "$SIZE"
	check "$1: sent" at_least 1 changed
	even
}

special "unknown option" "meta length > 100 $SELDOM $UNKNOWN"
harmless "unknown option without payload" "meta length < 100 $UNKNOWN"
special "no timestamp" "meta length > 100 $SELDOM $NO_TIMESTAMP"
harmless "no timestamp without payload" "meta length < 100 $NO_TIMESTAMP"
# Timestamps without a random offset: 1 is old.
peer sysctl -qw net.ipv4.tcp_timestamps=2
harmless "old timestamp" "$SELDOM $OLD_TIMESTAMP"
peer sysctl -qw net.ipv4.tcp_timestamps=1
harmless "old sequence number" "$SELDOM $OLD_SEQUENCE"
harmless "old acknowledgement" "$SELDOM $OLD_ACKNOWLEDGEMENT"

# share BEFORE: percentage of the last stream that was delivered directly, since toe_rx_bytes was BEFORE
share()
{
	echo $((($(counter toe_rx_bytes) - $1) * 100 / $(report .received)))
}

# direct NAME PERCENT PEER [OPTION...]: at least so much of a stream from the peer is delivered directly
direct()
{
	local before
	before=$(counter toe_rx_bytes)
	stays "$1" "$3" -u 0 -d "$SIZE" "${@:4}"
	check "$1: $2 % are delivered directly" at_least "$2" share "$before"
}

# The peer never pauses: direct delivery resumes between its frames, which have the size of the path's MTU.
entered=$(counter toe_legacy_entered)
peer ethtool -K "$(peer_dev)" tso off gso off >/dev/null
odd "limit rate 10/second burst 1 packets $UNKNOWN"
for peer in "$PEER4" "$PEER6"; do
	direct "at full rate, $peer" 80 "$peer" -d "$LONG"
done
even
peer ethtool -K "$(peer_dev)" tso on gso on >/dev/null
check "at full rate: legacy mode" at_least $((entered + 10)) counter toe_legacy_entered

for peer in "$PEER4" "$PEER6"; do
	toectl impair toe0 loss 0.1% >/dev/null
	direct "loss 0.1 %, $peer" 99 "$peer"
	toectl impair toe0 loss 1% >/dev/null
	direct "loss 1 %, $peer" 95 "$peer"
	toectl impair toe0 loss 5% >/dev/null
	direct "loss 5 %, $peer" 80 "$peer"
	toectl impair toe0 off >/dev/null
done

# several NAME PEER: several kinds of special frames at once
several()
{
	odd "limit rate 50/second $UNKNOWN" "limit rate 50/second $NO_TIMESTAMP" \
		"$SELDOM $OLD_SEQUENCE"
	stays "$1" "$2" -u "$SIZE" -d "$SIZE" -c 4
	even
}

# in_legacy FUNCTION NAME PEER: FUNCTION brings connections into legacy mode
in_legacy()
{
	local entered
	entered=$(counter toe_legacy_entered)
	"$@"
	check "$2: legacy mode" at_least $((entered + 1)) counter toe_legacy_entered
}

# bad_path NAME PEER: loss, reordering and duplication in both directions, with several kinds
bad_path()
{
	toectl impair toe0 loss 1% reorder 1% duplicate 5% >/dev/null
	several "$@"
	toectl impair toe0 off >/dev/null
}

# long_path NAME PEER: for a moment, every other frame is lost; the rest of what is in flight is more than the
# adapter can hold out of order
long_path()
{
	local before
	toectl impair toe0 --direction ingress delay $DELAY >/dev/null
	before=$(counter toe_rx_bytes)
	begin "$1" "$2" -u 0 -d "$LONG" --rate "$RATE"
	# Then much is in flight.
	check "$1: the peer has a large window" within 10 at_least $((before + 1000000)) counter toe_rx_bytes
	before=$(counter toe_legacy_entered)
	toectl impair toe0 --direction ingress delay $DELAY loss 50% >/dev/null
	check "$1: holes" within 10 at_least $((before + 1)) counter toe_legacy_entered
	toectl impair toe0 --direction ingress delay $DELAY >/dev/null
	before=$(counter toe_rx_bytes)
	end "$1"
	check "$1: direct delivery resumes" at_least $((before + 1000000)) counter toe_rx_bytes
	toectl impair toe0 off >/dev/null
}

# probed: whether the peer probes a closed window
probed()
{
	peer ss -tnoH "sport = :$PORT" | grep -q 'timer:(persist'
}

# closed_window NAME PEER: the window closes while all frames are special
closed_window()
{
	local before
	before=$(counter toe_legacy_entered)
	begin "$1" "$2" -u 0 -d "$LONG" --rate "$RATE"
	odd "$UNKNOWN"
	check "$1: special frames" within 10 at_least $((before + 10)) counter toe_legacy_entered
	stall
	check "$1: the peer probes the window" within 10 probed
	# More than one probe
	sleep 2
	even
	check "$1: delegated still" is connections 1
	before=$(counter toe_rx_bytes)
	go_on
	end "$1"
	check "$1: direct delivery resumes" at_least $((before + 1000000)) counter toe_rx_bytes
}

# lost_update NAME PEER RULE: the announcement of an open window is lost, and so is whatever else the adapter
# sends for a second; the peer's next probe opens the window
lost_update()
{
	local before
	odd "$3"
	before=$(counter toe_rx_segments)
	begin "$1" "$2" -u 0 -d "$LONG" --rate "$RATE"
	check "$1: payload arrives" within 10 at_least $((before + 100)) counter toe_rx_segments
	stall
	check "$1: the peer probes the window" within 10 probed
	toectl impair toe0 --direction egress loss 100% >/dev/null
	before=$(counter toe_rx_bytes)
	go_on
	sleep 1
	check "$1: nothing arrives" not at_least $((before + 100000)) counter toe_rx_bytes
	toectl impair toe0 off >/dev/null
	end "$1"
	even
}

for peer in "$PEER4" "$PEER6"; do
	# No frame has no length. The rule keeps the peer's end of the connection with Linux.
	lost_update "lost window update, $peer" "$peer" "meta length 0 $UNKNOWN"
	lost_update "lost window update in legacy mode, $peer" "$peer" "$UNKNOWN"
done
# Duplicates of what Linux has not confirmed
gaps=$(counter toe_legacy_gap)
for peer in "$PEER4" "$PEER6"; do
	in_legacy several "several kinds, $peer" "$peer"
	in_legacy bad_path "several kinds and a bad path, $peer" "$peer"
	long_path "holes in a long path, $peer" "$peer"
	closed_window "closed window, $peer" "$peer"
done
check "entries by payload that Linux has not confirmed" at_least $((gaps + 1)) counter toe_legacy_gap

finish
