# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What run.sh and cluster.sh share. They set `build` before; afterwards there are `work` (a directory that goes at the
# end), `bin`, `as_user`, and `pids` (processes that are killed at the end). They define end_daemons.

build=$(cd "$build" && pwd)
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

# end_daemon SOCKET: ends the rsmd that listens there, if one does.
end_daemon() {
	local pid
	[ -S "$1" ] || return 0
	pid=$(RSM_SOCKET=$1 "${as_user[@]}" "$bin/rsm" status 2>/dev/null | awk '$1 == "pid" { print $2; exit }') ||
		return 0
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || return 0
	tail --pid="$pid" -s 0.05 -f /dev/null
}

cleanup() {
	local pid
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	end_daemons || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Another user may not reach the build tree, so it gets copies in the layout of an installation.
install_copies() {
	mkdir "$work/bin" "$work/lib"
	cp "$build/src/rsm/rsm" "$build/src/rsmd/rsmd" "$build"/demo/demo_{exporter,importer,intruder,visitor} \
		"$work/bin/"
	cp "$(dirname "$(find "$build" -name librsm.so.2 -print -quit)")"/librsm*.so* "$work/lib/"
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
		ln -s "$build/src/rsm/rsm" "$build/src/rsmd/rsmd" "$build"/demo/demo_* "$work/bin/"
		bin=$work/bin
	fi
}

# await FD: prints the steps of a process until its next line for this script, which goes to $told.
await() {
	local line
	while IFS= read -r -t 60 -u "$1" line; do
		if [[ $line == @* ]]; then
			# shellcheck disable=SC2034 # for the caller
			told=${line#@}
			return 0
		fi
		printf '%s\n' "$line"
	done
	return 1
}

# Sets `file`, and `sum`, its SHA-256.
make_file() {
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
}

# kill_exporter EXPORTER IMPORTER: the first process dies, and the second one, that sees it, ends as it should.
kill_exporter() {
	local status=0
	last=$EPOCHREALTIME
	{
		kill -KILL "$1"
		wait "$1"
	} 2>/dev/null || status=$? # the shell would report the death, too
	[ "$status" -eq 137 ] || fail "the exporter had ended with status $status before it was killed"
	step "killed the exporter (SIGKILL)"
	await 4 && fail "the importer said '$told' where its end was expected"
	wait "$2" || fail "the importer failed"
}
