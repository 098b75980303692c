#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Guest side of tools/vm/demo: iperf3 in each direction, an HTTP download, the
# connection table and the counters.

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. ./measure.sh

PEER=192.0.2.2
SECONDS_EACH=${SECONDS_EACH:-5}
MEGABYTES=${MEGABYTES:-64}

title()
{
	printf '\n== %s\n' "$1"
}

die()
{
	echo "demo: $*" >&2
	exit 1
}

title "The guest: Linux $(uname -r), $(nproc) CPUs, topology $TOE_TOPOLOGY"
ethtool -i toe0 | head -n 2
echo "toe0: $(lspci -s "$(basename "$(readlink /sys/class/net/toe0/device)")" 2>/dev/null || readlink /sys/class/net/toe0/device), $(ip -brief addr show toe0 | tr -s ' ')"

serve_iperf $PEER || exit 1
rows=()
for mode in off on; do
	offload $mode
	for direction in sent received; do
		[ $mode = on ] && who='delegated to the adapter' || who='Linux TCP'
		title "iperf3, $SECONDS_EACH s, guest ${direction/received/receives}, $who" |
			sed 's/guest sent/guest sends/'
		if [ $mode = on ]; then
			(sleep $((SECONDS_EACH / 2)); echo 'in mid-flight:'; toectl conn
			ss -Htni "dst $PEER" | grep -m 1 -o 'tcp-ulp-[^ ]*.*' | cut -c -100) &
		fi
		result=$(iperf "$SECONDS_EACH" $PEER $direction) || die "iperf3 failed"
		[ $mode = off ] || wait $!
		jq -r '"\(.gbits * 100 | round / 100) Gbit/s, \(.cpu_per_gb * 100 | round / 100) CPU-s/GB, \(.share * 10 | round / 10) % of the bytes carried by the adapter"' <<<"$result"
		rows+=("$(jq -r --arg what "iperf3 $direction" --arg who "$who" \
			'[$what, $who, (.gbits * 100 | round / 100), (.cpu_per_gb * 100 | round / 100), (.share * 10 | round / 10)] | @tsv' <<<"$result")")
	done
done

title "HTTP: nginx at the peer, curl in the guest, $MEGABYTES MiB"
www=$TOE_RUN/www
mkdir -p "$www"
head -c "${MEGABYTES}M" /dev/urandom >"$www/file"
cat >"$TOE_RUN/nginx.conf" <<-END
	user root;
	worker_processes 1;
	daemon off;
	pid nginx.pid;
	error_log stderr;
	events { }
	http {
		access_log off;
		sendfile on;
		server {
			listen 8080;
			root www;
		}
	}
END
sync
# If the peer is the build machine, the run's directory has another path there.
# shellcheck disable=SC2016
peer sh -c 'exec nginx -p "$TOE_RUN/" -c nginx.conf' </dev/null &
nginx=$!
before=$(carried received)
wanted=$(sha256sum <"$www/file")
curl --silent --show-error --retry 20 --retry-connrefused --retry-delay 1 \
	--write-out '%{http_code}: %{size_download} bytes, %{speed_download} bytes/s\n' \
	-o /tmp/file http://$PEER:8080/file || die "the download failed"
share=$(jq -n "100 * ($(carried received) - $before) / ($MEGABYTES * 1048576) * 10 | round / 10")
kill $nginx
[ "$(sha256sum </tmp/file)" = "$wanted" ] || die "the file that arrived is another: SHA-256 differs"
echo "SHA-256 agrees: ${wanted%% *}"
rows+=("$(printf 'HTTP received\tdelegated\t-\t-\t%s' "$share")")
rm -rf "$www" /tmp/file

title "Counters"
toectl stats toe0
echo
ethtool -S toe0 | grep -E '_toe_(delegated|returned|refused|rx_bytes|tx_bytes|retransmits):'

title "In one table"
for ((try = 0; try < 50; try++)); do
	left=$(toectl -j conn | jq length)
	[ "$left" -eq 0 ] && break
	sleep 0.1
done
{
	printf 'traffic\tcarried by\tGbit/s\tCPU-s/GB\tadapter %%\n'
	printf '%s\n' "${rows[@]}"
} | column -t -s $'\t'
echo
echo "Connections still delegated: $left"

# Check that the adapter carried the delegated runs and that all connections were returned.
printf '%s\n' "${rows[@]}" | awk -F '\t' '$2 ~ /^delegated/ && $5 < 90 { bad = 1 } END { exit bad }' ||
	die "less than 90 % of a delegated run went through the adapter"
[ "$left" -eq 0 ] || die "$left connections did not come back"
