# SPDX-License-Identifier: GPL-2.0
#
# The steps of guest/main.
# shellcheck shell=bash

# fail WORDS: ends the run with an error
fail()
{
	echo "failed $*" >&3
	power_off
}

power_off()
{
	sync
	# No file can be read from here on: wait with shell built-ins only.
	exec 5<> <(:)
	echo o >/proc/sysrq-trigger
	while :; do read -rt 60 _ <&5; done
}

mount_all()
{
	umount -l /mnt
	mount -a -T /srv/fstab || echo "toe: not all of /srv/fstab could be mounted"
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/mounts /etc/mtab
}

# Virtio-serial channels by their QEMU names.
find_channels()
{
	local port name links=()
	for port in /sys/class/virtio-ports/*; do
		read -r name <"$port/name" && links+=("../${port##*/}" "/dev/toe/${name#toe.}")
	done
	perl -e 'mkdir "/dev/toe"; while (@ARGV) { symlink shift, shift }' "${links[@]}"
}

# interface_at SLOT: prints the network interface behind the root port in SLOT
interface_at()
{
	local try path
	for ((try = 0; try < 50; try++)); do
		for path in /sys/devices/pci0000:00/0000:00:"$1".0/*:*:*.*/{,virtio*/}net/*; do
			[ -d "$path" ] || continue
			echo "${path##*/}"
			return
		done
		read -rt 0.1 _ <&5
	done
	return 1
}

# set_up_link NAMESPACE SLOT NAME IPV4 IPV6
set_up_link()
{
	local old
	old=$(interface_at "$2") || fail "the driver made no network interface for $3: see the kernel log"
	{
		[ "$old" = "$3" ] || echo "link set $old name $3"
		[ -z "$1" ] || echo "link set $3 netns $1"
	} | ip -batch - || fail "$old cannot become $3"
	# nodad: the address is usable immediately
	ip ${1:+-netns "$1"} -batch - <<-END || fail "$3 cannot be brought up"
		addr add $4/24 dev $3
		addr add $5/64 dev $3 nodad
		link set $3 up
	END
}

# wait_for_carrier NAME: waits until the adapter reports its link as up
wait_for_carrier()
{
	local try carrier
	for ((try = 0; try < 100; try++)); do
		read -r carrier <"/sys/class/net/$1/carrier" && [ "$carrier" = 1 ] && return
		read -rt 0.05 _ <&5
	done
	fail "$1 has no carrier: see device.log"
}

bring_up()
{
	# Sleeps without a process: this descriptor never becomes readable.
	exec 5<> <(:)
	[ "$TOE_ACCEL" != tcg ] || modprobe stale_int3 ||
		fail "the module stale_int3 does not load: run 'make setup'"
	ip link set lo up
	case $TOE_TOPOLOGY in
	pair|wire)
		ip netns add peer
		ip -netns peer link set lo up
		;;
	esac
	case $TOE_TOPOLOGY in
	host|none) set_up_link "" 12 eth0 198.51.100.1 2001:db8:88::1 ;;
	wire) set_up_link peer 13 eth0 192.0.2.2 2001:db8:77::2 ;;
	esac
	[ "$TOE_TOPOLOGY" != none ] || return
	insmod "$TOE_MODULE" || fail "toe.ko does not load into this kernel: see the kernel log"
	[ "$TOE_TOPOLOGY" != pair ] || set_up_link peer 11 toe1 192.0.2.2 2001:db8:77::2
	set_up_link "" 10 toe0 192.0.2.1 2001:db8:77::1
	wait_for_carrier toe0
	if [ -n "$TOE_NO_OFFLOAD" ] && [ -e /proc/sys/net/toe/enable ]; then
		echo 0 >/proc/sys/net/toe/enable
	fi
}

# Follows the size of the user's terminal, which the runner sends.
resizes()
{
	local verb rows columns
	while read -r verb rows columns <&3; do
		[ "$verb" = size ] && stty -F /dev/hvc0 rows "$rows" cols "$columns"
	done
}

# Unloads the module and checks for leaks with kmemleak.  A second scan confirms
# the results of the first.  Leaks of the kernel's own boot (comm swapper) are
# ignored.
find_leaks()
{
	[ "$TOE_TOPOLOGY" != none ] || return
	if [ -d /sys/module/toe ]; then
		timeout 120 rmmod toe ||
			echo '<4>WARNING: toe.ko could not be unloaded after the command' >/dev/kmsg
	fi
	[ -e /sys/kernel/debug/kmemleak ] || return
	# kmemleak ignores objects younger than five seconds.
	sleep 5
	echo scan >/sys/kernel/debug/kmemleak
	echo scan >/sys/kernel/debug/kmemleak
	awk '/^unreferenced object/ {
		head = $0
		getline
		ours = $0 !~ /comm "swapper\//
		if (ours)
			print head
	}
	ours' /sys/kernel/debug/kmemleak >/dev/console
}
