#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The C sources have the form of .clang-format. check-format.sh [--fix] ROOT
set -eu
. "$(dirname "$0")/files.sh"

if [ "$1" = --fix ]; then
	files "$2" '*.[ch]' | xargs clang-format-14 -i
else
	files "$1" '*.[ch]' | xargs clang-format-14 --dry-run -Werror
fi
