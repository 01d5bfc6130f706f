#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A file of more than 1000 lines is refused, one of more than 600 is named. check-sizes.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"

files "$1" '*.[ch]' '*.proto' '*.sh' '*.py' '*.bats' '*.cmake' CMakeLists.txt Makefile | xargs wc -l | awk '
	$2 == "total" { next }
	$1 > 1000 { print $2 ": " $1 " lines, the limit is 1000: split it"; bad = 1; next }
	$1 > 600 { print $2 ": " $1 " lines, more than 600 ask for a reason" }
	END { exit bad }'
