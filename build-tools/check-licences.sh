#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every source file names its licence in its first line (second, behind #!). check-licences.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"

status=0
for file in $(files "$1" '*.[ch]' '*.proto' '*.sh' '*.py' '*.bats' '*.cmake' '*.in' '*.map' '*.conf' '*.service' \
	'*.socket' CMakeLists.txt Makefile packages.txt run .clang-format .clang-tidy .editorconfig .gitattributes); do
	if ! head -n 2 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause'; then
		echo "$file: no line 'SPDX-License-Identifier: BSD-2-Clause' at its top" >&2
		status=1
	fi
done
[ -s "$1/LICENSE" ] || { echo "$1/LICENSE is missing" >&2; status=1; }
exit $status
