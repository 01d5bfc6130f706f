#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# rsm watch, on a node of its own. RSM and RSMD name the programs under test.

bats_require_minimum_version 1.5.0

setup() {
	: "${RSM:?}" "${RSMD:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-watch.XXXXXX)
	export NODE_DIR RSM_SOCKET=$NODE_DIR/rsmd.sock
	printf '[node]\nid = 7\nname = seven\n' >"$NODE_DIR/rsmd.conf"
	"$RSMD" --config "$NODE_DIR/rsmd.conf" --socket "$RSM_SOCKET" --detach 3>&-
	rsmd=$("$RSM" status | awk '$1 == "pid" { print $2; exit }')
	echo contents >"$NODE_DIR/file"
	watcher=
}

teardown() {
	[ -z "$watcher" ] || kill -KILL "$watcher" 2>/dev/null || true
	kill -TERM "$rsmd" 2>/dev/null && timeout 10 tail --pid="$rsmd" -f /dev/null
	rm -rf "$NODE_DIR"
}

# start_watch ARGUMENT...: in the background, to $NODE_DIR/events; returns when it sees what happens.
start_watch() {
	"$RSM" watch "$@" >"$NODE_DIR/events" 2>"$NODE_DIR/errors" 3>&- &
	watcher=$!
	until "$RSM" status | awk -v pid="$watcher" '$1 == pid { found = 1 } END { exit !found }' &&
		[ "$(readlink "/proc/$watcher/fd/"* 2>/dev/null | grep -c '^pipe:')" -gt 0 ]; do
		kill -0 "$watcher"
	done
}

# Publishes, connects, is refused, withdraws.
some_life() {
	local address exporter
	mkfifo "$NODE_DIR/address"
	"$RSM" export "$NODE_DIR/file" >"$NODE_DIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$NODE_DIR/address"
	"$RSM" get "$address" >/dev/null
	"$RSM" get 0x7ffffff0 2>/dev/null || true
	kill -TERM "$exporter"
	wait "$exporter"
	rm "$NODE_DIR/address"
}

@test "help touches no daemon; wrong usage is exit 2; no daemon is exit 3" {
	RSM_SOCKET=/nonexistent/socket run -0 "$RSM" watch --help
	[[ $output == "Usage: rsm watch"*Example:* ]]
	while IFS= read -r line; do
		[ "${#line}" -le 118 ]
	done <<<"$output"
	for wrong in frobnicate publish,frobnicate , "" lost --frobnicate --count=0 --count=x --timeout=-1 --timeout=x; do
		run -2 "$RSM" watch "$wrong"
	done
	RSM_SOCKET=/nonexistent/socket run -3 "$RSM" watch
	[[ $output == *"(RSMERR_CTLR_NOT_PRESENT)"* ]]
}

@test "what happens, a line each, aligned and without colours" {
	start_watch publish,connect refuse disconnect --count 4
	some_life
	wait "$watcher"
	[ ! -s "$NODE_DIR/errors" ]
	[ "$(awk 'NR > 1 { print $2 }' "$NODE_DIR/events" | tr '\n' ' ')" = "publish connect disconnect refuse " ]
	grep -q '^TIME  *EVENT  *SEGMENT  *PID' "$NODE_DIR/events"
	grep -qE '^[0-9:]{8}\.[0-9]{3}  publish      7:0x[0-9a-f]+ .* rsm ' "$NODE_DIR/events"
	grep -q 'RSMERR_SEG_NOT_PUBLISHED.*not published' "$NODE_DIR/events"
	run -1 grep -q $'\033' "$NODE_DIR/events"
}

@test "as JSON: the lines as they are" {
	start_watch --json --count 8
	some_life
	wait "$watcher"
	python3 - "$NODE_DIR/events" <<-'end'
		import json, sys
		events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
		assert len(events) == 8, events
		numbers = [event["seq"] for event in events]
		assert numbers == list(range(numbers[0], numbers[0] + 8)), numbers
		kinds = {event["event"] for event in events if event["event"] != "client"}
		assert {"publish", "connect", "disconnect", "client-gone"} <= kinds, kinds
	end
}

@test "on a terminal in colour, unless NO_COLOR" {
	command -v script >/dev/null || skip "script is missing"
	for NO_COLOR in "" 1; do
		export NO_COLOR
		: >"$NODE_DIR/events"
		script -qec "'$RSM' watch publish --count 1" /dev/null >"$NODE_DIR/events" 3>&- </dev/null &
		watcher=$!
		until grep -q TIME "$NODE_DIR/events"; do
			kill -0 "$watcher"
		done
		some_life
		wait "$watcher"
		if [ -z "$NO_COLOR" ]; then
			grep -q $'\033\[32mpublish' "$NODE_DIR/events"
		else
			run -1 grep -q $'\033' "$NODE_DIR/events"
		fi
	done
}

@test "ends by a signal, by time, and with the daemon" {
	start_watch
	kill -INT "$watcher"
	wait "$watcher"
	[ ! -s "$NODE_DIR/errors" ]
	run -0 "$RSM" watch --timeout 0.1
	run -5 "$RSM" watch node-up --timeout 0.1 --count 2
	[[ $output == *"0 of 2 events came in time"* ]]
	start_watch
	kill -KILL "$rsmd"
	code=0
	wait "$watcher" || code=$?
	[ "$code" = 3 ]
	[ "$(cat "$NODE_DIR/errors")" = "rsm: the daemon has gone, and its events with it" ]
	RSM_SOCKET=/nonexistent/socket
	run -3 "$RSM" watch
}

@test "ends by a signal also while nobody reads what it prints" {
	! grep -q __tsan_init "$RSM" || skip "the thread sanitizer holds signals back until a call returns"
	mkfifo "$NODE_DIR/stuck"
	exec 9<>"$NODE_DIR/stuck"
	python3 -c 'import fcntl; fcntl.fcntl(9, fcntl.F_SETPIPE_SZ, 4096)'
	for signal in INT TERM; do
		"$RSM" watch >&9 2>"$NODE_DIR/errors" 3>&- &
		watcher=$!
		# Until it waits in a call that is about descriptor 1.
		until [ "$(awk '{ print $2 }' "/proc/$watcher/syscall")" = 0x1 ]; do
			"$RSM" status >/dev/null
			kill -0 "$watcher"
		done
		kill "-$signal" "$watcher"
		timeout 20 tail --pid="$watcher" -f /dev/null
		wait "$watcher"
		[ ! -s "$NODE_DIR/errors" ]
	done
}
