#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The tool between two nodes, seven and eight, at two addresses of the loopback device. RSM and RSMD name the programs under
# test. Commands run at node seven unless `eight` is before them.

bats_require_minimum_version 1.5.0

start_node() { # NUMBER OTHER
	"$RSMD" --config "$NODE_DIR/$1.conf" --socket "$NODE_DIR/$1.sock" --detach 3>&-
}

end_node() { # NUMBER SIGNAL
	local pid
	pid=$(RSM_SOCKET=$NODE_DIR/$1.sock "$RSM" status | awk '$1 == "pid" { print $2; exit }')
	[ -n "$pid" ] && kill "-$2" "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
}

configure() { # NUMBER NAME OTHER OTHER-NAME
	cat >"$NODE_DIR/$1.conf" <<-end
		[node]
		id = $1
		name = $2
		[cluster]
		key-file = $NODE_DIR/cluster.key
		dead-after = 400ms
		[controller tcp0]
		type = tcp
		address = 127.0.0.$1
		port = $PORT
		[peer $3]
		name = $4
		tcp0 = 127.0.0.$3:$PORT
	end
}

setup_file() {
	: "${RSM:?}" "${RSMD:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-nodes.XXXXXX)
	PORT=$((20000 + RANDOM % 12000)) # below those that the kernel gives away
	export NODE_DIR PORT RSM_SOCKET=$NODE_DIR/7.sock
	"$RSM" keygen "$NODE_DIR/cluster.key"
	configure 7 seven 8 eight
	configure 8 eight 7 seven
	start_node 7
	start_node 8
	head -c 1000003 /dev/urandom >"$NODE_DIR/file"
	# It waits for the path, and for as long only as a node may take to come up.
	timeout 20 "$RSM" ping 8 --count 1
}

teardown_file() {
	end_node 7 TERM
	end_node 8 TERM
	rm -rf "$NODE_DIR"
}

setup() {
	exporter=
}

teardown() {
	[ -z "$exporter" ] || kill -KILL "$exporter" 2>/dev/null || true
}

eight() {
	RSM_SOCKET=$NODE_DIR/8.sock "$@"
}

# start_export ARGUMENT...: an exporter at node eight; its line in $address, its pid in $exporter.
start_export() {
	mkfifo "$BATS_TEST_TMPDIR/address"
	RSM_SOCKET=$NODE_DIR/8.sock "$RSM" export "$@" >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$BATS_TEST_TMPDIR/address"
}

stop_export() {
	kill -TERM "$exporter"
	wait "$exporter"
	exporter=
}

@test "nodes tells the path; text and JSON" {
	run -0 "$RSM" nodes
	[[ ${lines[0]} == "This is node 7 (seven)." ]]
	[[ ${lines[1]} == *NODE*NAME*CONTROLLER*STATE*SINCE*TRIP*ADDRESS ]]
	[[ ${lines[2]} == *8*eight*tcp0*active*127.0.0.8:$PORT ]]
	for line in "${lines[@]}"; do
		[ "${#line}" -le 100 ]
	done
	"$RSM" nodes --json | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["schema"] == 1 and tree["node"] == {"id": 7, "name": "seven"}, tree
(path,) = tree["paths"]
assert path["node"] == 8 and path["name"] == "eight" and path["controller"] == "tcp0", path
assert path["state"] == "active" and path["guests"] == path["aways"] == 0, path
assert path["address"].endswith(sys.argv[1]) and path["encrypt"] is False and path["release"], path
assert path["since_s"] >= 0 and (path["round_trip_us"] is None or path["round_trip_us"] > 0), path' ":$PORT"
	run -0 eight "$RSM" nodes
	[[ ${lines[2]} == *7*seven*tcp0*active* ]]
}

@test "topo draws where the controllers lead" {
	run -0 "$RSM" topo
	[[ ${lines[0]} == "node 7" ]]
	[[ ${lines[1]} == '`-- tcp0' ]]
	[[ ${lines[2]} == '    `-- active  node 8, tcp0 there' ]]
	"$RSM" topo --json | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["schema"] == 1 and tree["node"] == 7
(controller,) = tree["controllers"]
assert controller["name"] == "tcp0"
(peer,) = controller["peers"]
assert peer["node"] == 8 and peer["state"] == "active" and peer["controller"] == "tcp0", peer'
}

@test "ping passes both daemons" {
	run -0 "$RSM" ping 8 --count 3 --interval 0.01
	[[ ${lines[0]} == "PING node 8 through tcp0" ]]
	[[ ${lines[1]} == "answer from node 8: seq=1 time="* ]]
	[[ $output == *"3 sent, 3 answered, 0% lost"* ]]
	run -0 eight "$RSM" ping 7 -c 1 --controller TCP
	[[ $output == *"through tcp0"* ]]
	run -5 "$RSM" ping 9 -c 1
	run -5 "$RSM" ping 8 -c 1 --controller loopback
	[[ $output == *"loopback of node 7 does not lead there"* ]]
}

@test "get and put reach a segment of the other node" {
	cp "$NODE_DIR/file" "$BATS_TEST_TMPDIR/copy"
	start_export --controller tcp0 --rw --write-back "$BATS_TEST_TMPDIR/copy"
	[[ $address =~ ^8:0x[89a-f][0-9a-f]{7}$ ]]
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	"$RSM" get "$address" -o 4k -l 64k --controller tcp0 | cmp - <(tail -c +4097 "$NODE_DIR/file" | head -c 65536)
	echo -n hello | "$RSM" put "$address" --offset 1k --signal
	[ "$("$RSM" get "$address" -o 1k -l 5)" = hello ]
	head -c 9M /dev/zero >"$BATS_TEST_TMPDIR/long"
	run -1 "$RSM" put "$address" --input "$BATS_TEST_TMPDIR/long"
	run -5 "$RSM" get "$address" --controller loopback
	stop_export
	# The last input was too long: all but its rest was written.
	cmp -n 1000003 "$BATS_TEST_TMPDIR/copy" /dev/zero
	run -1 "$RSM" get "$address"
	[[ $output == *"(RSMERR_SEG_NOT_PUBLISHED)" ]]
}

@test "a stopped exporter is read all the same" {
	start_export --controller tcp0 "$NODE_DIR/file"
	kill -STOP "$exporter"
	timeout 20 "$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	kill -CONT "$exporter"
	stop_export
}

@test "show tells of a segment of the other node what a stranger may know" {
	start_export --controller tcp0 "$NODE_DIR/file"
	run -0 "$RSM" show "$address"
	[[ $output == *"980"*"KiB"*"known on its node only" ]]
	"$RSM" show --json "$address" | python3 -c '
import json, sys
segment = json.load(sys.stdin)["segment"]
assert segment["node"] == 8 and segment["length"] == 1003520, segment
assert segment["owner_pid"] == int(sys.argv[1]), segment' "$exporter"
	stop_export
}

@test "which nodes may connect: exit 4 for others, and loopback is for nobody else" {
	start_export --controller tcp0 --nodes 8,9 "$NODE_DIR/file"
	run -4 "$RSM" get "$address"
	[[ $output == *"(RSMERR_SEG_NOT_PUBLISHED_TO_NODE)" ]]
	eight "$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	stop_export
	rm "$BATS_TEST_TMPDIR/address"
	start_export "$NODE_DIR/file"
	run -1 "$RSM" get "$address"
	[[ $output == *"(RSMERR_SEG_NOT_PUBLISHED)" ]]
	stop_export
	rm "$BATS_TEST_TMPDIR/address"
	start_export --controller tcp0 --permissions 0400 "$NODE_DIR/file"
	run -4 "$RSM" put "$address" </dev/null
	[[ $output == *"(RSMERR_PERM_DENIED)" ]]
	stop_export
}

@test "perf against a segment of the other node" {
	start_export --controller tcp0 --rw "$NODE_DIR/file"
	"$RSM" perf --json --duration 0.01 --write "$address" | python3 -c '
import json, sys
tree = json.load(sys.stdin)
names = {r["test"] for r in tree["results"]}
assert names == {"put", "get", "put-explicit", "get-explicit", "put-rate", "put-bw", "get-bw", "put-block", "get-block",
                 "get-rate", "getv", "barrier", "barrier-put", "connect"}, names
for r in tree["results"]:
    assert 0 < r["min_ns"] <= r["median_ns"] <= r["p99_ns"] <= r["p999_ns"] <= r["max_ns"], r
    assert r["controller"] == "tcp0", r'
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	run -0 "$RSM" perf --duration 0.01 --tests get,put,map "$address"
	[[ $output == *"put left out"*"--write"* ]]
	[[ $output == *"map left out"* ]]
	run -2 "$RSM" perf --compare "$address"
	stop_export
}

@test "the end of a node: nodes --watch tells, ping and get are exit 5, and a new one is found" {
	start_export --controller tcp0 "$NODE_DIR/file"
	"$RSM" nodes --watch --json >"$BATS_TEST_TMPDIR/watch" 3>&- &
	watch=$!
	end_node 8 KILL
	kill -KILL "$exporter"
	exporter=
	timeout 20 tail -f -n +1 --pid="$watch" "$BATS_TEST_TMPDIR/watch" | grep -q -m 1 '"state": *"down"'
	run -5 timeout 20 "$RSM" ping 8 --count 2 --interval 0.01
	[[ $output == *"no answer from node 8: seq=2"*"(RSMERR_REMOTE_NODE_UNREACHABLE)"* ]]
	[[ $output == *"2 sent, 0 answered, 100% lost"* ]]
	run -5 timeout 20 "$RSM" get "$address"
	run -0 "$RSM" topo
	[[ $output == *"down  node 8"* ]]
	start_node 8
	timeout 20 tail -f -n 1 --pid="$watch" "$BATS_TEST_TMPDIR/watch" | grep -q -m 1 '"state": *"active"'
	kill -TERM "$watch"
	wait "$watch"
	run -0 timeout 20 "$RSM" ping 8 --count 1
	rm "$BATS_TEST_TMPDIR/address"
	start_export --controller tcp0 "$NODE_DIR/file"
	"$RSM" get "$address" --length 1000003 | cmp - "$NODE_DIR/file"
	stop_export
}

@test "nodes --watch ends by a signal also while nobody reads what it prints" {
	! grep -q __tsan_init "$RSM" || skip "the thread sanitizer holds signals back until a call returns"
	mkfifo "$BATS_TEST_TMPDIR/stuck"
	exec 9<>"$BATS_TEST_TMPDIR/stuck"
	python3 -c 'import fcntl, os
fcntl.fcntl(9, fcntl.F_SETPIPE_SZ, 4096)
os.write(9, bytes(4096))'
	for signal in INT TERM; do
		"$RSM" nodes --watch >&9 2>"$BATS_TEST_TMPDIR/errors" 3>&- &
		watch=$!
		# Until it waits in a call that is about descriptor 1.
		until [ "$(awk '{ print $2 }' "/proc/$watch/syscall")" = 0x1 ]; do
			kill -0 "$watch"
		done
		kill "-$signal" "$watch"
		timeout 20 tail --pid="$watch" -f /dev/null
		wait "$watch"
		[ ! -s "$BATS_TEST_TMPDIR/errors" ]
	done
}

@test "a private daemon that answers says that it has no part in the cluster" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/run"
	"$RSMD" --private --config "$NODE_DIR/7.conf" --socket "$BATS_TEST_TMPDIR/run/rsmd.sock" --detach 3>&-
	export RSM_SOCKET=$BATS_TEST_TMPDIR/run/rsmd.sock
	pid=$("$RSM" status | awk '$1 == "pid" { print $2; exit }')
	note="a private daemon (pid $pid) answers; it has no part in a cluster: is the system's rsmd running (rsm doctor)?"
	run -0 "$RSM" nodes
	[[ $output == *"It has no path to another node: $note" ]]
	run -0 "$RSM" topo
	[[ $output == *"$note" ]]
	run -0 "$RSM" ls
	[[ $output == *"rsm: $note" ]]
	run -5 "$RSM" ping 8 -c 1
	[[ $output == "rsm: no controller of node 7 leads to node 8; $note" ]]
	run -5 "$RSM" get 8:0x400000
	[[ $output == *"$note" ]]
	for command in get show; do
		run -1 "$RSM" $command 0x400000
		[[ $output == *"; this is the private daemon of uid $(id -u), other users' segments need the system's rsmd "* ]]
	done
	run -0 "$RSM" ls --json
	kill -TERM "$pid"
	timeout 20 tail --pid="$pid" -f /dev/null
}
