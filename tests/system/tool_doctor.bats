#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tool says of the daemon and of this host, and signals: doctor, config, signal. Nodes seven and eight as in
# tool_nodes.bats. RSM and RSMD name the programs under test, RSM_WORKER a process that does what it is told (worker.c).

bats_require_minimum_version 1.5.0

setup_file() {
	: "${RSM:?}" "${RSMD:?}" "${RSM_WORKER:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-doctor.XXXXXX)/nodes.d # which is no directory of drop-ins
	mkdir "$NODE_DIR"
	PORT=$((20000 + RANDOM % 12000)) # below those that the kernel gives away
	export NODE_DIR PORT RSM_SOCKET=$NODE_DIR/7.sock
	unset RSM_CONFIG
	"$RSM" keygen "$NODE_DIR/cluster.key"
	configure 7 8
	configure 8 7
	mkdir "$NODE_DIR/7.conf.d"
	printf '# of a package\n[node]\nmax-segments = 1000\n[controller  TCP0]\nthreads = 3\n' >"$NODE_DIR/7.conf.d/10-more.conf"
	start_node 7
	start_node 8
	timeout 20 "$RSM" ping 8 --count 1
}

teardown_file() {
	end_node 7
	end_node 8
	rm -rf "${NODE_DIR%/nodes.d}"
}

configure() { # NUMBER OTHER
	cat >"$NODE_DIR/$1.conf" <<-end
		[node]
		id = $1
		name = node$1
		[cluster]
		key-file = $NODE_DIR/cluster.key
		[controller tcp0]
		type = tcp
		address = 127.0.0.$1
		port = $PORT
		[peer $2]
		tcp0 = 127.0.0.$2:$PORT
	end
}

start_node() { # NUMBER; 3 is bats' own descriptor
	"$RSMD" --config "$NODE_DIR/$1.conf" --socket "$NODE_DIR/$1.sock" --detach 3>&-
}

end_node() { # NUMBER
	local pid
	pid=$(RSM_SOCKET=$NODE_DIR/$1.sock "$RSM" status | awk '$1 == "pid" { print $2; exit }')
	[ -n "$pid" ] && kill -KILL "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
}

setup() {
	exporter= waiter=
}

teardown() {
	for pid in $exporter $waiter; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# check TOPIC LEVEL WORD: the doctor's JSON ($output) has such a check.
check() {
	python3 -c '
import json, sys
topic, level, word = sys.argv[1:]
checks = [c for c in json.loads(sys.stdin.read())["checks"] if c["topic"] == topic]
assert any(c["level"] == level and word in c["found"] for c in checks), (topic, level, word, checks)
assert all(c["do"] for c in checks if c["level"] in ("warning", "problem")), checks' "$@" <<<"$output"
}

@test "doctor: a healthy node has no problem; lines fit 100 columns" {
	run -0 "$RSM" doctor
	[[ $output == *" 0 problems" ]]
	[[ $output == *"no rsm gc"* ]]
	for line in "${lines[@]}"; do
		[ "${#line}" -le 100 ]
		[[ $line =~ ^(ok|note|warning|\ |[0-9]) ]]
	done
}

@test "doctor --json: every check has level, topic and what was found" {
	run -0 "$RSM" doctor --json
	check daemon ok "system rsmd answers"
	check socket ok "$RSM_SOCKET"
	check configuration ok "$NODE_DIR/7.conf is valid"
	check "key file" ok "mode 0600"
	check address ok "tcp0 listens at 127.0.0.7:$PORT, on lo"
	check path ok "node 8 (node8) through tcp0: active"
	check clocks ok "wall clocks differ by"
	check release ok "library"
	check memfd ok ""
	python3 -c '
import json, sys
tree = json.loads(sys.stdin.read())
assert tree["schema"] == 1 and tree["problems"] == 0, tree
topics = {c["topic"] for c in tree["checks"]}
for topic in ("user", "descriptors", "memlock", "userfaultfd", "processors", "memory", "overcommit", "huge pages",
              "control group", "cleaning up", "segments", "namespaces"):
    assert topic in topics or topic == "namespaces" and "namespace" in topics, topic
files = [c for c in tree["checks"] if c["topic"] == "rsmd'"'"'s files"]
assert len(files) == 1 and "max-segments is 1000" in files[0]["found"], files' <<<"$output"
}

@test "doctor: few descriptors are a warning with what to do" {
	run -0 bash -c 'ulimit -Sn 100 && "$RSM" doctor --json'
	check descriptors warning "RLIMIT_NOFILE of this process: 100"
}

@test "doctor: no daemon is a problem, exit 1, and the rest is looked at all the same" {
	RSM_SOCKET=$NODE_DIR/none.sock run -1 "$RSM" doctor --json
	check socket problem "where nobody answers"
	check daemon problem "$NODE_DIR/none.sock"
	check memory ok ""
	RSM_SOCKET=$NODE_DIR/none.sock run -1 "$RSM" doctor
	[[ $output == *"problem  socket"*"-> "*" 2 problems" ]]
	RSM_SOCKET=$NODE_DIR/none.sock run -1 "$RSM" doctor --dump
	[[ $output == *"== events"*"no daemon answers"* ]]
}

@test "doctor: a socket that was left behind" {
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$NODE_DIR/stale.sock"
	RSM_SOCKET=$NODE_DIR/stale.sock run -1 "$RSM" doctor --json
	check socket problem "Connection refused"
}

@test "doctor: a configuration that became wrong is told with its file and line" {
	printf '[node]\n\nspeed = 1\n' >"$NODE_DIR/7.conf.d/20-wrong.conf"
	run -1 "$RSM" doctor --json
	rm "$NODE_DIR/7.conf.d/20-wrong.conf"
	check configuration problem "$NODE_DIR/7.conf.d/20-wrong.conf:3: unknown key speed"
}

@test "doctor: a key file that others can read" {
	chmod 644 "$NODE_DIR/cluster.key"
	run -1 "$RSM" doctor --json
	chmod 600 "$NODE_DIR/cluster.key"
	check "key file" problem "mode 0644"
}

@test "doctor --dump has all that the daemon tells, and not the key" {
	run -0 "$RSM" doctor --dump
	for title in host status health config nodes segments events; do
		[[ $output == *$'\n'"== $title"$'\n'* ]]
	done
	key=$(sed -n 's/^rsm-key-1 //p' "$NODE_DIR/cluster.key")
	[ ${#key} -eq 64 ]
	[[ ${output,,} != *"${key:0:16}"* ]]
	"$RSM" doctor --dump --json | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["health"]["descriptors"]["in_use"] > 0 and tree["host"]["tool"], tree
assert tree["events"], tree'
	run -2 "$RSM" doctor surplus
}

@test "config tells every setting and where it came from" {
	run -0 "$RSM" config
	[[ $output == *"[controller tcp0]"*"[peer 8]"* ]]
	run -0 "$RSM" config show --json
	python3 -c '
import json, sys
tree = json.loads(sys.stdin.read())
where = sys.argv[1]
assert tree["schema"] == 1 and tree["file"] == where + "/7.conf", tree
assert tree["files"] == [where + "/7.conf", where + "/7.conf.d/10-more.conf"], tree
found = {(s["section"], s["key"]): (s["value"], s["origin"]) for s in tree["settings"]}
assert found["node", "id"] == ("7", where + "/7.conf:2"), found
assert found["node", "max-segments"] == ("1000", where + "/7.conf.d/10-more.conf:3"), found
assert found["node", "idle-exit"] == ("30s", "default"), found
assert found["cluster", "dead-after"] == ("3s", "default"), found
assert found["controller tcp0", "encrypt"] == ("no", "default"), found
assert found["controller tcp0", "threads"] == ("3", where + "/7.conf.d/10-more.conf:5"), found
assert found["peer 8", "tcp0"][1] == where + "/7.conf:11", found' "$NODE_DIR" <<<"$output"
	run -0 "$RSM" config path
	[ "$output" = "$NODE_DIR/7.conf"$'\n'"$NODE_DIR/7.conf.d/10-more.conf" ]
}

@test "config check has rsmd's exit code and message, and needs no daemon" {
	RSM_SOCKET=/nonexistent/socket run -0 "$RSM" config check "$NODE_DIR/7.conf"
	[ "$output" = "read $NODE_DIR/7.conf"$'\n'"read $NODE_DIR/7.conf.d/10-more.conf"$'\n'valid ]
	run -0 "$RSM" config check --json "$NODE_DIR/7.conf"
	[ "$output" = '{"schema":1,"valid":true,"files":["'"$NODE_DIR/7.conf"'","'"$NODE_DIR/7.conf.d/10-more.conf"'"],"said":null}' ]
	printf '[node]\nid = many\n' >"$BATS_TEST_TMPDIR/wrong.conf"
	RSM_SOCKET=/nonexistent/socket run -1 "$RSM" config check "$BATS_TEST_TMPDIR/wrong.conf"
	[[ $output == *"wrong.conf:2: id = many"* ]]
	run -1 "$RSM" config check --json "$BATS_TEST_TMPDIR/wrong.conf"
	[[ $output == *'"valid":false,"files":[],"said":"'*"wrong.conf:2: id = many"* ]]
	run -1 "$RSM" config check /nonexistent/rsmd.conf
	run -2 "$RSM" config nonsense
	run -0 "$RSM" config path --json
	[ "$output" = '{"schema":1,"files":["'"$NODE_DIR/7.conf"'","'"$NODE_DIR/7.conf.d/10-more.conf"'"]}' ]
	run -2 "$RSM" config show surplus
}

@test "a private daemon says which settings it does not use" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/run"
	"$RSMD" --private --config "$NODE_DIR/7.conf" --socket "$BATS_TEST_TMPDIR/run/rsmd.sock" --detach 3>&-
	RSM_SOCKET=$BATS_TEST_TMPDIR/run/rsmd.sock run -0 "$RSM" config --json
	pid=$(RSM_SOCKET=$BATS_TEST_TMPDIR/run/rsmd.sock "$RSM" status | awk '$1 == "pid" { print $2; exit }')
	kill -KILL "$pid"
	python3 -c '
import json, sys
for s in json.loads(sys.stdin.read())["settings"]:
    assert s.get("unused", False) == s["section"].startswith(("controller ", "peer ")), s' <<<"$output"
}

# ask LINE: what the worker answers is success (worker.c).
ask() {
	local code
	echo "$1" >&5
	read -r -t 20 -u 6 code _
	[ "$code" -eq 0 ]
}

# importers NODE COUNT: waits until its only segment has so many.
importers() {
	for ((i = 0; i < 1000; i++)); do
		RSM_SOCKET=$NODE_DIR/$1.sock "$RSM" ls --json | grep -q "\"importers\":$2[,}]" && return
		sleep 0.01
	done
	return 1
}

@test "signal: events reach the exporter, and back; also on another node" {
	for node in 7 8; do
		mkfifo "$BATS_TEST_TMPDIR/said$node" "$BATS_TEST_TMPDIR/asked$node"
		RSM_SOCKET=$NODE_DIR/$node.sock "$RSM_WORKER" "$([ "$node" = 7 ] && echo loopback || echo tcp0)" \
			<"$BATS_TEST_TMPDIR/asked$node" >"$BATS_TEST_TMPDIR/said$node" 3>&- &
		exporter=$!
		exec 5>"$BATS_TEST_TMPDIR/asked$node" 6<"$BATS_TEST_TMPDIR/said$node"
		read -r -t 20 -u 6 code _
		[ "$code" -eq 0 ]
		ask "export 4096 $((0x400000))"
		run -0 "$RSM" signal "$node:0x400000" --count 3
		[ -z "$output" ]
		for ((n = 0; n < 3; n++)); do
			ask wait
		done
		# The exporter posts to whoever is connected: the one that posted has gone, the waiter is there.
		importers "$node" 0
		"$RSM" signal --wait --timeout 20 "$node:0x400000" --json >"$BATS_TEST_TMPDIR/waited" 5>&- 6<&- 3>&- &
		waiter=$!
		importers "$node" 1
		ask post
		wait "$waiter"
		waiter=
		grep -q '"waited": 1' "$BATS_TEST_TMPDIR/waited"
		exec 5>&- 6<&-
		wait "$exporter"
		exporter=
	done
}

@test "signal: time limit, wrong usage, an exporter that is gone" {
	head -c 4096 /dev/zero >"$BATS_TEST_TMPDIR/page"
	mkfifo "$BATS_TEST_TMPDIR/address"
	RSM_SOCKET=$NODE_DIR/8.sock "$RSM" export --controller tcp0 "$BATS_TEST_TMPDIR/page" >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$BATS_TEST_TMPDIR/address"
	run -0 "$RSM" signal "$address" --count 3
	[ -z "$output" ]
	"$RSM" signal "$address" -n 2 --json | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert said["schema"] == 1 and said["node"] == 8 and said["posted"] == 2, said'
	run -5 "$RSM" signal --wait --timeout 0.05 "$address"
	[[ $output == *"(RSMERR_TIMEOUT)"* ]]
	run -1 "$RSM" signal 8:0x7ffffff0
	run -2 "$RSM" signal
	run -2 "$RSM" signal nonsense
	run -2 "$RSM" signal --count 0 "$address"
	run -2 "$RSM" signal --timeout 1 "$address"
	run -2 "$RSM" signal --wait --no-accumulate "$address"
	# Who waits learns that the exporter has gone.
	"$RSM" signal --wait "$address" 2>"$BATS_TEST_TMPDIR/error" 3>&- &
	waiter=$!
	importers 8 1
	kill -KILL "$exporter"
	exporter=
	status=0
	wait "$waiter" || status=$?
	waiter=
	[ "$status" -eq 1 ]
	grep -q "(RSMERR_CONN_ABORTED)" "$BATS_TEST_TMPDIR/error"
}

@test "a mistyped command is told with the one that may be meant" {
	run -2 "$RSM" doktor
	[[ $output == *"unknown command 'doktor', perhaps 'doctor'"* ]]
	run -2 "$RSM" sttaus
	[[ $output == *"perhaps 'status'"* ]]
	run -2 "$RSM" xyzzy
	[[ $output != *perhaps* ]]
}
