# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Measurements in the guest; sourced by demo.sh and bench.sh.

# busy: CPU-seconds used by this kernel since boot
busy()
{
	awk -v hz="$(getconf CLK_TCK)" '$1 == "cpu" { print ($2 + $3 + $4 + $7 + $8) / hz }' /proc/stat
}

# carried FIELD: payload bytes carried by the adapter of toe0 (FIELD: sent, received)
carried()
{
	toectl -j stats toe0 | jq ".[0].$1"
}

# iperf SECONDS ADDRESS sent|received [OPTION...]: runs one iperf3 stream from or to the guest.  Prints
# JSON: bytes, bit rate in Gbit/s, CPU-seconds of the guest per GB, percentage of the bytes
# carried by the adapter; in a guest that is counted also instructions of its kernel and bytes
# copied, as `counted` has them
iperf()
{
	local seconds=$1 address=$2 direction=$3 reverse='' before cpu after
	local counted='' kernel=null user copied=null
	[ ! -e /dev/toe/count ] || counted=counted
	[ "$direction" = sent ] || reverse=-R
	before=$(carried "$direction")
	cpu=$(busy)
	$counted iperf3 -c "$address" -t "$seconds" -J $reverse "${@:4}" >/tmp/iperf.json || {
		jq -r '.error // "iperf3 failed"' /tmp/iperf.json >&2
		return 1
	}
	cpu=$(jq -n "$(busy) - $cpu")
	after=$(carried "$direction")
	jq -c --argjson cpu "$cpu" --argjson carried "$((after - before))" --argjson kernel "$kernel" \
		--argjson copied "$copied" '.end.sum_received
		| {bytes, gbits: (.bits_per_second / 1e9), cpu_per_gb: ($cpu / (.bytes / 1e9)),
		   share: ([100, 100 * $carried / .bytes] | min), kernel: $kernel, copied: $copied}' /tmp/iperf.json
}

# serve_iperf: starts the server on the peer, until the run ends
serve_iperf()
{
	peer iperf3 -s >/dev/null 2>&1 </dev/null &
	local try
	for ((try = 0; try < 50; try++)); do
		sleep 0.2
		iperf3 -c "$1" -n 1k >/dev/null 2>&1 && return
	done
	echo "iperf3 on the peer does not answer" >&2
	return 1
}

# offload on|off
offload()
{
	case $1 in
	on) sysctl -qw net.toe.enable=2 net.toe.min_bytes=65536 ;;
	off) sysctl -qw net.toe.enable=0 ;;
	esac
}

# counted COMMAND...: runs COMMAND; sets `kernel`, `user` and `copied` to the instructions that the
# kernel and user space execute meanwhile, and the bytes that string instructions of the kernel
# copy (--count of tools/vm/run)
counted()
{
	local status before channel
	exec {channel}<>/dev/toe/count
	echo sums >&"$channel"
	read -ra before <&"$channel"
	"$@" {channel}>&-
	status=$?
	echo sums >&"$channel"
	read -r kernel user copied <&"$channel"
	exec {channel}>&-
	kernel=$((kernel - before[0])) user=$((user - before[1])) copied=$((copied - before[2]))
	return $status
}
