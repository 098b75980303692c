#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail, one after the other, while the driver binds to the function and
# while the interface is brought up: each failure is undone without a trace, and the
# next try succeeds.  What leaks, kmemleak finds at the end of the run.
#
# There are several hundred of them; each run takes one in STEP, beginning at random.
# STEP=1 takes all, in ten minutes.
# topology: host wire
# kernel: debug
# timeout: 300

. ./lib.sh

STEP=${STEP:-12}
exec 4>&1
slot=$(basename "$(readlink -f /sys/class/net/toe0/device)")
driver=/sys/bus/pci/drivers/toe

for fault in failslab fail_page_alloc; do
	echo N >/sys/kernel/debug/$fault/ignore-gfp-wait
	echo 0 >/sys/kernel/debug/$fault/verbose
done
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order

# nth N VALUE FILE: writes VALUE to FILE while the N-th allocation of this shell fails, and tells
# in `reached` whether there were so many
nth()
{
	local left
	echo "$1" >/proc/self/fail-nth
	{ echo "$2" >"$3"; } 2>/dev/null
	status=$?
	read -r left </proc/self/fail-nth
	echo 0 >/proc/self/fail-nth
	reached=$((left == 0))
}

# each_failure VALUE FILE UNDO: with every STEP-th N, until there is none that fails
each_failure()
{
	local n=$((RANDOM % STEP)) tries=0 failed=0 status reached=1
	while [ $reached -eq 1 ]; do
		n=$((n + STEP))
		nth $n "$1" "$2"
		tries=$((tries + 1))
		if [ $status -eq 0 ]; then "$3"; else failed=$((failed + 1)); fi
	done
	echo "# $tries tries up to the ${n}th allocation, of which $failed failed" >&4
	[ $failed -gt 0 ]
}

unbind()
{
	echo "$slot" >$driver/unbind
}

down()
{
	ip link set "$name" down
}

check "unbound" unbind
check "each failure to bind" each_failure "$slot" $driver/bind unbind
check "bound at last" sh -c "echo $slot >$driver/bind"
within 10 test -d /sys/bus/pci/devices/"$slot"/net
name=$(ls /sys/bus/pci/devices/"$slot"/net)
check "each failure to come up" each_failure 0x1003 "/sys/class/net/$name/flags" down
[ "$name" = toe0 ] || ip link set "$name" name toe0
restore
check "a ping at last" within 10 ping -q -c 1 -W 1 $PEER4

finish
