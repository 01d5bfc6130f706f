#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# clang-tidy (.clang-tidy) and cppcheck over the product: the tests break their rules on purpose. analyse.sh BUILD-DIRECTORY
set -eu
status=0
sources=$(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$1/compile_commands.json" | grep '/src/.*\.c$' |
	grep -v -e '\.pb-c\.c$' | sort -u)

# shellcheck disable=SC2086
printf '%s\n' $sources | xargs -P 2 -n 4 clang-tidy-14 -p "$1" --quiet 2>/dev/null || status=1
cppcheck --quiet --project="$1/compile_commands.json" --enable=warning,performance,portability \
	--inline-suppr --suppress='*:*.pb-c.?' --file-filter='*/src/*' --suppress=missingIncludeSystem --error-exitcode=1 -j 2 || status=1
exit $status
