#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ECN (RFC 3168): the peer's packet filter marks frames of both directions. Connections stay delegated,
# reduce their windows, and have the peer reduce its own. Of IPv6, nft matches the field, but does not set it
# in this kernel: there, frames are only seen to be capable.
# topology: pair wire host
# timeout: 300

. ./lib.sh

MARK='limit rate 50/second burst 1 packets'

# mark: lets the peer mark ECN-capable frames that it receives and sends, and count what it sees
mark()
{
	peer nft -f - <<-END
		table inet toe_ecn {
			counter capable { }
			counter up { }
			counter down { }
			counter echoed { }
			counter reduced { }
			chain input {
				type filter hook prerouting priority -300
				tcp dport $PORT tcp flags & (syn|ecn) == ecn counter name echoed
				tcp dport $PORT tcp flags & (syn|cwr) == cwr counter name reduced
				tcp dport $PORT ip ecn ect0 $MARK ip ecn set ce counter name up
				tcp dport $PORT ip6 ecn ect0 counter name capable
			}
			chain output {
				type filter hook output priority 0
				tcp sport $PORT ip ecn ect0 $MARK ip ecn set ce counter name down
			}
		}
	END
}

# seen COUNTER: prints a counter of `mark`
seen()
{
	peer nft -j list counter inet toe_ecn "$1" | jq '[.. | .packets? // empty] | add'
}

# negotiated: whether the connection uses ECN
negotiated()
{
	ss -Htion "dport = :$PORT" | grep -qw ecn
}

# A SYN that is late on a busy machine is repeated without ECN otherwise.
sysctl -qw net.ipv4.tcp_ecn=1 net.ipv4.tcp_ecn_fallback=0
peer sysctl -qw net.ipv4.tcp_ecn=1
serve
delegate_at_once

# transfer NAME PEER: a transfer with ECN that stays delegated
transfer()
{
	begin "$1" "$2"
	check "$1: ECN negotiated" negotiated
	end "$1"
}

mark
delivered=$(mib TCPDeliveredCE)
transfer "IPv4" "$PEER4"
check "frames to the peer are capable, and marked" at_least 1 seen up
check "frames from the peer are marked" at_least 1 seen down
check "marks are echoed" at_least 1 seen echoed
check "reductions are announced" at_least 1 seen reduced
check "marks counted" [ "$(mib TCPDeliveredCE)" -gt "$delivered" ]
echo "# marked $(seen up) up, $(seen down) down; echoed $(seen echoed), reduced $(seen reduced)"
transfer "IPv6" "$PEER6"
check "frames over IPv6 are capable" at_least 100 seen capable

# Tests in Python do not restore.
restore
finish
