# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests.  A test sources this file, makes its checks and ends with
# `finish`.  The peer is at 192.0.2.2 and 2001:db8:77::2 in every topology.

# shellcheck disable=SC2034
PEER4=192.0.2.2
# shellcheck disable=SC2034
PEER6=2001:db8:77::2
PORT=5300
# An absolute path: the peer may have another PATH.
STREAM=$(command -v toe-stream)
failures=0
background=()
TEMP=$(mktemp -d)

clean_up()
{
	[ ${#background[@]} -eq 0 ] || kill "${background[@]}" 2>/dev/null
	toectl impair toe0 off 2>/dev/null
	wait
	rm -rf "$TEMP"
}
trap clean_up EXIT

# check NAME COMMAND...: an assertion; shows the output on failure
check()
{
	local name=$1
	shift
	if "$@" >"$TEMP/check" 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name: $* (status $?)"
		sed 's/^/    /' "$TEMP/check"
		failures=$((failures + 1))
	fi
}

finish()
{
	[ $failures -eq 0 ]
	exit
}

# die WORDS: aborts the test
die()
{
	echo "not ok - $*"
	exit 1
}

# in_background COMMAND...: runs COMMAND until the test ends
in_background()
{
	"$@" </dev/null &
	background+=($!)
}

# peer_dev: prints the peer's interface
peer_dev()
{
	peer ip -j addr show to "$PEER4" | jq -r '.[0].ifname'
}

# serve [OPTION...]: starts a toe-stream server on the peer's side
serve()
{
	in_background peer "$STREAM" server --port "$PORT" "$@"
}

# stream PEER [OPTION...]: runs a toe-stream client for at most LIMIT (100) seconds; its report is
# in $TEMP/report
stream()
{
	timeout "$(patience "${LIMIT:-100}")" toe-stream client "$1" --port "$PORT" "${@:2}" >"$TEMP/report" || { cat "$TEMP/report"; return 1; }
}

# report FILTER: filters the report of the last stream with jq
report()
{
	jq -e "$1" "$TEMP/report" || { cat "$TEMP/report"; return 1; }
}

# stats FILTER: filters the statistics of toe0 with jq
stats()
{
	toectl -j stats toe0 | jq -e ".[0] | $1"
}

# returned REASON[,REASON...]: number of connections returned for these reasons
returned()
{
	stats "[.returned[\"$1\" / \",\" | .[]]] | add // 0" || true
}

# connections: number of delegated connections
connections()
{
	toectl -j conn list --dev toe0 | jq length
}

# patience SECONDS: time limit for what takes less than SECONDS on an idle machine, scaled for a busy
# machine and for the debug kernel, which is an order of magnitude slower under TCG
patience()
{
	if [ "$TOE_KERNEL" = debug ]; then echo $(($1 * 20)); else echo $(($1 * 5)); fi
}

# carry PEER [OPTION...]: starts a transfer in the background, as $client, that outlasts the commands
# of a test (a minute, several on the debug kernel); `carried` ends it
carry()
{
	local size=16M rate=256K
	[ "$TOE_KERNEL" != debug ] || size=4M rate=16K
	toe-stream client "$1" --port "$PORT" -u $size -d $size --rate $rate --chunk 16384 "${@:2}" >>"$TEMP/carried" &
	client=$!
}

# lasts: whether the transfer of `carry` still runs
lasts()
{
	kill -0 "$client"
}

# hurry: lifts the rate limit of $client and ends its hold
hurry()
{
	kill -USR1 "$client" 2>/dev/null
}

# stall: $client stops reading and writing until `go_on`
stall()
{
	kill -STOP "$client"
}

go_on()
{
	kill -CONT "$client"
}

# carried NAME: ends the transfer of `carry` and checks that all data was correct
carried()
{
	hurry
	check "$1: data correct" wait "$client"
}

# start_ynl: starts the server of `ynl`
start_ynl()
{
	coproc YNL { PYTHONDONTWRITEBYTECODE=1 exec python3 ynl.py; }
	background+=("$YNL_PID")
	# Subshells do not inherit a coprocess.
	exec {ynl_requests}>&"${YNL[1]}" {ynl_answers}<&"${YNL[0]}"
}

# ynl FAMILY do|dump OPERATION ATTRIBUTES [OPERATION ATTRIBUTES]...: requests by the kernel's own netlink
# library, after start_ynl; ATTRIBUTES and the answer are JSON
ynl()
{
	local attributes request answer
	request=$(printf '"%s", ' "$1" "$2")
	for ((attributes = 4; attributes <= $#; attributes += 2)); do
		request+="$(printf '"%s", %s, ' "${@:attributes-1:2}")"
	done
	echo "[${request%, }]" >&"$ynl_requests"
	read -r answer <&"$ynl_answers" || return
	case $answer in
	!*) echo "${answer#!}" >&2; return 1 ;;
	esac
	echo "$answer"
}

# threshold: largest frame that toe0 stores whole; older ethtools do not print it
threshold()
{
	ynl ethtool "do" rings-get '{"header": {"dev-name": "toe0"}}' | jq '.[0]."hds-thresh"'
}

set_threshold()
{
	ynl ethtool "do" rings-set "{\"header\": {\"dev-name\": \"toe0\"}, \"hds-thresh\": $1}"
}

# can_fail: enables fault injection for all allocations of tasks that set fail-nth
can_fail()
{
	local fault
	for fault in failslab fail_page_alloc; do
		echo N >/sys/kernel/debug/$fault/ignore-gfp-wait
		echo 0 >/sys/kernel/debug/$fault/verbose
	done
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
}

# within SECONDS COMMAND...: repeats COMMAND until it succeeds
within()
{
	local end=$((SECONDS + $(patience "$1")))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { "$@"; return; }
		sleep 0.1
	done
}

# is COMMAND... VALUE: whether COMMAND prints VALUE
is()
{
	local printed
	printed=$("${@:1:$#-1}")
	[ "$printed" = "${*: -1}" ] || { echo "$printed, not ${*: -1}"; return 1; }
}

# not COMMAND...
not()
{
	! "$@"
}

# at_least LEAST COMMAND...
at_least()
{
	local printed
	printed=$("${@:2}")
	[ "$printed" -ge "$1" ] || { echo "$printed, less than $1"; return 1; }
}

# counter NAME...: the sums over the processors of toe0
counter()
{
	ethtool -S toe0 | awk -v wanted="$*" '
		sub(/^p[0-9]+_/, "", $1) && sub(/:$/, "", $1) { sum[$1] += $2 }
		END {
			n = split(wanted, names)
			for (i = 1; i <= n; i++) {
				if (!(names[i] in sum)) exit 1
				printf "%s%.0f", (i > 1 ? " " : ""), sum[names[i]]
			}
			print ""
		}'
}

# mib NAME: a counter of TCP in /proc/net/netstat
mib()
{
	awk -v name="$1" '$1 != "TcpExt:" { next }
		!header { header = split($0, names); next }
		{ for (i = 2; i <= header; i++) if (names[i] == name) { print $i; found = 1 } }
		END { exit !found }' /proc/net/netstat
}

# set_up: configures toe0 as at boot if it is down or new
set_up()
{
	ip link set toe0 up
	ip addr replace 192.0.2.1/24 dev toe0
	ip addr replace 2001:db8:77::1/64 dev toe0 nodad
}

# slot: prints the PCI slot of toe0
slot()
{
	basename "$(readlink -f /sys/class/net/toe0/device)"
}

# name_toe0 SLOT: renames the interface of the function in SLOT to toe0
name_toe0()
{
	local net=/sys/bus/pci/devices/$1/net old
	within 10 test -d "$net" || return
	old=$(ls "$net")
	[ "$old" = toe0 ] || ip link set "$old" name toe0
}

# reset_toe0: resets the function of toe0
reset_toe0()
{
	local slot
	slot=$(slot)
	echo 1 >/sys/bus/pci/devices/"$slot"/reset && name_toe0 "$slot" && set_up
}

# change_mtu: to the minimum of IPv6 and back
change_mtu()
{
	ip link set toe0 mtu 1280 && sleep 0.2 && ip link set toe0 mtu 1500
}

# filter_output: adds a packet filter until all connections have returned
filter_output()
{
	nft add table inet toe_test &&
		nft add chain inet toe_test output '{ type filter hook output priority 0; }' &&
		within 5 is connections 0 && nft delete table inet toe_test
}

# Kinds of frames of inject.py that do not belong to a stream.
# shellcheck disable=SC2034
FORGED=(old old-option old-timestamp old-ack future future-ack option bare signed duplicate
	syn reset finish urgent fragment ip-option)

# inject SECONDS KIND...: starts to inject 10,000 frames a second into the streams of the server, as
# $injector; prints the rate in $TEMP/rate
inject()
{
	peer python3 "$PWD/inject.py" "$(peer_dev)" "$PORT" 10000 "$@" >"$TEMP/rate" &
	injector=$!
}

# injecting: whether frames are still injected
injecting()
{
	kill -0 "$injector" 2>/dev/null
}

# injected: waits until no more frames are injected; whether that has worked
injected()
{
	wait "$injector"
}

# What the peer can make of its frames by `odd`. The padding before the timestamp becomes an unknown option.
UNKNOWN='@th,160,16 set 0xc802'
# The timestamp becomes padding.
NO_TIMESTAMP='@th,160,96 set 0x010101010101010101010101'
# The timestamp is old, if the peer's tcp_timestamps is 2: without a random offset.
OLD_TIMESTAMP='@th,192,32 set 1'
OLD_SEQUENCE='@th,32,8 set 0'
OLD_ACKNOWLEDGEMENT='@th,64,8 set 0'
# Single frames.
SELDOM='limit rate 1/second burst 1 packets'

# odd RULE...: lets the peer change frames that it sends with a timestamp
odd()
{
	peer nft -f - <<-END
		table inet toe_odd {
			chain output {
				type filter hook output priority 0
				$(printf "meta l4proto tcp tcp sport $PORT tcp flags & (syn|fin|rst) == 0 @th,160,32 0x0101080a %s counter\n" "$@")
			}
		}
	END
}

# changed: number of frames that `odd` has changed
changed()
{
	peer nft -j list table inet toe_odd | jq '[.. | .counter? // empty | .packets] | add // 0'
}

# even: ends `odd`
even()
{
	peer nft delete table inet toe_odd
}

# returned_early: number of connections returned other than at their end
returned_early()
{
	stats '.returned | del(.close, .shutdown, .fin, .reset) | add // 0'
}

# begin NAME PEER [OPTION...]: begins a transfer that stays delegated until `end`
begin()
{
	returned=$(returned_early)
	carry "$2" "${@:3}"
	check "$1: delegated" within 5 at_least 1 connections
}

# end NAME: ends the transfer of `begin`
end()
{
	carried "$1"
	stayed "$1"
}

# stays NAME PEER [OPTION...]: a stream that stays delegated
stays()
{
	local delegated
	returned=$(returned_early) delegated=$(stats .delegated)
	check "$1: data correct" stream "$2" "${@:3}"
	check "$1: delegated" at_least $((delegated + 1)) stats .delegated
	stayed "$1"
}

# stayed NAME: no connection has returned early since `begin` or in `stays`
stayed()
{
	check "$1: not returned" is returned_early "$returned"
	check "$1: no connections left" within 15 is connections 0
}

# An aborted test may have left changes.
restore()
{
	toectl impair toe0 off
	ip link set toe0 mtu 1500
	set_up
	peer ethtool -K "$(peer_dev)" tso on gso on >/dev/null 2>&1
	even 2>/dev/null
	peer nft delete table inet toe_ecn 2>/dev/null
	peer sysctl -qw net.ipv4.tcp_timestamps=1 net.ipv4.tcp_ecn=2
	[ -f /run/tcp_mem ] || sysctl -n net.ipv4.tcp_mem >/run/tcp_mem
	sysctl -qw net.ipv4.tcp_mem="$(</run/tcp_mem)"
	sysctl -qw net.toe.enable=2 net.toe.min_bytes=65536 net.ipv4.tcp_window_scaling=1 net.ipv4.tcp_ecn=2 \
		net.ipv4.tcp_ecn_fallback=1
}
restore

# Connections of tests are delegated as soon as they are established.
delegate_at_once()
{
	sysctl -qw net.toe.enable=2 net.toe.min_bytes=0
}
