# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# Sourced by the check scripts. files DIRECTORY PATTERN...: the project's files of these names, without what was
# built and without version control's own.
files() {
	directory=$1
	shift
	for pattern in "$@"; do
		set -- "$@" -o -name "$pattern"
		shift
	done
	shift
	find "$directory" \( -name .git -o -path "$directory/build" -o -path "$directory/build-[!t]*" \
		-o -path "$directory/build-tsan" -o -path "$directory/bindings/python/build" -o -name __pycache__ \) -prune -o -type f \( "$@" \) -print | sort
}
