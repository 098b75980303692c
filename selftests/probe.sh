#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail, one after the other, while the driver binds to the function and
# while the interface is brought up: each failure is undone without a trace, and the
# next try succeeds.  What leaks, kmemleak finds at the end of the run.
#
# There are hundreds of them to bind, and thousands, pages to lend mostly, to come up.
# From one to the next of a run is one, and one in DENSITY of how many came before;
# a DENSITY of 10000 takes all, in an hour.
# topology: host wire
# kernel: debug
# timeout: 300

. ./lib.sh

DENSITY=${DENSITY:-6}
exec 4>&1
slot=$(slot)
driver=/sys/bus/pci/drivers/toe

can_fail

# nth N VALUE FILE: writes VALUE to FILE while the N-th allocation of this shell fails, and tells
# in `reached` whether there were so many
nth()
{
	local left
	echo "$1" >/proc/self/fail-nth
	status=0
	{ echo "$2" >"$3"; } 2>/dev/null || status=1
	# That, too, may be what fails.
	left=0
	{ read -r left </proc/self/fail-nth; } 2>/dev/null
	echo 0 >/proc/self/fail-nth
	reached=$((left == 0))
}

# each_failure VALUE FILE UNDO: until there is no N that fails
each_failure()
{
	local n=0 tries=0 failed=0 status reached=1
	while [ "$reached" -eq 1 ]; do
		n=$((n + 1 + (n + RANDOM % DENSITY) / DENSITY))
		nth $n "$1" "$2"
		tries=$((tries + 1))
		if [ "$status" -eq 0 ]; then "$3"; else failed=$((failed + 1)); fi
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
	ip link set toe0 down
}

check "unbound" unbind
check "each failure to bind" each_failure "$slot" $driver/bind unbind
check "bound at last" sh -c "echo $slot >$driver/bind"
check "toe0 is there again" name_toe0 "$slot"
check "each failure to come up" each_failure 0x1003 /sys/class/net/toe0/flags down
restore
check "a ping at last" within 10 ping -q -c 1 -W 1 "$PEER4"

finish
