#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo/run.sh BUILD_DIR: one process shares a file's contents with another. Status 0 only if every step did what it should.
# DEMO_FILE names the file; else 64 MiB are made on the spot. Leaves nothing behind.
#
# As root, all runs as an unprivileged user: access lists do not bind root, and there would be nothing to refuse.

set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
build=${1:?usage: demo/run.sh BUILD_DIR}
# shellcheck source=lib.sh
. "$here/lib.sh"

# The private rsmd that the demo started would leave by itself when idle; nobody has to wait for that.
end_daemons() {
	end_daemon "$work/run/rsm/rsmd.sock"
}

mkdir -m 700 "$work/run"
mkfifo "$work/exporter" "$work/importer"
find_programs
export XDG_RUNTIME_DIR=$work/run
last=$EPOCHREALTIME

make_file

"${as_user[@]}" "$bin/demo_exporter" <"$file" >"$work/exporter" &
exporter=$!
pids+=("$exporter")
exec 3<"$work/exporter"
await 3 || fail "the exporter did not publish"
read -r _ node id length <<<"$told"

"${as_user[@]}" "$bin/demo_importer" "$node" "$id" "$length" "$sum" >"$work/importer" &
importer=$!
pids+=("$importer")
exec 4<"$work/importer"
await 4 || fail "the importer did not come as far as its second barrier"
# The exporter is quiet from here on, so this ends as soon as its two steps are printed.
await 3 || fail "the exporter did not see the changes"

"${as_user[@]}" "$bin/demo_intruder" "$node" "$id" || fail "the third process was not refused as it should be"

kill_exporter "$exporter" "$importer"
pids=()

if "${as_user[@]}" "$bin/rsm" show "$id" >/dev/null 2>&1; then
	fail "the dead exporter's segment is still published"
fi
step "the segment is gone, nothing is left to clean up"

measure() {
	"${as_user[@]}" "$bin/rsm" perf --compare --duration 0.06 "$@" || fail "the measurement failed"
}

echo
echo "What it costs. RAW is memcpy, store and fence, or futex on plain shared memory; RATIO is time over its time: 1.00 is that limit."
measure --tests put,get,map,signal-spin,signal-block,connect
measure --tests put-bw,get-bw --sizes 4k,64k,1M,64M
