#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who may do what: an unprivileged user, root of a user namespace in this network namespace and in one
# of its own, and root of a container that has an interface of the adapter. The admin guide has the
# table.
# topology: pair wire
# timeout: 240

. ./lib.sh

serve
sysctl -qw net.toe.enable=1

# user COMMAND...: runs COMMAND as a user without privileges
user()
{
	"${as_user[@]}" "$@"
}
as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)

# The user as root of a user namespace, in this network namespace.
namespace_root()
{
	user unshare -Ur "$@"
}

# The user as root of a user and a network namespace.
own_root()
{
	user unshare -Urn "$@"
}

# seen WHO: number of delegated connections that WHO sees
seen()
{
	"$@" toectl -j conn list | jq length
}

# refused WORDS COMMAND...: whether COMMAND fails with WORDS
refused()
{
	if "${@:2}" >"$TEMP/output" 2>&1; then
		echo "it succeeds"
		return 1
	fi
	cat "$TEMP/output"
	grep -qiE "$1" "$TEMP/output"
}

# attach ADDRESS: sets TCP_ULP of a connection, and prints the error
attach()
{
	cat <<-END
		import socket, sys, time
		s = socket.create_connection(("$1", $PORT))
		for _ in range(50):
		    try:
		        s.setsockopt(socket.IPPROTO_TCP, 31, b"toe")
		        break
		    except BlockingIOError:
		        time.sleep(0.05)
		else:
		    sys.exit("busy")
	END
}

EPERM='not permitted|permission denied|EPERM'
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing

carry "$PEER4" --ulp toe
check "delegated" within 5 at_least 1 connections
for who in user namespace_root; do
	check "$who: sees connections" at_least 1 seen $who
	check "$who: sees statistics" $who toectl stats toe0
	check "$who: may not return a connection" refused "$EPERM" $who toectl conn return --all
	check "$who: may not hand one over" refused "$EPERM" $who toectl conn offload --rport "$PORT"
	check "$who: may not impair the port" refused "$EPERM" $who toectl impair toe0 loss 1%
	for name in enable min_bytes max_user_connections; do
		check "$who: may read net.toe.$name" $who cat /proc/sys/net/toe/$name
		check "$who: may not write net.toe.$name" refused "$EPERM" $who sh -c "echo 1 >/proc/sys/net/toe/$name"
	done
	check "$who: may read counters" $who ethtool -S toe0
	check "$who: may not set rings" refused "$EPERM" $who ethtool -G toe0 rx 512
	check "$who: may not set flags" refused "$EPERM" $who ethtool --set-priv-flags toe0 toe-delegation off
	check "$who: may not dump registers" refused "$EPERM" $who ethtool -d toe0
	check "$who: may not trace" refused "$EPERM" $who sh -c 'echo 1 >/sys/kernel/tracing/events/toe/enable'
	check "$who: may not look into debugfs" refused "$EPERM" $who ls /sys/kernel/debug
	check "$who: may hand over its own connection" $who python3 -c "$(attach "$PEER4")"
done
check "the connection is delegated still" at_least 1 connections

# In a network namespace of its own, what it may do concerns nobody else.
check "own namespace: no connections" is seen own_root 0
check "own namespace: has none to return" refused "no connection matches" own_root toectl conn return --all
check "own namespace: has no interface of the adapter" refused "no such|ENODEV" own_root toectl impair toe0 loss 1%
check "own namespace: may write its sysctl" own_root sh -c 'echo 0 >/proc/sys/net/toe/enable'
check "own namespace: that is not this one's" is sysctl -n net.toe.enable 1
check "own namespace: no adapter for its sockets" refused "no such device" own_root sh -c "
	ip link set lo up
	toe-stream server --port $PORT & sleep 1
	python3 -c '$(attach 127.0.0.1)'"
check "the connection is delegated still" at_least 1 connections
carried "delegated"

# A limit for each user.
sysctl -qw net.toe.max_user_connections=2
check "limit: two are delegated" user python3 -c "
$(attach "$PEER4")
t = s
$(attach "$PEER4")"
check "limit: the third is refused" refused "quota" user python3 -c "
$(attach "$PEER4")
t = s
$(attach "$PEER4")
u = s
$(attach "$PEER4")"
check "limit: the refusal is counted" at_least 1 stats '.refused["user-limit"]'
check "limit: another user is not concerned" python3 -c "$(attach "$PEER4")"
check "limit: connections that have ended do not count" within 5 user python3 -c "$(attach "$PEER4")"
sysctl -qw net.toe.max_user_connections=0

# A container: its root, a user without privileges here, has the interface.
"${as_user[@]}" unshare -Urn sh -c 'echo ready; exec sleep infinity' >"$TEMP/container" &
container=$!
background+=("$container")
check "container: runs" within 5 grep -q ready "$TEMP/container"
inside()
{
	user nsenter -t $container -U -n --preserve-credentials "$@"
}
ip link set toe0 netns $container
inside sh -c "ip link set lo up; ip link set toe0 up; ip addr add 192.0.2.1/24 dev toe0"
inside sh -c "echo 1 >/proc/sys/net/toe/enable"
inside toe-stream client "$PEER4" --port "$PORT" -u 1M -d 1M --rate 128K --ulp toe >"$TEMP/inside" 2>&1 &
client=$!
check "container: delegates" within 10 at_least 1 seen inside
check "container: this namespace does not see it" is seen env 0
check "container: this namespace has no such interface" refused "no such|ENODEV" toectl impair toe0 loss 1%
check "container: may impair its port" inside toectl impair toe0 loss 0.1%
check "container: may end that" inside toectl impair toe0 off
check "container: may return its connections" inside toectl conn return --all
check "container: data correct" wait $client || cat "$TEMP/inside"
kill $container
check "the interface comes back" within 20 test -d /sys/class/net/toe0
set_up

finish
