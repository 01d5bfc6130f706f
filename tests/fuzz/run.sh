#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs each fuzz target of a build for some time, one line for each. run.sh BUILD SECONDS
# New inputs stay in BUILD; what was found is written there, and its file is named.
# One input may take 60 s of the clock: not the program's time, and the machine may be busy.
set -eu
here=$(dirname "$0")
build=$1
seconds=$2
status=0
for target in frame peer; do
	work=$build/fuzz/$target
	mkdir -p "$work/inputs"
	if "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -print_final_stats=1 -timeout=60 \
		-artifact_prefix="$work/" "$work/inputs" "$here/seeds/$target" >"$work/log" 2>&1; then
		awk -v target="$target" '
			/number_of_executed_units/ { runs = $2 }
			/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") places = $(i + 1) }
			END { print target ": " runs " runs, " places " places reached, nothing found" }' "$work/log"
	else
		echo "$target: FOUND SOMETHING, see $work/log" >&2
		tail -n 5 "$work/log" >&2
		status=1
	fi
done
exit $status
