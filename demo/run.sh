#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo/run.sh BUILD_DIR: one process shares a file's contents with another. Status 0 only if every step did what it should.
# DEMO_FILE names the file; else 64 MiB are made on the spot. Leaves nothing behind.
#
# As root, all runs as an unprivileged user: access lists do not bind root, and there would be nothing to refuse.

set -euo pipefail

build=$(cd "${1:?usage: demo/run.sh BUILD_DIR}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/rsm-demo.XXXXXX")
user=65534
as_user=()
pids=()
last=$EPOCHREALTIME

fail() {
	echo "demo: $*" >&2
	exit 1
}

# step TEXT...: one line with the time since the last step of this script.
step() {
	local now=$EPOCHREALTIME us
	us=$((${now//[.,]/} - ${last//[.,]/}))
	printf '%6d.%03d ms  %-8s  %s\n' $((us / 1000)) $((us % 1000)) demo "$*"
	last=$EPOCHREALTIME
}

# The private rsmd that the demo started would leave by itself when idle; nobody has to wait for that.
end_daemon() {
	local pid
	[ -S "$work/run/rsm/rsmd.sock" ] || return 0
	pid=$("${as_user[@]}" "$bin/rsm" status 2>/dev/null | awk '$1 == "pid" { print $2; exit }') || return 0
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || return 0
	tail --pid="$pid" -f /dev/null
}

cleanup() {
	local pid
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	end_daemon || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Another user may not reach the build tree, so it gets copies in the layout of an installation.
install_copies() {
	mkdir "$work/bin" "$work/lib"
	cp "$build/src/rsm/rsm" "$build/src/rsmd/rsmd" "$build"/demo/demo_{exporter,importer,intruder} "$work/bin/"
	cp "$(dirname "$(find "$build" -name librsm.so.2 -print -quit)")"/librsm.so.2 "$work/lib/"
	chmod 755 "$work"
	bin=$work/bin
	export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

find_programs() {
	if [ "$(id -u)" -eq 0 ]; then
		install_copies
		as_user=(setpriv --reuid="$user" --regid="$user" --clear-groups --)
		chown "$user:$user" "$work/run"
	else
		mkdir "$work/bin"
		ln -s "$build/src/rsm/rsm" "$build"/demo/demo_* "$work/bin/"
		bin=$work/bin
	fi
}

# await FD: prints the steps of a process until its next line for this script, which goes to $told.
await() {
	local line
	while IFS= read -r -t 60 -u "$1" line; do
		if [[ $line == @* ]]; then
			told=${line#@}
			return 0
		fi
		printf '%s\n' "$line"
	done
	return 1
}

mkdir -m 700 "$work/run"
mkfifo "$work/exporter" "$work/importer"
find_programs
export XDG_RUNTIME_DIR=$work/run
last=$EPOCHREALTIME

file=${DEMO_FILE:-}
if [ -z "$file" ]; then
	file=$work/file
	head -c 64M /dev/urandom >"$file"
	step "made a file of 64 MiB of random bytes"
fi
if [ ! -f "$file" ] || [ ! -r "$file" ]; then
	fail "$file is not a regular file that can be read"
fi
sum=$(sha256sum <"$file")
sum=${sum%% *}
step "SHA-256 of the file, by sha256sum: ${sum:0:16}..."

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

last=$EPOCHREALTIME
status=0
{
	kill -KILL "$exporter"
	wait "$exporter"
} 2>/dev/null || status=$? # the shell would report the death, too
[ "$status" -eq 137 ] || fail "the exporter had ended with status $status before it was killed"
step "killed the exporter (SIGKILL)"
await 4 && fail "the importer said '$told' where its end was expected"
wait "$importer" || fail "the importer failed"
pids=()

if "${as_user[@]}" "$bin/rsm" show "$id" >/dev/null 2>&1; then
	fail "the dead exporter's segment is still published"
fi
step "the segment is gone, nothing is left to clean up"

measure() {
	"${as_user[@]}" "$bin/rsm" perf --compare --duration 0.06 "$@" || fail "the measurement failed"
}

echo
echo "What it costs. RAW is memcpy, store and fence, or futex on plain shared memory; RATIO 1.00 is that limit."
measure --tests put,get,map,signal-spin,signal-block,connect
measure --tests put-bw,get-bw --sizes 4k,64k,1M,64M
