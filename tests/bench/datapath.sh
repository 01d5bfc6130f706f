#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Shows that put and get on one host make no system call and take no lock or memory, and what they cost in
# instructions (one call of 1024 is timed for the counters, without the kernel): strace between two marks around the loop, callgrind inside the loop's function.
# usage: datapath.sh PATH-OF-BENCH [COUNT]    Exit status: 0 shown, 1 not so, 2 strace or valgrind is missing.
set -u

bench=${1:?usage: datapath.sh PATH-OF-BENCH [COUNT]}
count=${2:-1000000}
few=1000
many=11000
forbidden='mutex|rwlock|spin_|sem_|futex|malloc|calloc|realloc|free|mmap|syscall|pthread'
status=0

for tool in strace valgrind; do
	if ! command -v $tool >/dev/null; then
		echo "datapath.sh: $tool is missing; the Debian packages strace and valgrind have it" >&2
		exit 2
	fi
done
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT

# System calls between the marks: of the caller, and of the exporter and rsmd, which -f follows too.
system_calls()
{
	strace -f -o "$directory/trace" "$bench" --datapath "$1" "$2" || return 1
	awk '/bench:loop:end/ { inside = 0; ended = 1 }
	     inside { if ($1 == caller) own++; else others++ }
	     /bench:loop:begin/ { inside = 1; caller = $1 }
	     END { if (!ended) exit 1; print own + 0, others + 0 }' "$directory/trace"
}

# Instructions inside the loop's function, all that it calls included; the profile stays in $directory/profile.
instructions()
{
	valgrind --tool=callgrind --toggle-collect="bench_datapath_${1%-*}" \
		--callgrind-out-file="$directory/profile" "$bench" --datapath "$1" "$2" 2>"$directory/log" ||
		{ cat "$directory/log" >&2; return 1; }
	awk '/^(summary|totals):/ { total = $2 } END { if (!total) exit 1; print total }' "$directory/profile"
}

# The functions that spent instructions of their own. In a profile "fn=(id) name" names a function once, "fn=(id)"
# after that; its lines are costs, but the one after "calls=" is the callee's.
functions()
{
	awk '/^c?fn=/ { id = $1; sub(/^c?fn=/, "", id); if (NF > 1) name[id] = $2 }
	     /^fn=/ { current = id; next }
	     /^calls=/ { callee = 1; next }
	     /^[-+*0-9]/ { if (!callee) spent[current] = 1; callee = 0 }
	     END { for (id in spent) print name[id] }' "$directory/profile" | sort -u | tr '\n' ' '
}

printf '%-14s %22s %16s   %s\n' "one call" "system calls in $count" "instructions" "functions entered"
for what in put-implicit put-explicit get-implicit get-explicit; do
	calls=$(system_calls $what "$count") || { echo "datapath.sh: strace of $what failed" >&2; exit 1; }
	first=$(instructions $what $few) || { echo "datapath.sh: callgrind of $what failed" >&2; exit 1; }
	second=$(instructions $what $many) || { echo "datapath.sh: callgrind of $what failed" >&2; exit 1; }
	entered=$(functions)
	printf '%-14s %22s %16s   %s\n' $what "${calls% *} (others: ${calls#* })" \
		$(((second - first) / (many - few))) "$entered"
	[ "${calls% *}" = 0 ] || { echo "  a $what makes system calls"; status=1; }
	[ -n "$entered" ] || { echo "  the profile of $what is empty"; status=1; }
	if echo "$entered" | grep -qE "$forbidden"; then
		echo "  a $what locks, allocates or calls the system"
		status=1
	fi
done
exit $status
