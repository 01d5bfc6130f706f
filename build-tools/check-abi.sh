#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs that were linked with an earlier release run with this library: nothing was taken away from what a dump of
# packaging/abi has, and no function, nor a type that it takes or returns, looks different in binary. Additions are fine.
# check-abi.sh LIBRARY DUMP...   doc/releasing.md says how a dump is made. 77: abidiff is missing.
set -eu

library=$1
shift
command -v abidiff >/dev/null || {
	echo "check-abi: skipped: abidiff is missing (package abigail-tools)"
	exit 77
}
readelf -S "$library" | grep -q '\.debug_info' || {
	echo "check-abi: skipped: $library has no debugging information, which tells its types"
	exit 77
}
status=0
for dump in "$@"; do
	abidiff --no-added-syms "$dump" "$library" >&2 || {
		echo "check-abi: $library breaks programs that were linked with $(basename "$dump" .abi)" >&2
		status=1
	}
done
exit $status
