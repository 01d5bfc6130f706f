#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The probes in the two files are those of doc/observability.md: no more, no less, and as many arguments each.
# probes.sh LIBRSM RSMD DOCUMENT    Exit status: 0 the same, 1 not so, 77 built without <sys/sdt.h>.
set -eu
LC_ALL=C
export LC_ALL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "name count-of-arguments" for each probe of a file, once.
in_file()
{
	readelf -n "$1" | awk '/Provider:/ { ours = $2 == "rsm" }
		/Name:/ { name = $2 }
		/Arguments:/ { if (ours) print name, NF - 1 }' | sort -u
}

# The same from the table behind the line that begins with $1.
in_document()
{
	awk -F'|' -v heading="$1" 'index($0, heading) == 1 { on = 1; next }
		/^In / { on = 0 }
		on && /^\| `/ {
			gsub(/[` ]/, "", $2)
			count = split($3, arguments, ",")
			names = split($2, name, ",")
			for (i = 1; i <= names; i++) print name[i], count
		}' "$document" | sort
}

document=$3
in_file "$1" >"$work/librsm"
in_file "$2" >"$work/rsmd"
if ! [ -s "$work/librsm" ] && ! [ -s "$work/rsmd" ]; then
	echo "probes.sh: built without <sys/sdt.h>" >&2
	exit 77
fi
# shellcheck disable=SC2016
in_document 'In `librsm.so.2`' >"$work/librsm.told"
# shellcheck disable=SC2016
in_document 'In `rsmd`' >"$work/rsmd.told"
status=0
for file in librsm rsmd; do
	[ -s "$work/$file.told" ] || { echo "probes.sh: no table for $file in $document" >&2; status=1; }
	diff -u "$work/$file.told" "$work/$file" || status=1
done
exit $status
