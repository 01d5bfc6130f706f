#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# plots.sh BUILD_DIR [DIRECTORY]: measures and draws the pictures of doc/benchmarks.md, into DIRECTORY (doc/plots). Takes about
# a minute, wants two CPUs and a quiet machine, needs gnuplot. Two nodes are two rsmd of this host, at two addresses of the
# loopback device. Leaves nothing behind but the pictures; on failure the old ones stay.
#
# PLOTS_DURATION: seconds of one row, default 0.2.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:?usage: plots.sh BUILD_DIR [DIRECTORY]}" && pwd)
target=${2:-$here/../doc/plots}
duration=${PLOTS_DURATION:-0.2}
rsm=$build/src/rsm/rsm
rsmd=$build/src/rsmd/rsmd
work=$(mktemp -d /tmp/rsm-plots.XXXXXX)
port=$((20000 + RANDOM % 12000)) # below those that the kernel gives away
exporter=

at() { # NODE COMMAND...
	RSM_SOCKET=$work/$1.sock "${@:2}"
}

finish() {
	local node pid
	if [ -n "$exporter" ]; then
		kill -TERM "$exporter" 2>/dev/null || true
		wait "$exporter" || true
	fi
	for node in 1 2; do
		[ -S "$work/$node.sock" ] || continue
		pid=$(at "$node" "$rsm" status | awk '$1 == "pid" { print $2; exit }') || continue
		kill -TERM "$pid" && timeout 10 tail --pid="$pid" -f /dev/null || true
	done
	rm -rf "$work"
}
trap finish EXIT

start_node() { # NODE OTHER
	cat >"$work/$1.conf" <<-end
		[node]
		id = $1
		name = node-$1
		[cluster]
		key-file = $work/cluster.key
		[controller tcp0]
		type = tcp
		address = 127.0.0.$((1 + $1))
		port = $port
		[peer $2]
		name = node-$2
		tcp0 = 127.0.0.$((1 + $2)):$port
	end
	"$rsmd" --config "$work/$1.conf" --socket "$work/$1.sock" --detach 2>"$work/$1.log" || {
		cat "$work/$1.log" >&2
		return 1
	}
}

# draw NAME OPTION...: a picture of what node 1 measures; its table is shown meanwhile.
draw() {
	echo "$1:"
	at 1 "$rsm" perf --duration "$duration" --plot "$work/$1.svg" "${@:2}"
	echo
}

"$rsm" keygen "$work/cluster.key"
start_node 1 2
start_node 2 1
timeout 20 env RSM_SOCKET="$work/1.sock" "$rsm" ping 2 --count 1 >/dev/null

draw latency --compare --all --tests put,get,map
draw bandwidth --compare --all --tests put-bw,get-bw
draw distribution --compare --tests put,get,map,signal-spin,signal-block --warm-up "$duration"

mkfifo "$work/address"
truncate -s 16M "$work/data"
RSM_SOCKET=$work/2.sock "$rsm" export --rw --controller tcp0 "$work/data" >"$work/address" &
exporter=$!
read -r -t 20 address <"$work/address"
draw nodes --write --all --tests put,get,put-bw,get-bw "$address"

mkdir -p "$target"
for picture in latency bandwidth distribution nodes; do
	mv "$work/$picture.svg" "$target/$picture.svg"
done
