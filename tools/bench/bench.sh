#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's part of tools/vm/bench.
#
# bench.sh RUNS SECONDS [-j]: one iperf3 stream each way, delegated over toe0 and
# Linux TCP over virtio-net (eth0), interleaved; medians of RUNS.

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. ./measure.sh

runs=$1 seconds=$2 json=$3
declare -A address=([toe]=192.0.2.2 [virtio]=198.51.100.2)

offload on
serve_iperf "${address[toe]}" || exit 1
samples=$(
	for ((run = 1; run <= runs; run++)); do
		for direction in sent received; do
			for path in virtio toe; do
				result=$(iperf "$seconds" "${address[$path]}" $direction) || exit 1
				jq -c ". + {path: \"$path\", direction: \"$direction\"}" <<<"$result"
				printf 'run %d of %d, %s, %s: %s\n' $run "$runs" $direction $path "$result" >&2
			done
		done
	done
) || exit 1

summary=$(jq -s '
	def median: sort | if length % 2 == 1 then .[length / 2 | floor]
		else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def of($path): map(select(.path == $path))
		| {gbits: map(.gbits) | median, cpu_per_gb: map(.cpu_per_gb) | median, share: map(.share) | min};
	group_by(.direction) | map({
		direction: .[0].direction, runs: (length / 2), toe: of("toe"), virtio: of("virtio")
	} | . + {cpu_ratio: (.toe.cpu_per_gb / .virtio.cpu_per_gb), rate_ratio: (.toe.gbits / .virtio.gbits)})
	' <<<"$samples")

if [ "$json" = -j ]; then
	jq -c . <<<"$summary"
	exit
fi
jq -r '
	def two: . * 100 | round / 100;
	(["guest", "path", "Gbit/s", "CPU-s/GB", "adapter %"],
	 (.[] | ([.direction, "virtio-net, Linux TCP", (.virtio.gbits | two), (.virtio.cpu_per_gb | two), (.virtio.share | two)],
		 [.direction, "toe0, delegated", (.toe.gbits | two), (.toe.cpu_per_gb | two), (.toe.share | two)],
		 [.direction, "toe0 / virtio-net", (.rate_ratio | two), (.cpu_ratio | two), "-"]))) | @tsv
	' <<<"$summary" | column -t -s $'\t'
