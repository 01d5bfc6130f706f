#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The programs of examples/, on one node and between the nodes seven and eight at two addresses of the loopback device.
# RSM, RSMD and EXAMPLES (a directory) name what is tested.

bats_require_minimum_version 1.5.0

configure() { # NUMBER OTHER
	cat >"$NODE_DIR/$1.conf" <<-end
		[node]
		id = $1
		[cluster]
		key-file = $NODE_DIR/cluster.key
		dead-after = 3s
		[controller tcp0]
		type = tcp
		address = 127.0.0.$1
		port = $PORT
		[peer $2]
		tcp0 = 127.0.0.$2:$PORT
	end
	"$RSMD" --config "$NODE_DIR/$1.conf" --socket "$NODE_DIR/$1.sock" --detach 3>&-
}

setup_file() {
	: "${RSM:?}" "${RSMD:?}" "${EXAMPLES:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-examples.XXXXXX)
	PORT=$((20000 + RANDOM % 12000)) # below those that the kernel gives away
	export NODE_DIR PORT RSM_SOCKET=$NODE_DIR/7.sock
	"$RSM" keygen "$NODE_DIR/cluster.key"
	configure 7 8
	configure 8 7
	timeout 20 "$RSM" ping 8 --count 1
}

teardown_file() {
	local node pid
	for node in 7 8; do
		pid=$(RSM_SOCKET=$NODE_DIR/$node.sock "$RSM" status | awk '$1 == "pid" { print $2; exit }')
		[ -n "$pid" ] && kill "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
	done
	rm -rf "$NODE_DIR"
}

setup() {
	declare -gA pids=() outputs=()
}

teardown() {
	[ "${#pids[@]}" -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
}

# start NAME NODE PROGRAM ARGUMENT...: a process at that node; input from descriptor 0.
start() {
	local name=$1 node=$2 program=$3 fd
	shift 3
	rm -f "$BATS_TEST_TMPDIR/$name"
	mkfifo "$BATS_TEST_TMPDIR/$name"
	exec {fd}<>"$BATS_TEST_TMPDIR/$name"
	outputs[$name]=$fd
	RSM_SOCKET=$NODE_DIR/$node.sock "$EXAMPLES/$program" "$@" >"$BATS_TEST_TMPDIR/$name" 2>&1 3>&- {fd}>&- <&0 &
	pids[$name]=$!
}

# await NAME PATTERN: reads its output up to a line that matches; the line is in $line.
await() {
	while IFS= read -r -t 30 -u "${outputs[$1]}" line; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $line == $2 ]] && return 0
		echo "$1: $line"
	done
	echo "$1 never said '$2'"
	return 1
}

ended() { # NAME
	wait "${pids[$1]}"
	unset "pids[$1]"
}

slay() { # NAME
	kill -KILL "${pids[$1]}"
	wait "${pids[$1]}" || true
	unset "pids[$1]"
}

# The tests below at one node and between two: $home is where the exporter is, $name how the importer calls it.
each_way() { # FUNCTION
	home=7 name='' CONTROLLER=loopback "$1"
	home=8 name=8: CONTROLLER=tcp0 "$1"
}

queue() {
	export CONTROLLER
	start owner "$home" work_queue owner 0x400100 3 6000
	await owner ready
	# The first one takes a lane and is stopped with a job in hand, which goes to another.
	start one 7 work_queue worker "${name}0x400100" 2
	await one ready
	kill -STOP "${pids[one]}"
	start two 7 work_queue worker "${name}0x400100" 1
	start three 7 work_queue worker "${name}0x400100" 0
	await owner "lane 2: worker ${pids[one]} is gone or late, job * goes to another"
	await owner "6000 jobs, sum *"
	[ "$line" = "6000 jobs, sum $sum" ]
	ended owner
	kill -CONT "${pids[one]}"
	local worker
	for worker in one two three; do
		await "$worker" "lane *: * jobs done"
		ended "$worker"
	done
}

@test "work queue: every job is done once" {
	sum=$(awk 'BEGIN { for (n = 1; n <= 6000; n++) for (m = n; m > 1; steps++) m = m % 2 ? 3 * m + 1 : m / 2; print steps }')
	each_way queue
}

cache() {
	export CONTROLLER
	mkfifo "$BATS_TEST_TMPDIR/orders"
	exec {orders}<>"$BATS_TEST_TMPDIR/orders"
	start owner "$home" kv_cache owner 0x400300 <"$BATS_TEST_TMPDIR/orders"
	await owner ready
	echo "set colour dark green" >&"$orders"
	await owner ok
	echo "set size 12" >&"$orders"
	await owner ok
	kill -STOP "${pids[owner]}" # the owner takes no part
	run -0 timeout 20 "$EXAMPLES/kv_cache" read "${name}0x400300" size colour
	[ "$output" = $'size = 12\ncolour = dark green' ]
	run -1 timeout 20 "$EXAMPLES/kv_cache" read "${name}0x400300" weight
	[ "$output" = "weight is not there" ]
	kill -CONT "${pids[owner]}"
	echo "set size 13" >&"$orders"
	await owner ok
	run -0 timeout 20 "$EXAMPLES/kv_cache" read "${name}0x400300" size
	[ "$output" = "size = 13" ]
	slay owner
	run -1 timeout 20 "$EXAMPLES/kv_cache" read "${name}0x400300" size
	[[ $output == *RSMERR_SEG_NOT_PUBLISHED* ]]
	exec {orders}>&-
	rm "$BATS_TEST_TMPDIR/orders"
}

@test "key-value cache: read while the owner is stopped" {
	each_way cache
}

loop() {
	export CONTROLLER
	mkfifo "$BATS_TEST_TMPDIR/input"
	exec {input}<>"$BATS_TEST_TMPDIR/input"
	start server "$home" event_loop serve 0x400200 50 <"$BATS_TEST_TMPDIR/input"
	await server ready
	timeout 20 "$EXAMPLES/event_loop" post "${name}0x400200" 20
	await server "20 events, the counter in memory is 20"
	await server tick
	timeout 20 "$EXAMPLES/event_loop" post "${name}0x400200" 30
	await server "50 events, the counter in memory is 30"
	ended server
	exec {input}>&-
	rm "$BATS_TEST_TMPDIR/input"
}

@test "event loop: signals, a timer and input in one epoll" {
	each_way loop
}

log() {
	export CONTROLLER
	# At the home node, under the home node's name of each other.
	start heir "$home" replicated_log replica 0x400401 0x400402
	start other "$home" replicated_log replica 0x400402
	await heir ready
	await other ready
	start primary 7 replicated_log primary 20000 "${name}0x400401" "${name}0x400402"
	await primary "2000 records are held by a majority"
	slay other # it comes back empty, and is brought up to date
	await primary "replica ${name}0x400402 is away after record *"
	start other "$home" replicated_log replica 0x400402
	await other ready
	await primary "replica ${name}0x400402 joined with 0 records"
	await primary "20000 records, checksum *"
	ended primary
	await heir "the primary is gone after record 20000"
	await heir "21000 records, checksum *"
	local told=$line
	ended heir
	await other "21000 records, checksum *"
	[ "$line" = "$told" ]
	ended other
}

@test "replicated log: a replica dies and returns, the primary goes, its heir goes on" {
	each_way log
}

# event_loop in the background of a shell with a terminal: were it to read there, it would be stopped.
@test "event loop: without input that it may read" {
	start server 7 event_loop serve 0x400200 5 </dev/null
	await server "standard input is not watched: *"
	await server ready
	timeout 20 "$EXAMPLES/event_loop" post 0x400200 5
	await server "5 events, the counter in memory is 5"
	ended server

	# As examples/README.md has it, at a terminal where script(1) types a line.
	local shell="set -m; '$EXAMPLES/event_loop' serve 0x400200 5 & '$EXAMPLES/event_loop' post 0x400200 5; wait"
	run -0 timeout 20 script -qec "bash -c \"$shell\"" /dev/null <<<typed
	[[ $output == *"standard input is not watched: "* ]]
	[[ $output == *"5 events, the counter in memory is 5"* ]]
}

# Each starts at once, and neither waits for the other: whoever comes first waits itself.
@test "the pair of the README" {
	local first
	for first in exporter importer; do
		start "$first" 7 "$first"
		[ "$first" = exporter ] || start exporter 7 exporter
		[ "$first" = importer ] || start importer 7 importer
		await exporter hello
		ended exporter
		ended importer
	done
}

@test "the pair of the README says why it fails" {
	run -1 env RSM_SOCKET="$BATS_TEST_TMPDIR/none.sock" "$EXAMPLES/importer"
	[[ $output == "importer: "*none.sock* ]]
	run -1 env RSM_SOCKET="$BATS_TEST_TMPDIR/none.sock" "$EXAMPLES/exporter"
	[[ $output == "exporter: "*none.sock* ]]
}
