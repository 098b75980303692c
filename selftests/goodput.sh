#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Goodput of delegated connections: beside odd and forged frames, compared with frames for another host at
# the same rate; on a path with loss, compared with Linux's TCP. The runs are interleaved. Needs an idle
# machine.
# kernel: release
# timeout: 3600

. ./lib.sh

ROUNDS=${ROUNDS:-10}
serve
sysctl -qw net.toe.min_bytes=65536

# goodput SAMPLES OPTION...: appends the goodput of a stream, in bytes per second
goodput()
{
	stream "$PEER4" "${@:2}" && jq '(.sent + .received) / .seconds' "$TEMP/report" >>"$TEMP/$1"
}

# ratio SAMPLES SAMPLES: the ratio of the means
ratio()
{
	jq -n --slurpfile a "$TEMP/$1" --slurpfile b "$TEMP/$2" '
		def mean: add / length;
		($a | mean) / ($b | mean) * 1000 | round / 1000'
}

# is_least LEAST VALUE...: whether the mean of the values is at least LEAST
is_least()
{
	printf '%s\n' "${@:2}" | jq -se "(add / length) >= $1"
}

# beside SAMPLES KIND...: streams beside a flood of frames
beside()
{
	local samples=$1
	shift
	inject 6 "$@"
	while injecting; do
		goodput "$samples" -u 64k -d 32M && goodput "$samples" -u 32M -d 64k || return
	done
	injected
}

returned=$(returned_early)
for ((round = 0; round < ROUNDS; round++)); do
	check "round $((round + 1)), frames for another host" beside foreign foreign "${FORGED[@]}"
	check "round $((round + 1)), forged frames" beside forged "${FORGED[@]}"
done
value=$(ratio forged foreign)
echo "# forged : foreign = $value"
check "forged frames: goodput at least 0.9 of that without" is_least 0.9 "$value"

values=()
while read -r loss size; do
	toectl impair toe0 loss "$loss" delay 5ms >/dev/null
	for direction in received sent; do
		case $direction in
		received) options=(-u 64k -d "$size") ;;
		sent) options=(-u "$size" -d 64k) ;;
		esac
		name="loss $loss, $direction"
		for ((round = 0; round < ROUNDS; round++)); do
			for enable in 2 0; do
				sysctl -qw net.toe.enable=$enable
				check "$name, round $((round + 1)), enable $enable" goodput "$loss-$direction-$enable" "${options[@]}"
			done
		done
		value=$(ratio "$loss-$direction-2" "$loss-$direction-0")
		echo "# $name: delegated : Linux = $value"
		values+=("$value")
	done
done <<-END
	0.1% 16M
	1% 8M
	5% 4M
END
check "not returned" is returned_early "$returned"
check "loss: goodput at least Linux's in the mean" is_least 1 "${values[@]}"

finish
