#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The driver: aliases, register dump, transmit timestamps; and a function that has to be reset again
# and again is given up until the driver is bound again.  The debug kernel is too slow for eleven
# resets within a minute.
# topology: wire host
# kernel: release
# timeout: 300

. ./lib.sh

slot=$(slot)

# alias ALIAS: whether the module is loaded for it
alias()
{
	modinfo -F alias "$TOE_MODULE" | grep -qFx "$1"
}

# register NUMBER: a 32-bit register in the dump
register()
{
	ethtool -d toe0 raw on | od -An -t x4 -j $((4 * $1)) -N 4 | tr -d ' '
}

# resets: number of resets
resets()
{
	ethtool -S toe0 | sed -n 's/^ *resets: //p'
}

# stamped PROTOCOL: whether a software timestamp tells when toe0 has sent a frame
stamped()
{
	timeout 20 python3 - "$1" "$PEER4" "$PORT" <<-'END'
		import select, socket, struct, sys, time
		SO_TIMESTAMPING, TX_SOFTWARE, SOFTWARE, TSONLY = 37, 1 << 1, 1 << 4, 1 << 11
		kind, peer, port = sys.argv[1:]
		with socket.socket(socket.AF_INET, getattr(socket, "SOCK_" + kind)) as sock:
		    sock.connect((peer, int(port)))
		    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE | TSONLY)
		    before = time.time()
		    sock.send(b"x")
		    poll = select.poll()
		    poll.register(sock, 0)
		    assert poll.poll(10000), "no timestamp"
		    _, messages, _, _ = sock.recvmsg(64, 512, socket.MSG_ERRQUEUE)
		    stamps = [data for _, name, data in messages if name == SO_TIMESTAMPING]
		    seconds, nanoseconds = struct.unpack_from("qq", stamps[0])
		    assert before <= seconds + nanoseconds / 1e9 <= time.time(), (before, seconds)
	END
}

check "the module has an alias for TCP_ULP" alias tcp-ulp-toe
check "the module has an alias for its netlink family" alias net-pf-16-proto-16-family-toe
check "register dump: MAGIC" is register 0 31454f54
check "register dump: PROCESSORS" is register 8 "$(printf %08x "$(nproc)")"
check "no invalid completions" is counter rx_invalid 0
check "ethtool -T" sh -c "ethtool -T toe0 | grep -q software-transmit"

sysctl -qw net.toe.enable=0
serve
check "a server listens" within 5 peer sh -c "ss -Htln sport = :$PORT | grep -q ."
check "timestamp of a datagram" stamped DGRAM
check "timestamp of a segment" stamped STREAM

# reset NUMBER: resets the function behind the driver's back, which notices it
reset()
{
	echo 1 >/sys/bus/pci/devices/"$slot"/reset && within 5 is resets "$1"
}

given_up()
{
	dmesg | grep -c 'adapter disabled until the driver is bound again' || true
}

before=$(resets)
check "not given up" is given_up 0
for number in {1..10}; do
	check "reset $number" reset $((before + number))
done
check "works after 10 resets" within 10 ping -q -c 1 -W 1 "$PEER4"
check "reset 11" reset $((before + 11))
check "given up" within 5 is given_up 1
check "no carrier" within 5 grep -q 0 /sys/class/net/toe0/carrier
echo 1 >/sys/bus/pci/devices/"$slot"/reset
sleep 2
check "one message" is given_up 1
check "no more resets" is resets $((before + 11))
check "unbind" sh -c "echo $slot >/sys/bus/pci/drivers/toe/unbind"
check "bind" sh -c "echo $slot >/sys/bus/pci/drivers/toe/bind"
check "toe0 is back" name_toe0 "$slot"
restore
check "works again" within 10 ping -q -c 1 -W 1 "$PEER4"

finish
