#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU counts what the guest executes and copies, in a guest with --count.

. ./lib.sh
. ../tools/bench/measure.sh

[ -e /dev/toe/count ] || { echo "needs --count"; exit 4; }

SIZE=$((16 << 20))
FILE=$TEMP/file
head -c $SIZE /dev/zero >"$FILE"

# between LEAST MOST VALUE
between()
{
	if [ "$3" -lt "$1" ] || [ "$3" -gt "$2" ]; then
		echo "$3 is not between $1 and $2"
		return 1
	fi
}

# spin N: executes a number of instructions of user space that is proportional to N
spin()
{
	awk -v n="$1" 'BEGIN { while (i < n) i++ }'
}

kernel=0 user=0 copied=0
counted true
rest=$user
counted spin 200000
once=$((user - rest))
counted spin 400000
check "user space: twice the work" between $((once * 19 / 10)) $((once * 21 / 10)) $((user - rest))
check "kernel: less than user space" between 1 "$user" "$kernel"

counted cat "$FILE" >/dev/null
check "copied bytes of a file" between $SIZE $((SIZE + SIZE / 20)) "$copied"

# profiled FUNCTION: bytes that FUNCTION copies for a file
profiled()
{
	../tools/bench/profile -n 10000 dd if="$FILE" of=/dev/null bs=64k 2>/dev/null |
		awk -v name="$1" '$4 == name { print $3; found = 1 } END { exit !found }'
}
check "profile: the function that copies" at_least $SIZE profiled rep_movs_alternative

finish
