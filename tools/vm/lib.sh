# SPDX-License-Identifier: GPL-2.0
#
# Shared by the shell scripts of the test bed: paths and messages.
# shellcheck shell=bash

TOE_TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
TOE_CACHE=${TOE_CACHE:-${HOME:?}/.cache/toe}
case $TOE_CACHE in /*) ;; *) TOE_CACHE=$PWD/$TOE_CACHE ;; esac
TOE_ROOT=$TOE_CACHE/root
# Kernel series of this tree, as in the name of Debian's source package.
TOE_SERIES=7.3
export TOE_TREE TOE_CACHE TOE_ROOT TOE_SERIES

# die SENTENCE: reports an error with its remedy in one sentence
die()
{
	echo "toe: $*" >&2
	exit 1
}

# elapsed: time since the start of this script, as m:ss
elapsed()
{
	printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60))
}

# say WORDS: prints a line of progress
say()
{
	printf '[%6s] %s\n' "$(elapsed)" "$*" >&2
}

# need_space DIRECTORY MEGABYTES WHAT
need_space()
{
	local free
	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$2" ] ||
		die "$3 needs $2 MB and $1 has $free MB free: make room, or set TOE_CACHE to a directory on a larger disk."
}
