#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every source file names its licence in its first line (second, behind #!). check-licences.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"

status=0
missing=$(files "$1" '*.[ch]' '*.proto' '*.sh' '*.py' '*.bats' '*.cmake' '*.in' '*.map' '*.conf' '*.service' \
	'*.socket' CMakeLists.txt Makefile packages.txt run .clang-format .clang-tidy .editorconfig .gitattributes |
	xargs -r -d '\n' awk 'FNR == 1 { names[FILENAME] }
		FNR <= 2 && /SPDX-License-Identifier: BSD-2-Clause/ { delete names[FILENAME] }
		FNR == 2 { nextfile }
		END { for (name in names) print name }')
if [ -n "$missing" ]; then
	printf "no line 'SPDX-License-Identifier: BSD-2-Clause' at the top of\n%s\n" "$missing" >&2
	status=1
fi
[ -s "$1/LICENSE" ] || { echo "$1/LICENSE is missing" >&2; status=1; }
exit $status
