#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The adapter lies to the driver for SECONDS_OF_LIES and at least 100 times, while connections carry data
# and the interface is configured: no operation hangs, the module can be removed, no page is missing, and
# the interface works when the adapter is honest again. Warnings, and leaks found at the end, fail the run.
#
# Needs an adapter that can lie: tools/vm/run --device-arg=--hostile=SEED,off. It is reset again and
# again; Linux reports a queue on which it does not send (--allow=NETDEV.WATCHDOG).
# topology: pair wire host
# timeout: 1200

. ./lib.sh

SECONDS_OF_LIES=${SECONDS_OF_LIES:-60}
slot=$(slot)
driver=/sys/bus/pci/drivers/toe

# device SIGNAL: sends SIGNAL to the adapter and prints the number of lies that toe0's function reports next
device()
{
	machine sh -c "
		log=\$TOE_RUN/device.log
		before=\$(grep -c 'function 0: .* lies' \$log)
		kill -$1 $(machine @device pid)
		for _ in \$(seq 200); do
			[ \$(grep -c 'function 0: .* lies' \$log) = \$before ] || break
			sleep 0.05
		done
		sed -n 's/.*function 0: .*\<\([0-9]*\) lies.*/\1/p' \$log | tail -n 1"
}

# streams PEER: transfers until $TEMP/streaming is removed. Lies corrupt, end and stall connections.
streams()
{
	while [ -e "$TEMP/streaming" ]; do
		timeout -s KILL "$(patience 2)" toe-stream client "$1" --port "$PORT" -u 256K -d 256K
		timeout -s KILL "$(patience 1)" toe-stream client "$1" --port "$PORT" -u 64K -d 64K --ulp toe
	done >/dev/null 2>&1
}

# given_up: whether the driver has given the function up, or could not bind to it
given_up()
{
	[ ! -e /sys/class/net/toe0 ] || dmesg | grep -q 'adapter disabled until the driver is bound again'
}

bind()
{
	dmesg -C
	[ ! -e $driver/"$slot" ] || echo "$slot" >$driver/unbind || return
	echo "$slot" >$driver/bind
}

# rebind: binds the driver, which lies may make fail, and configures the interface
rebind()
{
	bind && [ -d /sys/bus/pci/devices/"$slot"/net ] && name_toe0 "$slot" && set_up
}

# pools: number of page pools without an interface whose pages are not all back; the pool of one that was
# moved to another namespace is among them
pools()
{
	ynl netdev dump page-pool-get '{}' | jq '[.[] | select(.ifindex == null or .ifindex == 1)] | length'
}

OPERATIONS=(
	"ip link set toe0 down"
	"ip link set toe0 up"
	"ethtool -L toe0 combined 1"
	"ethtool -L toe0 combined $(nproc)"
	"ethtool -G toe0 rx 64 tx 128"
	"ethtool -G toe0 rx 1024 tx 1024"
	"ethtool -G toe0 tcp-data-split off"
	"ethtool -G toe0 tcp-data-split on"
	"ethtool -K toe0 rx-gro-hw off"
	"ethtool -K toe0 rx-gro-hw on"
	"ethtool -X toe0 equal 1"
	"ethtool -X toe0 default"
	"ethtool -C toe0 rx-usecs 50"
	"ethtool -S toe0"
	"ethtool -d toe0"
	"ip link set toe0 mtu 9000"
	"ip link set toe0 mtu 1500"
	"ip link set toe0 promisc on"
	"ip link set toe0 promisc off"
	"toectl conn return --all"
	"toectl conn offload --all"
	"toectl conn list"
	"ping -q -f -c 200 -w 1 $PEER4"
)

if ! machine sh -c "tr '\0' '\n' </proc/$(machine @device pid)/cmdline" | grep -q '^--hostile'; then
	echo "the adapter was started without --hostile"
	exit 4
fi

serve
start_ynl
delegate_at_once
pools=$(pools)
dmesg -C
check "honest: data correct" stream "$PEER4" -u 256K -d 256K
before=$(device USR2)
touch "$TEMP/streaming"
for peer in "$PEER4" "$PEER4" "$PEER6"; do
	in_background streams "$peer"
done

longest=0 slowest="" operations=0 binds=0
end=$((SECONDS + SECONDS_OF_LIES))
until [ $SECONDS -ge $end ] && [ $(($(device USR1) - before)) -ge 100 ]; do
	began=$SECONDS
	if given_up || [ $((RANDOM % 40)) -eq 0 ]; then
		operation="unbind and bind"
		rebind >/dev/null 2>&1
		binds=$((binds + 1))
	else
		operation=${OPERATIONS[RANDOM % ${#OPERATIONS[@]}]}
		$operation >/dev/null 2>&1
	fi
	operations=$((operations + 1))
	ip link set toe0 up 2>/dev/null
	if [ $((SECONDS - began)) -gt $longest ]; then
		longest=$((SECONDS - began)) slowest=$operation
	fi
done
after=$(device USR2)
echo "$((after - before)) lies, $operations operations, $binds times bound, longest: $longest s ($slowest)"

check "no operation hangs" test $longest -le "$(patience 20)"
rm "$TEMP/streaming"
pkill -KILL -f 'toe-stream client'
check "no process hangs" within 20 not pgrep -f 'toe-stream client'
check "the module can be removed" timeout "$(patience 20)" rmmod toe
check "no page pool is left" within 20 is pools "$pools"
check "the module can be loaded" insmod "$TOE_MODULE"
check "toe0 is back" name_toe0 "$slot"
restore
delegate_at_once
check "honest again: ping" within 10 ping -q -c 1 -W 1 "$PEER4"
for peer in "$PEER4" "$PEER6"; do
	check "honest again: data correct" stream "$peer" -u 1M -d 1M --ulp toe
done
check "no connections left" within 15 is connections 0

finish
