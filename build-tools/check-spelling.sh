#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# codespell over sources and documents; words it is wrong about are in spelling.txt. check-spelling.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"

files "$1" '*.[ch]' '*.md' '*.proto' '*.sh' '*.py' '*.bats' '*.cmake' '*.txt' '*.in' '*.conf' Makefile |
	xargs codespell -I "$(dirname "$0")/spelling.txt"
