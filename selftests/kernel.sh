#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own tests of network drivers, as they are. Each named test must
# pass, and toe0 be afterwards what it was before.
# topology: pair
# kernel: release
# timeout: 600

. ./lib.sh

[ -d /usr/lib/kselftest/drivers/net ] ||
	die "the kernel's own tests are not there: run 'tools/vm/setup kselftest' on the machine"

# The tests, and the cases of each that need what toe0 does not have.
tests="stats.py queues.py hds.py napi_id.py hw/csum.py hw/irq.py hw/rss_api.py hw/ntuple.py hw/devmem.py hw/ethtool_rmon.sh hw/ethtool_std_stats.sh"
declare -A skipped=(
	# Neither flow control nor error correction on a wire that is none.
	[stats.py]="check_pause check_fec check_fec_hist"
	# Nor collisions, control frames or anything else that only a real MAC meets.
	[hw/ethtool_std_stats.sh]="eth-ctrl-MACControlFramesTransmitted eth-ctrl-MACControlFramesReceived
		eth-mac-FrameCheckSequenceErrors eth-mac-AlignmentErrors eth-mac-CarrierSenseErrors
		eth-mac-InRangeLengthErrors eth-mac-OutOfRangeLengthField eth-mac-FramesAbortedDueToXSColls
		eth-mac-SingleCollisionFrames eth-mac-MultipleCollisionFrames
		eth-mac-FramesWithDeferredXmissions eth-mac-LateCollisions
		eth-mac-FramesWithExcessiveDeferral tx_pause_frames rx_pause_frames"
)

export NETIF=toe0 LOCAL_V4=192.0.2.1 LOCAL_V6=2001:db8:77::1
export REMOTE_V4=$PEER4 REMOTE_V6=$PEER6 REMOTE_TYPE=netns REMOTE_ARGS=peer
export PYTHONDONTWRITEBYTECODE=1
# They take toe0 down and up again.
sysctl -qw net.ipv6.conf.toe0.keep_addr_on_down=1
# irq.py wants another affinity than the one that there is: with two processors, one of them is that.
awk -F ':' '/toe-/ { print $1 + 0 }' /proc/interrupts | while read -r irq; do
	echo 1 >"/proc/irq/$irq/smp_affinity"
done

# settings: of toe0, all that a test might leave changed
settings()
{
	local option
	for option in -k -l -g -c -x; do
		ethtool $option toe0
	done
	ip -d -o link show toe0 | sed 's/ state [A-Z]*//'
	ip -o addr show toe0 | sed 's/ valid_lft.*//; s/ tentative//'
	tc qdisc show dev toe0 | cut -d ' ' -f 2,4- | sed 's/parent [0-9a-f]*:/parent :/'
}

# passes TEST: every case of it passed, or is one of those that do not apply
passes()
{
	local output=$TEMP/${1##*/} skip=${skipped[$1]-} bad
	"/usr/lib/kselftest/drivers/net/$1" >"$output" 2>&1
	bad=$(awk -v skipped=" ${skip//[$'\n\t']/ } " '
		/^1\.\.[0-9]+$/ { planned = substr($0, 4) }
		/^not ok / { print; ended++ }
		/^ok .* # (SKIP|XFAIL)/ { split($3, name, "."); if (!index(skipped, " " name[2] " ")) print }
		/^ok / { ended++ }
		END { if (!ended || ended != planned) print "it did not come to its end" }' "$output")
	[ -z "$bad" ] || { cat "$output"; return 1; }
}

settings >"$TEMP/before"
for test in $tests; do
	check "$test" passes "$test"
	# Linux switches it off for good when a generic XDP program is attached.
	case $test in hds.py|hw/irq.py) ethtool -K toe0 rx-gro-hw on ;; esac
	settings >"$TEMP/after"
	check "$test: toe0 is what it was" diff "$TEMP/before" "$TEMP/after"
	cp "$TEMP/after" "$TEMP/before"
done

finish
