#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What the library exports is what the public headers declare, no more and no less, each in a version node (which one:
# librsm.map), and 42 of them are Solaris's. check-symbols.sh LIBRARY INCLUDE-DIRECTORY
set -eu
LC_ALL=C
export LC_ALL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -ohE '^[a-z].*[ *](rsmx?_[a-z0-9_]+)\(' "$2/rsmapi.h" "$2/rsm/ext.h" | grep -v '^typedef' |
	sed -E 's/.*[ *](rsmx?_[a-z0-9_]+)\($/\1@@LIBRSM/' | sort >"$work/declared"
nm -D --defined-only "$1" | awk '$2 != "A" { sub(/LIBRSM_2\.[0-9]+$/, "LIBRSM", $3); print $3 }' | sort >"$work/exported"

status=0
diff -u "$work/declared" "$work/exported" >&2 || status=1
count=$(grep -c '^rsm_' "$work/exported") || true
if [ "$count" != 42 ]; then
	echo "$1: $count functions rsm_*, not 42" >&2
	status=1
fi
soname=$(readelf -d "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
if [ "$soname" != librsm.so.2 ]; then
	echo "$1: SONAME is '$soname', not librsm.so.2" >&2
	status=1
fi
exit $status
