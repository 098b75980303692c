#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A process owns the socket of a delegated connection and does not release it: a page fault in its
# recvmsg() waits for a frozen file system.  Nobody waits for the process.  Its connection returns
# when it releases the socket, even if the adapter is gone by then.
# topology: wire host
# timeout: 600

. ./lib.sh

# An empty ext4 file system of 128 KiB.
IMAGE=KLUv/aQAAAIAlQYAwooZIaA3rQEjIvZSVUJVVQXB/8U7ZkEQMZzhMCdPb8p2QvaWKSziGBAL6iBQJKhpwxp3jqIrep8v5g/gGlxiXPIgzWf+
IMAGE+=ypJLjvtfWnVpLbkqpytPzi7v+d1LcN57FFr794cC78qnf3VoJCDgbCZIU9gGBaxygG8FD0jmYb39ZgXsSaZAWzjAjvu8skw5NV6TwFSPQjdI
IMAGE+=GhJdtXDvvBIjDgM0pElrY5FRtYylivYrZtCMV4G0zaphFrWNAdWY8gR/pY362xVGzgzwZNpxYTT/ClwBG9GTnQ==
ECHO=5310

serve
in_background peer socat TCP-LISTEN:$ECHO,reuseaddr,fork SYSTEM:cat
delegate_at_once
slot=$(slot)

mkdir "$TEMP/disk"
base64 -d <<<"$IMAGE" | zstd -dq >"$TEMP/image"
mount -t ext4 -o loop "$TEMP/image" "$TEMP/disk" || die "no file system"

let_go()
{
	fsfreeze -u "$TEMP/disk" 2>/dev/null
	exec {start}>&-
	umount "$TEMP/disk"
	clean_up
}
trap let_go EXIT

# soon COMMAND...: whether COMMAND ends in what is less than a second on an idle machine; its status
soon()
{
	timeout "$(patience 1)" "$@"
}

# soon_fails WORDS COMMAND...: whether COMMAND soon fails with WORDS
soon_fails()
{
	if soon "${@:2}" >"$TEMP/output" 2>&1; then
		echo "it succeeds"
		return 1
	fi
	cat "$TEMP/output"
	grep -q "$1" "$TEMP/output"
}

# own: starts a process that owns its socket, as $owner
own()
{
	head -c 4096 /dev/zero >"$TEMP/disk/page"
	sync -f "$TEMP/disk"
	exec {start}<> <(:)
	python3 own_socket.py "$PEER4" $ECHO "$TEMP/disk/page" <&"$start" >"$TEMP/owner" 2>&1 &
	owner=$!
	check "$1: connected" within 10 grep -q connected "$TEMP/owner"
	check "$1: delegated" within 10 delegated $ECHO
	fsfreeze -f "$TEMP/disk"
	echo >&"$start"
	check "$1: the process owns its socket" within 10 grep -q '^State:.D' "/proc/$owner/status"
}

# release: thaws the file system; whether the process has received and sent all
release()
{
	fsfreeze -u "$TEMP/disk"
	wait "$owner" || { cat "$TEMP/owner"; return 1; }
}

# delegated PORT: whether a connection to PORT is delegated
delegated()
{
	toectl -j conn list --dev toe0 | jq -e "any(.[]; .remote | endswith(\":$1\"))"
}

filter()
{
	nft add table inet toe_test &&
		nft add chain inet toe_test output '{ type filter hook output priority 0; }'
}

unbind()
{
	echo "$slot" >/sys/bus/pci/drivers/toe/unbind
}

configure()
{
	name_toe0 "$slot" && set_up && delegate_at_once
}

bind()
{
	echo "$slot" >/sys/bus/pci/drivers/toe/bind
	configure
}
export slot
export -f unbind

own "first"
carry "$PEER4"
check "another connection is delegated meanwhile" within 5 delegated "$PORT"
filter
check "a filter: the other one returns" within 3 not delegated "$PORT"
nft delete table inet toe_test
check "it is delegated again" within 10 delegated "$PORT"
check "toectl conn return --all says that a process owns a socket" soon_fails "a process owns" toectl conn return --all
check "the other one has returned" test "$(returned user)" -ge 1
check "toectl conn offload hands it over again" soon toectl conn offload --rport "$PORT"
check "toectl conn offload does not wait" soon_fails "a process owns" toectl conn offload --rport $ECHO
check "rmmod does not wait" soon_fails "in use" rmmod toe
check "the module is still there" test -d /sys/module/toe/drivers
check "ip link set toe0 down" soon ip link set toe0 down
set_up
check "delegated after ip link set toe0 up" within 10 delegated "$PORT"
check "released: data correct" release
check "released: returned" within 10 not delegated $ECHO
carried "the other one"

own "second"
check "unbind" soon bash -c unbind
check "rmmod does not wait for the gone adapter's socket" soon_fails "in use" rmmod toe
check "bind" bind
check "the new adapter works" stream "$PEER4" -u 1M -d 1M
check "released after unbind: data correct" release
check "no connections left" within 15 is connections 0
check "rmmod" timeout "$(patience 10)" rmmod toe
check "insmod" insmod "$TOE_MODULE"
check "toe0 is back" configure

finish
