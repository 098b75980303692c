#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# toe0 transfers ordinary IPv4 and IPv6 frames of all sizes.

status=0
for address in 192.0.2.2 2001:db8:77::2; do
	for size in 0 56 1400 8000; do
		ping -q -c 3 -i 0.05 -W 5 -s $size $address >/tmp/ping.log ||
			{ echo "$address, $size bytes:"; cat /tmp/ping.log; status=1; }
	done
done
exit $status
