#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Guest side of tools/vm/bench.
#
# bench.sh RUNS SECONDS [-j]: measures one iperf3 stream in each direction, delegated over
# toe0, with Linux TCP over toe0, and with Linux TCP over virtio-net (eth0), interleaved.
# On toe0 also frame by frame, with loss, and with frames that are received in legacy mode, all
# at RATE: what a byte costs depends on the rate, and a path with loss carries less.
# Prints the medians of RUNS.

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. ./measure.sh

runs=$1 seconds=$2 json=$3
declare -A address=([toe]=192.0.2.2 [linux]=192.0.2.2 [virtio]=198.51.100.2)
declare -A offload=([toe]=on [linux]=off [virtio]=off)
# frames, direction, path.  In this order in the table.
cases=(
	'plain sent virtio' 'plain sent linux' 'plain sent toe'
	'plain received virtio' 'plain received linux' 'plain received toe'
	'wire sent linux' 'wire sent toe' 'wire received linux' 'wire received toe'
	'loss sent linux' 'loss sent toe' 'loss received linux' 'loss received toe'
	'odd received linux' 'odd received toe'
)

RATE=150M

# frames plain|wire|loss|odd: what happens to the frames of toe0: nothing; the port cuts GSO frames,
# as for any impairment; it also loses 1 % in each direction; or the peer makes an unknown option
# of the padding before its timestamps, so that no received frame can be delivered directly
frames()
{
	local impairment=(delay 10us)
	case $1 in
	plain) impairment=(off) ;;
	loss) impairment+=(loss 1%) ;;
	esac
	toectl impair toe0 "${impairment[@]}" >/dev/null
	peer nft destroy table inet toe_odd
	[ "$1" != odd ] || peer nft -f - <<-END
		table inet toe_odd {
			chain output {
				type filter hook output priority 0
				oifname toep tcp flags & (syn|fin|rst) == 0 @th,160,16 0x0101 @th,160,16 set 0xc802
			}
		}
	END
}

serve_iperf "${address[toe]}" || exit 1
samples=$(
	for ((run = 1; run <= runs; run++)); do
		# What the kernel does besides, and for iperf3 itself: for a stream of 1 KiB a second.
		frames plain
		offload off
		result=$(iperf "$seconds" "${address[toe]}" received -l 1K -b 8K) || exit 1
		jq -c '{idle: .kernel}' <<<"$result"
		for case in "${cases[@]}"; do
			read -r frames direction path <<<"$case"
			frames "$frames"
			offload "${offload[$path]}"
			rate=()
			[ "$frames" = plain ] || rate=(-b "$RATE")
			result=$(iperf "$seconds" "${address[$path]}" "$direction" "${rate[@]}") || exit 1
			jq -c ". + {frames: \"$frames\", direction: \"$direction\", path: \"$path\"}" <<<"$result"
			printf 'run %d of %d, %s: %s\n' $run "$runs" "$case" "$result" >&2
		done
	done
) || exit 1
frames plain

# Instructions of the kernel are per 64 KiB, and per payload of a frame with timestamps at an MTU
# of 1500.  Impaired frames are compared with cut ones.
summary=$(jq -s --arg cases "$(printf '%s\n' "${cases[@]}")" '
	def median: sort | if length % 2 == 1 then .[length / 2 | floor]
		else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def spread: (max - min) / median;
	(map(.idle // empty) | median) as $idle
	| map(select(.kernel) | .kernel = (.kernel - $idle) / .bytes)
	| group_by([.frames, .direction, .path]) | map({
		frames: .[0].frames, direction: .[0].direction, path: .[0].path, runs: length,
		kernel: map(.kernel * 65536) | median, spread: map(.kernel) | spread,
		per_frame: map(.kernel * 1448) | median,
		copied: map(.copied / .bytes) | median,
		gbits: map(.gbits) | median, share: map(.share) | min})
	| . as $all
	| def of($frames; $direction; $path): $all[]
		| select(.frames == $frames and .direction == $direction and .path == $path);
	$cases / "\n" | map(. / " " | of(.[0]; .[1]; .[2])
		| . + {to_virtio: (.kernel / of("plain"; .direction; "virtio").kernel),
		       to_wire: (if .frames == "plain" then null else .kernel / of("wire"; .direction; .path).kernel end)})
	' <<<"$samples")

if [ "$json" = -j ]; then
	jq -c . <<<"$summary"
	exit
fi
jq -r '
	def two: . * 100 | round / 100;
	{virtio: "virtio-net, Linux TCP", linux: "toe0, Linux TCP", toe: "toe0, delegated"} as $names
	| {plain: "-", wire: "cut", loss: "cut, 1 % lost", odd: "cut, unknown option"} as $frames
	| (["guest", "path", "frames", "kernel/64K", "spread", "/frame", "to virtio", "to cut", "copied",
	    "Gbit/s", "adapter %"],
	   (.[] | [.direction, $names[.path], $frames[.frames], (.kernel | round), (.spread | two), (.per_frame | round),
		(.to_virtio | two), (.to_wire // "-" | if type == "number" then two else . end), (.copied | two), (.gbits | two), (.share | two)])) | @tsv
	' <<<"$summary" | column -t -s $'\t'
