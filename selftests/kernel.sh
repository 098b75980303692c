#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own network driver tests, unmodified.  Each named test must pass and leave
# toe0 with its former settings.
# topology: pair
# kernel: release
# timeout: 2200

. ./lib.sh

[ -d /usr/lib/kselftest/drivers/net ] ||
	die "the kernel's own tests are not there: run 'tools/vm/setup kselftest' on the machine"

# The tests, with their cases that need functions toe0 does not have.
tests="stats.py queues.py hds.py napi_id.py napi_threaded.py ring_reconfig.py so_txtime.py netpoll_basic.py
	ping.py xdp.py hw/xdp_metadata.py hw/csum.py hw/irq.py hw/pp_alloc_fail.py hw/rss_api.py
	hw/rss_input_xfrm.py hw/toeplitz.py hw/ntuple.py hw/devmem.py hw/tso.py hw/uso.py hw/ethtool_rmon.sh hw/ethtool_std_stats.sh"
declare -A skipped=(
	# There is no flow control and no error correction without a physical link.
	[stats.py]="check_pause check_fec check_fec_hist"
	# XDP programs run on the host, not in the adapter.
	[ping.py]="test_xdp_offload"
	# The adapter does not segment inside tunnels.
	[hw/tso.py]="vxlan4_ipv4 vxlan4_ipv6 vxlan6_ipv4 vxlan6_ipv6 vxlan_csum4_ipv4 vxlan_csum4_ipv6
		vxlan_csum6_ipv4 vxlan_csum6_ipv6 gre4_ipv4 gre4_ipv6 gre6_ipv4 gre6_ipv6 ip4_ipv4 ip4_ipv6
		ip6_ipv4 ip6_ipv6"
	# There are no two CPUs without queue interrupts.
	[hw/toeplitz.py]="test.rps_tcp_ipv4 test.rps_tcp_ipv6 test.rps_udp_ipv4 test.rps_udp_ipv6"
	# There are no collisions, control frames or other events of a physical MAC.
	[hw/ethtool_std_stats.sh]="eth-ctrl-MACControlFramesTransmitted eth-ctrl-MACControlFramesReceived
		eth-mac-FrameCheckSequenceErrors eth-mac-AlignmentErrors eth-mac-CarrierSenseErrors
		eth-mac-InRangeLengthErrors eth-mac-OutOfRangeLengthField eth-mac-FramesAbortedDueToXSColls
		eth-mac-SingleCollisionFrames eth-mac-MultipleCollisionFrames
		eth-mac-FramesWithDeferredXmissions eth-mac-LateCollisions
		eth-mac-FramesWithExcessiveDeferral tx_pause_frames rx_pause_frames"
)

# Cases that depend on timing.  The guest is emulated and the machine may be busy: a failed test is
# repeated for this many seconds and must pass once.  (pp_alloc_fail waits for the end of iperf3, which
# sometimes does not end.)
declare -A again=([so_txtime.py]=400 [netpoll_basic.py]=150 [xdp.py]=150
	[hw/csum.py]=150 [hw/toeplitz.py]=300 [hw/devmem.py]=100 [hw/pp_alloc_fail.py]=100)

# Tests with deadlines that a slow machine misses.  Their repetitions run as on upstream's slow machines,
# with later deadlines and without a verdict on lateness.
late="so_txtime.py"

exec 4>&1
export NETIF=toe0 LOCAL_V4=192.0.2.1 LOCAL_V6=2001:db8:77::1
export PYTHONDONTWRITEBYTECODE=1
export REMOTE_V4=$PEER4 REMOTE_V6=$PEER6 REMOTE_TYPE=netns REMOTE_ARGS=peer
# These take toe0 down and up again.
sysctl -qw net.ipv6.conf.toe0.keep_addr_on_down=1

# Debian's ethtool 6.14 prints queue numbers as text only; the tests expect the output of newer ones.
mkdir "$TEMP/bin"
cat >"$TEMP/bin/ethtool" <<'SCRIPT'
#!/bin/sh
if [ "$1 $2" = "--json -l" ]; then
	channels=$(/usr/sbin/ethtool -l "$3") || exit
	echo "$channels" | awk -F ':[ \t]*' -v name="$3" '
		/^Pre-set/ { suffix = "-max" }
		/^Current/ { suffix = "" }
		$2 ~ /^[0-9]+$/ { list = list ", \"" tolower($1) suffix "\": " $2 }
		END { print "[ { \"ifname\": \"" name "\"" list " } ]" }'
	exit
fi
exec /usr/sbin/ethtool "$@"
SCRIPT
# iperf3 has 20 seconds to start, with 16 streams on two emulated CPUs.
cat >"$TEMP/bin/bpftrace" <<'SCRIPT'
#!/bin/sh
exec chrt -f 1 /usr/bin/bpftrace "$@"
SCRIPT
chmod +x "$TEMP/bin/"*
export PATH=$TEMP/bin:$PATH

# settings: prints all settings of toe0 that a test might change
settings()
{
	local option
	for option in -k -l -g -c -x; do
		ethtool $option toe0
	done
	ip -d -o link show toe0 | sed 's/ state [A-Z]*//'
	ip -o addr show toe0 | sed 's/ valid_lft.*//; s/ tentative//'
	tc qdisc show dev toe0 | cut -d ' ' -f 2,4- | sed 's/parent [0-9a-f]*:/parent :/'
	cat /sys/class/net/toe0/{threaded,napi_defer_hard_irqs,gro_flush_timeout}
}

# defer_interrupts COUNT NANOSECONDS
defer_interrupts()
{
	echo "$1" >/sys/class/net/toe0/napi_defer_hard_irqs
	echo "$2" >/sys/class/net/toe0/gro_flush_timeout
}

# failed TEST: cases that failed according to the output, except those that do not apply
failed()
{
	local skip=${skipped[$1]-}
	awk -v skipped=" ${skip//[$'\n\t']/ } " '
		/^1\.\.[0-9]+$/ { planned = substr($0, 4) }
		/^not ok / { print; ended++ }
		/^ok .* # (SKIP|XFAIL)/ {
			name = $3; sub(/^[^.]*\./, "", name)
			all = name; sub(/\..*/, "", all)
			if (!index(skipped, " " name " ") && !index(skipped, " " all " ")) print
		}
		/^ok / { ended++ }
		END { if (!ended || ended != planned) print "the test did not finish" }' "$TEMP/${1##*/}"
}

# passes TEST: every case passed or does not apply
passes()
{
	local output=$TEMP/${1##*/} end=$((SECONDS + ${again[$1]:-0})) only=() run=(env) bad
	# Not all of them are executable.
	[[ $1 != *.py ]] || run=(env python3)
	while :; do
		"${run[@]}" "/usr/lib/kselftest/drivers/net/$1" "${only[@]}" >"$output" 2>&1
		bad=$(failed "$1")
		[ -n "$bad" ] || return 0
		[ $SECONDS -lt $end ] || break
		if [[ " $late " == *" $1 "* ]] && [ "${run[1]}" != KSFT_MACHINE_SLOW=yes ]; then
			echo "# $1: again, with KSFT_MACHINE_SLOW" >&4
			run=(env KSFT_MACHINE_SLOW=yes "${run[@]:1}")
		fi
		# An aborted test leaves settings changed.
		ethtool -G toe0 rx "$ring"
		# Names of failed cases; for an aborted test its own name.
		only=()
		[[ $bad == *"did not finish"* ]] ||
			mapfile -t only < <(sed -E 's/^(not )?ok [0-9]+ [^.]*\.([^ ]*).*/-t\2/' <<<"$bad")
	done
	cat "$output"
	return 1
}

ring=$(ethtool --json -g toe0 | jq '.[0].rx')
settings >"$TEMP/before"
for test in $tests; do
	case $test in
	netpoll_basic.py)
		# The queue must be stopped when the console writes. Delegated connections do not
		# send through it, and its frames must not be completed before it is polled.
		sysctl -qw net.toe.enable=0
		defer_interrupts 1000 20000000
		# The libraries of this test have 200 MB.
		bpftrace -e 'BEGIN { exit(); }' >/dev/null
		;;
	# The adapter segments payload of delegated connections regardless of Linux's TSO setting.
	hw/tso.py) sysctl -qw net.toe.enable=0 ;;
	# These need ports in the hash, which UDP does not have by default.
	hw/xdp_metadata.py|hw/rss_input_xfrm.py|hw/toeplitz.py)
		for ip in 4 6; do ethtool -N toe0 rx-flow-hash udp$ip sdfn; done
		;;
	esac
	check "$test" passes "$test"
	case $test in
	hw/xdp_metadata.py|hw/rss_input_xfrm.py|hw/toeplitz.py)
		for ip in 4 6; do ethtool -N toe0 rx-flow-hash udp$ip sd; done
		;;
	netpoll_basic.py)
		sysctl -qw net.toe.enable=2
		defer_interrupts 0 0
		;;
	hw/tso.py) sysctl -qw net.toe.enable=2 ;;
	# Replacing the root qdisc by the same kind keeps its children.
	ring_reconfig.py) tc qdisc del dev toe0 root ;;
	# Linux disables it permanently when a generic XDP program is attached.
	ping.py) ethtool -K toe0 rx-gro-hw on ;;
	esac
	settings >"$TEMP/after"
	check "$test: settings restored" diff "$TEMP/before" "$TEMP/after"
	cp "$TEMP/after" "$TEMP/before"
done

# delivers TEST: it passes, and the adapter delivers payload meanwhile. All payload of such a short
# connection may arrive before the hand-over, so several attempts are allowed.
delivers()
{
	local before try
	before=$(stats .received)
	for ((try = 0; try < 10; try++)); do
		passes "$1" || return
		[ "$(stats .received)" -eq "$before" ] || return 0
	done
	echo "the adapter has delivered nothing"
	return 1
}

# Payload of delegated connections is placed in application memory like that of others.
delegate_at_once
check "hw/devmem.py, delegated" delivers hw/devmem.py

finish
