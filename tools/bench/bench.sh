#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Guest side of tools/vm/bench.
#
# bench.sh RUNS SECONDS [-j]: measures one iperf3 stream in each direction, delegated over
# toe0, with Linux TCP over toe0, and with Linux TCP over virtio-net (eth0), interleaved.
# Prints the medians of RUNS.

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. ./measure.sh

runs=$1 seconds=$2 json=$3
paths=(virtio linux toe)
declare -A address=([toe]=192.0.2.2 [linux]=192.0.2.2 [virtio]=198.51.100.2)
declare -A offload=([toe]=on [linux]=off [virtio]=off)

serve_iperf "${address[toe]}" || exit 1
samples=$(
	for ((run = 1; run <= runs; run++)); do
		for direction in sent received; do
			for path in "${paths[@]}"; do
				offload "${offload[$path]}"
				result=$(iperf "$seconds" "${address[$path]}" $direction) || exit 1
				jq -c ". + {path: \"$path\", direction: \"$direction\"}" <<<"$result"
				printf 'run %d of %d, %s, %s: %s\n' $run "$runs" $direction "$path" "$result" >&2
			done
		done
	done
) || exit 1

# The ratios are to virtio-net.
summary=$(jq -s '
	def median: sort | if length % 2 == 1 then .[length / 2 | floor]
		else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def of($path): map(select(.path == $path))
		| {path: $path, runs: length, gbits: map(.gbits) | median, cpu_per_gb: map(.cpu_per_gb) | median,
		   share: map(.share) | min};
	group_by(.direction) | map({direction: .[0].direction} + (of("virtio") as $virtio
		| {paths: [of("virtio"), of("linux"), of("toe") | . + {
			cpu_ratio: (.cpu_per_gb / $virtio.cpu_per_gb), rate_ratio: (.gbits / $virtio.gbits)}]}))
	' <<<"$samples")

if [ "$json" = -j ]; then
	jq -c . <<<"$summary"
	exit
fi
jq -r '
	def two: . * 100 | round / 100;
	{virtio: "virtio-net, Linux TCP", linux: "toe0, Linux TCP", toe: "toe0, delegated"} as $names
	| (["guest", "path", "Gbit/s", "ratio", "CPU-s/GB", "ratio", "adapter %"],
	   (.[] | .direction as $direction | .paths[] | [$direction, $names[.path], (.gbits | two),
		(.rate_ratio | two), (.cpu_per_gb | two), (.cpu_ratio | two), (.share | two)])) | @tsv
	' <<<"$summary" | column -t -s $'\t'
