#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The tool as people use it, on a node of its own. RSM, RSMD and LIBRSM name the programs and the library under test.

bats_require_minimum_version 1.5.0

setup_file() {
	: "${RSM:?}" "${RSMD:?}" "${LIBRSM:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-tool.XXXXXX)
	chmod 755 "$NODE_DIR"
	export NODE_DIR RSM_SOCKET=$NODE_DIR/rsmd.sock
	printf '[node]\nid = 7\nname = seven\n' >"$NODE_DIR/rsmd.conf"
	# --detach returns when the socket answers. 3 is bats' own descriptor.
	"$RSMD" --config "$NODE_DIR/rsmd.conf" --socket "$RSM_SOCKET" --detach 3>&-
	# Users that cannot reach the build tree get copies.
	mkdir "$NODE_DIR/bin"
	cp "$RSM" "$NODE_DIR/bin/rsm"
	cp "$LIBRSM" "$NODE_DIR/bin/librsm.so.2"
	head -c 1000003 /dev/urandom >"$NODE_DIR/file"
	chmod 644 "$NODE_DIR/file"
}

teardown_file() {
	local pid
	pid=$("$RSM" status | awk '$1 == "pid" { print $2; exit }')
	[ -n "$pid" ] && kill -TERM "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
	rm -rf "$NODE_DIR"
}

setup() {
	exporter=
}

teardown() {
	[ -z "$exporter" ] || kill -KILL "$exporter" 2>/dev/null || true
}

# start_export ARGUMENT...: an exporter in the background; its line in $address, its pid in $exporter.
start_export() {
	mkfifo "$BATS_TEST_TMPDIR/address"
	"$RSM" export "$@" >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$BATS_TEST_TMPDIR/address"
}

stop_export() {
	kill -TERM "$exporter"
	wait "$exporter"
	exporter=
}

# A command line without the rights of root.
unprivileged() {
	if [ "$(id -u)" -eq 0 ]; then
		LD_LIBRARY_PATH=$NODE_DIR/bin setpriv --reuid=65534 --regid=65534 --clear-groups -- "$NODE_DIR/bin/rsm" "$@"
	else
		"$RSM" "$@"
	fi
}

@test "help of every command succeeds, has an example and touches no daemon" {
	for command in $("$RSM" --help | awk '/^  [a-z]+  / { print $1 }'); do
		RSM_SOCKET=/nonexistent/socket run -0 "$RSM" "$command" --help
		[[ $output == "Usage: rsm $command"* ]]
		[[ $output == *Example:* ]]
		while IFS= read -r line; do
			[ "${#line}" -le 100 ]
		done <<<"$output"
		[ "$output" = "$(RSM_SOCKET=/nonexistent/socket "$RSM" help "$command")" ]
		[[ $output != *--json* || $output == *'"schema": 1'* ]]
	done
	RSM_SOCKET=/nonexistent/socket run -0 "$RSM" --help
	[[ $output == *"Exit status"* ]]
	run -0 awk 'length > 100' <<<"$output"$'\n'"$("$RSMD" --help)"
	[ -z "$output" ]
	run -2 "$RSM" help frobnicate
	[[ $output == *"unknown command 'frobnicate'"* ]]
}

@test "--version touches no daemon" {
	RSM_SOCKET=/nonexistent/socket run -0 "$RSM" --version
	[[ $output =~ ^rsm\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "$output" = "$(RSM_SOCKET=/nonexistent/socket "$RSM" -V)" ]
}

@test "wrong usage is exit 2 and says what was wrong" {
	run -2 "$RSM"
	run -2 "$RSM" frobnicate
	[[ $output == *"unknown command 'frobnicate'"* ]]
	run -2 "$RSM" ls --frobnicate
	[[ $output == *"'--frobnicate'"* ]]
	run -2 "$RSM" ls surplus
	[[ $output == *"'surplus'"* ]]
	run -2 "$RSM" show
	run -2 "$RSM" show nonsense
	[[ $output == *"'nonsense' is not a segment"* ]]
	run -2 "$RSM" export
	run -2 "$RSM" export --permissions 0777 "$NODE_DIR/file"
	[[ $output == *"'0777'"* ]]
	run -2 "$RSM" export --id 0 "$NODE_DIR/file"
	run -2 "$RSM" perf --tests nonsense
	[[ $output == *"no test 'nonsense'"* ]]
	run -2 "$RSM" perf --cpus 0
	run -2 "$RSM" perf --controller tcp0
	run -2 "$RSM" nodes surplus
	run -2 "$RSM" topo surplus
	run -2 "$RSM" ping
	run -2 "$RSM" ping seven
	[[ $output == *"'seven' is not the number of a node"* ]]
	run -2 "$RSM" ping 7 --count 0
	run -2 "$RSM" ping 7 --interval -1
	for nodes in "" , 1, ,1 1,,2 x 4294967296; do
		run -2 "$RSM" export --nodes "$nodes" "$NODE_DIR/file"
		[[ $output == *"is not a list of nodes"* ]]
	done
}

# told WORD... -- ARGUMENT...: that command line is wrong usage, and each word is in what it says.
told() {
	local words=()
	for (( ; ; )); do
		[ "$1" != -- ] || break
		words+=("$1")
		shift
	done
	shift
	run -2 "$RSM" "$@"
	for word in "${words[@]}"; do
		[[ $output == *"$word"* ]]
	done
}

@test "an option that is unknown is told from one without its argument, with the one that may be meant" {
	told "option '--intervall' is unknown, perhaps '--interval'" -- ping 7 --intervall 3
	told "option '--frobnicate' is unknown;" -- ping 7 --frobnicate=3
	told "option '--interval' lacks its argument" -- ping 7 --interval
	told "option '-i' lacks its argument" -- ping 7 -ji
	told "option '-x' is unknown" -- ping 7 -jx
	told "option '-x' is unknown" -- ping --controller=loopback -xj 7
	told "option '--json' takes no argument" -- ls --json=3
	told "option '--metrcs' is unknown, perhaps '--metrics'" -- status --metrcs
	for command in $("$RSM" --help | awk '/^  [a-z]+  / { print $1 }'); do
		told "option '--nosuchoption' is unknown" -- "$command" --nosuchoption
		option=$("$RSM" "$command" --help | grep -oE -- '--[a-z-]+ [A-Z]+' | head -1 | cut -d' ' -f1)
		[ -z "$option" ] || told "option '$option' lacks its argument" -- "$command" "$option"
	done
}

@test "every reading command has JSON of schema 1" {
	local texts=()
	"$RSM" perf -n 10 -t put --json >"$BATS_TEST_TMPDIR/perf.json"
	start_export "$NODE_DIR/file"
	for command in status ls "show $address" nodes topo "ping 7 -c 1" "watch --count 1 publish,client" "top -n 1 -i 0.1" \
		"top -S -n 1 -i 0.1" "perf --list" "perf -n 10 -t put" "perf --from $BATS_TEST_TMPDIR/perf.json" doctor \
		"config show" "config path" "config check $NODE_DIR/rsmd.conf" version "signal $address"; do
		if [[ $command == watch* ]]; then # each of the others is an event
			while kill -0 "$$" && "$RSM" status; do :; done >/dev/null 3>&- &
			others=$!
		fi
		run -0 --separate-stderr timeout 60 "$RSM" $command --json
		if [[ $command == watch* ]]; then
			kill "$others"
			wait "$others" || true
		fi
		texts+=("$output")
	done
	stop_export
	python3 -c 'import json, sys; assert all(json.loads(text)["schema"] == 1 for text in sys.argv[1:])' "${texts[@]}"
}

@test "sizes and addresses that are not all understood are refused" {
	for size in "" 12q 1kk -1 +1 " 1" 0x 4kB 1MiBx 16777216T 18446744073709551616; do
		run -2 "$RSM" get 0x400000 --offset "$size"
		[[ $output == *"is not an offset"* ]]
	done
	for address in "" : 1: :0x400000 1:2:3 0x1ffffffff 4294967296:1 -1 nonsense; do
		run -2 "$RSM" get -- "$address"
		[[ $output == *"is not a segment"* ]]
	done
}

@test "no daemon is exit 3" {
	for command in status ls version nodes topo "ping 7" "show 0x400000" "get 0x400000" "export $NODE_DIR/file"; do
		RSM_SOCKET=/nonexistent/socket run -3 "$RSM" $command
		[[ $output == *"rsm: "* && $output == *"(RSMERR_CTLR_NOT_PRESENT)"* ]]
	done
}

@test "a segment that does not exist is exit 1" {
	run -1 "$RSM" get 0x7ffffff0
	[[ $output == "rsm: connect to 7:0x7ffffff0: "*"(RSMERR_SEG_NOT_PUBLISHED)" ]]
	run -1 "$RSM" show 0x7ffffff0
	run -1 "$RSM" get --controller nope 0x7ffffff0
	[[ $output == *"no controller nope;"* ]]
}

@test "a node that no controller leads to is exit 5" {
	for command in "get 8:0x400000" "put 8:0x400000" "show 8:0x400000" "signal 8:0x400000" "perf 8:0x400000" \
		"ping 8 -c 1"; do
		run -5 "$RSM" $command </dev/null
		[[ $output == "rsm: no controller of node 7 leads to node 8; "*topo* ]]
	done
	run -5 "$RSM" ping 8 -c 1 --controller loopback
	run -5 "$RSM" get --controller loopback 8:0x400000
}

@test "status tells the node; text and JSON" {
	run -0 "$RSM" status
	[[ $output == *seven* ]]
	"$RSM" status --json | python3 -m json.tool >/dev/null
	[ "$("$RSM" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["schema"])')" = 1 ]
}

@test "topo and ping of a node that is alone" {
	run -0 "$RSM" topo
	[[ $output == "node 7"*"no controller but loopback" ]]
	"$RSM" topo --json | python3 -c '
import json, sys
assert json.load(sys.stdin) == {"schema": 1, "node": 7, "controllers": []}'
	run -0 "$RSM" ping 7 --count 3 --interval 0.01
	[[ ${lines[0]} == "PING node 7 through loopback" ]]
	[[ ${lines[3]} =~ ^answer\ from\ node\ 7:\ seq=3\ time=[0-9.]+\ ms$ ]]
	[[ $output == *"3 sent, 3 answered, 0% lost"*"min/median/max"* ]]
	"$RSM" ping 7 -c 5 -i 0.01 --json | python3 -c '
import json, sys
p = json.load(sys.stdin)
assert p["schema"] == 1 and p["node"] == 7 and p["controller"] == "loopback", p
assert p["sent"] == p["answered"] == 5 and 0 < p["min_us"] <= p["median_us"] <= p["max_us"], p'
	run -5 "$RSM" ping 8 --count 1 --controller tcp0
}

@test "ping ends by an interrupt with its figures" {
	"$RSM" ping 7 --interval 0.05 >"$BATS_TEST_TMPDIR/ping" 3>&- &
	ping=$!
	timeout 20 tail -f -n +1 "$BATS_TEST_TMPDIR/ping" | grep -q -m 1 "seq=2"
	kill -TERM "$ping"
	wait "$ping"
	grep -q "min/median/max" "$BATS_TEST_TMPDIR/ping"
}

@test "version tells both releases" {
	run -0 "$RSM" version
	[[ ${lines[0]} =~ ^library\ +[0-9]+\. ]]
	[[ ${lines[1]} =~ ^daemon\ +[0-9]+\. ]]
	"$RSM" version --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
assert v["schema"] == 1 and v["library"] and v["daemon"], v'
}

@test "export, get: the file comes back, the last page is filled with zeros" {
	start_export "$NODE_DIR/file"
	[[ $address =~ ^7:0x[89a-f][0-9a-f]{7}$ ]]
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	"$RSM" get "$address" --output "$BATS_TEST_TMPDIR/all"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/all")" -eq 1003520 ]
	tail -c 3517 "$BATS_TEST_TMPDIR/all" | cmp - <(head -c 3517 /dev/zero)
	stop_export
	run -1 "$RSM" get "$address"
}

@test "get of a part, with units" {
	start_export "$NODE_DIR/file"
	"$RSM" get "$address" --offset 4KiB --length 64k | cmp - <(tail -c +4097 "$NODE_DIR/file" | head -c 65536)
	"$RSM" get "${address#7:}" -o 0x1001 -l 1 | cmp - <(tail -c +4098 "$NODE_DIR/file" | head -c 1)
	"$RSM" get "$address" -o 1003520 | cmp - /dev/null
	run -1 "$RSM" get "$address" -o 1003521
	[[ $output == *"beyond the segment's end at 1003520"* ]]
	run -1 "$RSM" get "$address" -o 1003519 -l 2
	[[ $output == *"beyond the segment's end at 1003520"* ]]
	stop_export
}

@test "a get that is refused leaves an existing file alone" {
	echo precious >"$BATS_TEST_TMPDIR/precious"
	run -1 "$RSM" get 0x7ffffff0 --output "$BATS_TEST_TMPDIR/precious"
	[ "$(cat "$BATS_TEST_TMPDIR/precious")" = precious ]
}

@test "export of standard input under a chosen ID; the ID is taken, then free again" {
	mkfifo "$BATS_TEST_TMPDIR/address"
	# A pipe tells no size, and this one has more than the first buffer.
	head -c 3000000 /dev/zero | tr '\0' x | "$RSM" export --id 0x400001 - >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$BATS_TEST_TMPDIR/address"
	[ "$address" = 7:0x400001 ]
	"$RSM" get 0x400001 -l 3000000 | cmp - <(head -c 3000000 /dev/zero | tr '\0' x)
	run -1 "$RSM" export --id 0x400001 "$NODE_DIR/file"
	[[ $output == *"(RSMERR_SEGID_IN_USE)" ]]
	stop_export
	rm "$BATS_TEST_TMPDIR/address"
	start_export --id 0x400001 "$NODE_DIR/file"
	[ "$address" = 7:0x400001 ]
	stop_export
}

@test "put, write-back: what was put is in the file" {
	cp "$NODE_DIR/file" "$BATS_TEST_TMPDIR/copy"
	start_export --rw --write-back "$BATS_TEST_TMPDIR/copy"
	echo -n hello | "$RSM" put "$address" --offset 1k --signal
	head -c 9M /dev/urandom >"$BATS_TEST_TMPDIR/long"
	"$RSM" put "$address" --offset 8k --length 100k --input "$BATS_TEST_TMPDIR/long"
	stop_export
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/copy")" -eq 1000003 ]
	[ "$(tail -c +1025 "$BATS_TEST_TMPDIR/copy" | head -c 5)" = hello ]
	cmp <(tail -c +8193 "$BATS_TEST_TMPDIR/copy" | head -c 100k) <(head -c 100k "$BATS_TEST_TMPDIR/long")
	cmp -n 1024 "$BATS_TEST_TMPDIR/copy" "$NODE_DIR/file"
}

@test "put of a large input in pieces" {
	head -c 9M /dev/zero >"$BATS_TEST_TMPDIR/zero"
	head -c 9M /dev/urandom >"$BATS_TEST_TMPDIR/long"
	start_export --rw "$BATS_TEST_TMPDIR/zero"
	cat "$BATS_TEST_TMPDIR/long" | "$RSM" put "$address"
	"$RSM" get "$address" | cmp - "$BATS_TEST_TMPDIR/long"
	stop_export
}

@test "put: input too long or too short is an error" {
	start_export --rw "$NODE_DIR/file"
	run -1 "$RSM" put "$address" -o 1003519 <<<"two"
	[[ $output == *"goes on beyond the segment's end; the first 1 bytes were written"* ]]
	run -1 "$RSM" put "$address" -l 100 <<<"short"
	[[ $output == *"ended after 6 of 100 bytes"* ]]
	run -1 "$RSM" put "$address" --input /nonexistent
	stop_export
}

@test "get: a segment that is withdrawn meanwhile is an error" {
	head -c 12M /dev/zero >"$BATS_TEST_TMPDIR/zero"
	start_export "$BATS_TEST_TMPDIR/zero"
	mkfifo "$BATS_TEST_TMPDIR/slow"
	"$RSM" get "$address" >"$BATS_TEST_TMPDIR/slow" 2>"$BATS_TEST_TMPDIR/error" 3>&- &
	getter=$!
	exec 4<"$BATS_TEST_TMPDIR/slow"
	head -c 1 <&4 >/dev/null # it is in the first of three pieces, and stuck there: the pipe is full
	stop_export
	cat <&4 >/dev/null
	status=0
	wait "$getter" || status=$?
	[ "$status" -eq 1 ]
	grep -q "(RSMERR_CONN_ABORTED)" "$BATS_TEST_TMPDIR/error"
}

@test "a long transfer shows its progress on a terminal only" {
	command -v script >/dev/null || skip "script (of bsdutils) makes the terminal"
	head -c 65M /dev/zero >"$BATS_TEST_TMPDIR/zero"
	start_export "$BATS_TEST_TMPDIR/zero"
	run -0 script -qec "$RSM get $address >/dev/null" /dev/null
	[[ $output == *"of 65 MiB"* ]]
	run -0 script -qec "$RSM get $address --length 1M >/dev/null" /dev/null
	[ -z "$output" ]
	run -0 --separate-stderr bash -c '"$1" get "$2" >/dev/null' - "$RSM" "$address"
	[ -z "$stderr" ]
	stop_export
}

@test "the access list decides: exit 4 with the reason" {
	start_export "$NODE_DIR/file"
	run -4 unprivileged put "$address" </dev/null
	[[ $output == "rsm: connect to $address: "*"(RSMERR_PERM_DENIED)" ]]
	stop_export
}

@test "ls and show tell of the segment; text and JSON" {
	start_export --id 0x400002 --permissions 0640 "$NODE_DIR/file"
	run -0 "$RSM" ls
	[[ $output == *"7:0x400002"*"980"*" KiB"*0640*"$exporter"* ]]
	while IFS= read -r line; do
		[ "${#line}" -le 100 ]
	done <<<"$output"
	"$RSM" ls --json | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["schema"] == 1
(segment,) = [s for s in tree["segments"] if s["id"] == 0x400002]
assert segment["owner_pid"] == int(sys.argv[1]) and segment["length"] == 1003520, segment' "$exporter"
	run -0 "$RSM" show 0x400002
	[[ $output == *"$exporter"* ]]
	run -0 "$RSM" show 7:0x400002
	run -5 "$RSM" show 8:0x400002
	"$RSM" show --json 0x400002 | python3 -m json.tool >/dev/null
	stop_export
	"$RSM" ls --json | python3 -c '
import json, sys
assert not [s for s in json.load(sys.stdin)["segments"] if s["id"] == 0x400002]'
}

@test "export: empty, missing and unreadable files" {
	run -1 "$RSM" export /dev/null
	[[ $output == *"is empty"* ]]
	run -1 "$RSM" export /nonexistent
	[[ $output == *"No such file"* ]]
	run -1 "$RSM" export "$NODE_DIR"
	[[ $output == *"Is a directory"* ]]
	run -1 "$RSM" export --id 0x300000 "$NODE_DIR/file"
	[[ $output == *"(RSMERR_RESERVED_SEGID)" ]]
}

@test "export --json prints where and how much" {
	start_export --json "$NODE_DIR/file"
	python3 -c '
import json, sys
a = json.loads(sys.argv[1])
assert a["schema"] == 1 and a["node"] == 7 and a["length"] == 1003520 and a["file_length"] == 1000003, a
assert a["id"] == int(a["id_hex"], 16)' "$address"
	stop_export
}

@test "a full disk is an error" {
	start_export "$NODE_DIR/file"
	run -1 bash -c '"$1" get "$2" >/dev/full' - "$RSM" "$address"
	[[ $output == *"No space left"* ]]
	run -1 bash -c '"$1" ls >/dev/full' - "$RSM"
	stop_export
}

@test "perf measures every test and its JSON is whole" {
	run -0 "$RSM" perf --list
	count=$((${#lines[@]} - 3)) # three are about another node
	[ "$(nproc)" -gt 1 ] || skip "both sides spin: needs two CPUs"
	"$RSM" perf --compare --json --duration 0.001 --sizes 8,4k | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["schema"] == 1
names = {r["test"] for r in tree["results"]}
assert len(names) == int(sys.argv[1]), names
for r in tree["results"]:
    assert 0 < r["min_ns"] <= r["median_ns"] <= r["p99_ns"] <= r["max_ns"], r
    assert r["operations"] > 0
    assert ("raw_median_ns" in r) == (r["test"] not in ("connect", "publish", "barrier")), r' "$count"
}

@test "perf prints a table of at most 100 columns" {
	run -0 "$RSM" perf --compare --count 100 --tests put,get-bw,connect --sizes 8,1M
	[[ $output == TEST* ]]
	[ "${#lines[@]}" -ge 6 ]
	for line in "${lines[@]}"; do
		[ "${#line}" -le 100 ]
	done
}

@test "perf against a segment: puts only with --write, and the contents stay" {
	start_export --rw "$NODE_DIR/file"
	run -0 "$RSM" perf --duration 0.001 --tests put,get "$address"
	[[ $output == *"put left out"*"--write"* ]]
	[[ $output != *$'\n'"put "* ]]
	"$RSM" perf --compare --write --duration 0.001 "$address"
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	"$RSM" perf --write --duration 0.001 --tests put-rate "$address"
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	stop_export
}

@test "perf ends with an error when its peer dies" {
	[ "$(nproc)" -gt 1 ] || skip "both sides spin: needs two CPUs"
	mkfifo "$BATS_TEST_TMPDIR/table"
	for test in map signal-spin signal-block; do
		"$RSM" perf --duration 60 --tests "$test" >"$BATS_TEST_TMPDIR/table" 2>"$BATS_TEST_TMPDIR/error" 3>&- &
		perf=$!
		# The headings come when the peer is ready.
		exec 4<"$BATS_TEST_TMPDIR/table"
		read -r -t 20 -u 4 _
		kill -KILL "$(pgrep -P "$perf")"
		status=0
		wait "$perf" || status=$?
		exec 4<&-
		[ "$status" -eq 1 ]
		[ -s "$BATS_TEST_TMPDIR/error" ]
	done
}

@test "perf leaves no process and no segment behind" {
	"$RSM" perf --count 1 --tests put
	"$RSM" ls --json | python3 -c 'import json, sys; assert not json.load(sys.stdin)["segments"]'
}

@test "keygen makes a key that only its owner reads, and never writes over one" {
	key=$BATS_TEST_TMPDIR/key
	(umask 0 && "$RSM" keygen "$key")
	[ "$(stat -c %a "$key")" = 600 ]
	[ "$(grep -v '^#' "$key" | grep -cE '^rsm-key-1 [0-9a-f]{64}$')" -eq 1 ]
	[ "$(grep -vc '^#' "$key")" -eq 1 ]
	before=$(cat "$key")
	run -1 --separate-stderr "$RSM" keygen "$key"
	[[ $stderr == *"exists"* ]]
	[ "$(cat "$key")" = "$before" ]
	run -0 "$RSM" keygen
	[ "$output" != "$before" ]
	[[ $output == *$'\n'"rsm-key-1 "* ]]
	run -0 "$RSM" keygen -
	[ "$output" != "$before" ]
	run -1 "$RSM" keygen "$BATS_TEST_TMPDIR/missing/key"
	run -2 "$RSM" keygen one two
	run -2 "$RSM" keygen --bad
	run -0 "$RSM" keygen --help
	[[ $output == *"scp "* ]]
	run -1 bash -c '"$RSM" keygen >/dev/full'
	RSM_SOCKET=/nonexistent "$RSM" keygen >/dev/null
}
