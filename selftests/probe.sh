#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail, one in each attempt, while the driver binds to the function and while
# the interface is brought up: each failure is undone completely, and the next attempt
# succeeds.  kmemleak finds leaks at the end of the run.
#
# Binding makes hundreds of allocations, bringing up thousands, mostly of receive pages.
# The distance between two tested ones is 1 plus the number so far divided by DENSITY; a
# DENSITY of 10000 tests all in an hour.
# topology: host wire
# kernel: debug
# timeout: 600

. ./lib.sh

DENSITY=${DENSITY:-6}
exec 4>&1
slot=$(slot)
driver=/sys/bus/pci/drivers/toe

can_fail

# nth N VALUE FILE: writes VALUE to FILE while the N-th allocation of this shell fails; `reached`
# says whether there were that many
nth()
{
	local left
	echo "$1" >/proc/self/fail-nth
	status=0
	{ echo "$2" >"$3"; } 2>/dev/null || status=1
	# This may fail as well.
	left=0
	{ read -r left </proc/self/fail-nth; } 2>/dev/null
	echo 0 >/proc/self/fail-nth
	reached=$((left == 0))
}

# each_failure VALUE FILE UNDO: tests increasing N until no allocation fails
each_failure()
{
	local n=0 tries=0 failed=0 status reached=1
	while [ "$reached" -eq 1 ]; do
		n=$((n + 1 + (n + RANDOM % DENSITY) / DENSITY))
		nth $n "$1" "$2"
		tries=$((tries + 1))
		if [ "$status" -eq 0 ]; then "$3"; else failed=$((failed + 1)); fi
	done
	echo "# $tries attempts up to allocation $n, $failed failed" >&4
	[ $failed -gt 0 ]
}

unbind()
{
	echo "$slot" >$driver/unbind
}

down()
{
	ip link set toe0 down
}

check "unbind" unbind
check "each failure in probe" each_failure "$slot" $driver/bind unbind
check "bind succeeds without failures" sh -c "echo $slot >$driver/bind"
check "toe0 is registered again" name_toe0 "$slot"
check "each failure in ndo_open" each_failure 0x1003 /sys/class/net/toe0/flags down
restore
check "ping" within 10 ping -q -c 1 -W 1 "$PEER4"

finish
