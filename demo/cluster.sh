#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo/cluster.sh BUILD_DIR: two nodes; a process of one shares a file's contents with a process of the other. Status 0 only if
# every step did what it should. DEMO_FILE names the file; else 64 MiB are made on the spot. Leaves nothing behind.
#
# As root the nodes are two network namespaces joined by a veth pair, and all but their set-up runs as an unprivileged
# user. Else they are two virtual nodes, at 127.0.0.2 and 127.0.0.3.

set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
build=${1:?usage: demo/cluster.sh BUILD_DIR}
# shellcheck source=lib.sh
. "$here/lib.sh"

holders=() # by node: a process that keeps its namespace alive
address=('' 127.0.0.2 127.0.0.3)
port=$((20000 + RANDOM % 20000))
complete=

end_daemons() {
	[ -n "$complete" ] || cat "$work"/[12]/rsmd.log >&2 2>/dev/null || true
	end_daemon "$work/1/rsmd.sock"
	end_daemon "$work/2/rsmd.sock"
}

# become NODE COMMAND...: the command takes this shell's place, as a process of that node.
become() {
	local node=$1 enter=()
	shift
	[ -z "${holders[$node]:-}" ] || enter=(nsenter "--net=/proc/${holders[$node]}/ns/net" --)
	export RSM_SOCKET=$work/$node/rsmd.sock
	exec "${enter[@]}" "${as_user[@]}" "$@"
}

at() {
	(become "$@")
}

hold_namespace() {
	mkfifo "$work/held"
	unshare --net sh -c 'ip link set lo up && echo held; exec tail -f /dev/null >/dev/null' >"$work/held" 3>&- 4>&- &
	holders[$1]=$!
	pids+=("$!")
	read -r -t 10 _ <"$work/held" || fail "no network namespace for node $1: is ip (of iproute2) missing?"
	rm "$work/held"
}

# A pair of network devices, one in each namespace.
join_namespaces() {
	local node in=("" "" "")
	hold_namespace 1
	hold_namespace 2
	address=('' 10.77.0.1 10.77.0.2)
	port=7600
	for node in 1 2; do
		in[node]="nsenter --net=/proc/${holders[$node]}/ns/net --"
	done
	${in[1]} ip link add rsm1 type veth peer name rsm2 netns "${holders[2]}"
	for node in 1 2; do
		${in[node]} ip address add "${address[$node]}/24" dev "rsm$node"
		${in[node]} ip link set "rsm$node" up
	done
	step "made two network namespaces, joined by a veth pair"
}

# start_node NODE OTHER
start_node() {
	cat >"$work/$1/rsmd.conf" <<-end
		[node]
		id = $1
		name = node-$1

		[cluster]
		key-file = $work/$1/cluster.key
		dead-after = 1s

		[controller tcp0]
		type = tcp
		address = ${address[$1]}
		port = $port

		[peer $2]
		name = node-$2
		tcp0 = ${address[$2]}:$port
	end
	at "$1" "$bin/rsmd" --config "$work/$1/rsmd.conf" --socket "$work/$1/rsmd.sock" --detach \
		2>"$work/$1/rsmd.log" || fail "rsmd of node $1 does not start"
	step "started rsmd of node $1 at ${address[$1]}:$port"
}

# The right to give files away only root has; otherwise they belong to the user anyway.
mkdir -m 700 "$work/run" "$work/1" "$work/2"
mkfifo "$work/exporter" "$work/importer"
find_programs
[ "$(id -u)" -ne 0 ] || chown "$user:$user" "$work/1" "$work/2"
last=$EPOCHREALTIME
make_file
[ "$(id -u)" -ne 0 ] || join_namespaces

at 1 "$bin/rsm" keygen "$work/1/cluster.key" || fail "no key was made"
at 2 cp -p "$work/1/cluster.key" "$work/2/" 2>/dev/null || cp -p "$work/1/cluster.key" "$work/2/"
step "made the cluster's key by rsm keygen, and gave it to both nodes"
# Node 1 dials: what it looks for is there when it starts, however slow the machine.
start_node 2 1
start_node 1 2
at 1 "$bin/rsm" ping 2 --count 3 --interval 0.01 || fail "node 2 does not answer"
step "node 1 has reached node 2: the path is active"
echo
at 1 "$bin/rsm" nodes || fail "rsm nodes failed"
echo
at 1 "$bin/rsm" topo || fail "rsm topo failed"
echo

last=$EPOCHREALTIME
become 2 "$bin/demo_exporter" tcp0 1 <"$file" >"$work/exporter" &
exporter=$!
pids+=("$exporter")
exec 3<"$work/exporter"
await 3 || fail "the exporter did not publish"
read -r _ node id length <<<"$told"

become 1 "$bin/demo_visitor" tcp0 "$node" "$id" "$length" "$sum" >"$work/importer" &
importer=$!
pids+=("$importer")
exec 4<"$work/importer"
await 4 || fail "the importer did not come as far as its second barrier"
# The exporter is quiet from here on, so this ends as soon as its two steps are printed.
await 3 || fail "the exporter did not see the changes"

at 1 "$bin/demo_intruder" "$node" "$id" tcp0 || fail "the third process was not refused as it should be"

last=$EPOCHREALTIME
kill -STOP "$exporter"
at 1 "$bin/rsm" get "$node:$id" --length 1M >"$work/part" || fail "the stopped exporter's memory cannot be read"
[ "$(stat -c %s "$work/part")" -eq 1048576 ] || fail "a part of the stopped exporter's memory is missing"
step "stopped the exporter (SIGSTOP); node 1 reads its memory all the same"

kill_exporter "$exporter" "$importer"
pids=("${holders[@]}")

last=$EPOCHREALTIME
become 2 "$bin/rsm" export --controller tcp0 - <"$file" >"$work/exporter" 3<&- 4<&- &
exporter=$!
pids+=("$exporter")
exec 3<"$work/exporter"
read -r -t 30 -u 3 again || fail "the file was not exported again"
step "exported the file again, by rsm export: $again"
[ "$(at 1 "$bin/rsm" get "$again" --length "$length" | sha256sum)" = "$sum  -" ] ||
	fail "what was read after the reconnect is not the file"
step "connected again from node 1: SHA-256 of what was read is the file's"

echo
echo "What it costs."
at 1 "$bin/rsm" perf --duration 0.1 "$again" || fail "the measurement failed"
echo

last=$EPOCHREALTIME
kill -TERM "$exporter"
wait "$exporter" || fail "rsm export failed"
step "ended rsm export by SIGTERM"
pids=("${holders[@]}")
end_daemon "$work/2/rsmd.sock"
step "ended rsmd of node 2"
status=0
at 1 "$bin/rsm" ping 2 --count 1 >"$work/ping" || status=$?
[ "$status" -eq 5 ] || fail "node 2 was pinged with status $status after its end"
step "$(grep -m 1 'no answer' "$work/ping")"
complete=yes
