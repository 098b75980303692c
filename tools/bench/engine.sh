#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures classification and placement by the engine of one processor, without port and
# host, by frame size and number of flows.  Run by `make bench`, in the cache's root, from
# tools/.

set -euo pipefail

flows=(1 1000 100000 1000000)

# millions SIZE FLOWS: millions of frames per second, from criterion's estimate
millions()
{
	jq '1e3 / .median.point_estimate' "target/criterion/receive/$1/$2/new/estimates.json"
}

cargo bench -q -p toe-engine --bench receive -- --noplot --quiet "$@" >&2
echo
echo 'The engine alone: millions of frames classified and placed per second on one core,'
echo 'by frame size and number of flows (random order); ratio of 1,000,000 to 1,000 flows'
printf '%8s' bytes
printf '%12s' '1 flow' '1,000' '100,000' '1,000,000' 'ratio'
printf '\n'
for size in 64 256 1500 9000; do
	printf '%8d' $size
	for count in "${flows[@]}"; do
		printf '%12.2f' "$(millions $size "$count")"
	done
	printf '%12.2f\n' "$(jq -n "$(millions $size 1000000) / $(millions $size 1000)")"
done
