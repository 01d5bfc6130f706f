#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The tool's completion for bash and its manual pages against what the tool itself says: neither can fall behind. RSM and
# RSMD name the programs under test.

bats_require_minimum_version 1.5.0

setup_file() {
	: "${RSM:?}" "${RSMD:?}"
	ROOT=$BATS_TEST_DIRNAME/../..
	NODE_DIR=$(mktemp -d /tmp/rsm-completion.XXXXXX)
	export ROOT NODE_DIR RSM_SOCKET=$NODE_DIR/rsmd.sock
	printf '[node]\nid = 7\n[controller shm0]\ntype = local\n' >"$NODE_DIR/rsmd.conf"
	"$RSMD" --config "$NODE_DIR/rsmd.conf" --socket "$RSM_SOCKET" --detach 3>&-
}

teardown_file() {
	local pid
	pid=$("$RSM" status | awk '$1 == "pid" { print $2; exit }')
	[ -n "$pid" ] && kill -TERM "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
	rm -rf "$NODE_DIR"
}

setup() {
	exporter=
	. "$ROOT/packaging/completion/rsm.bash"
}

teardown() {
	[ -z "$exporter" ] || kill -KILL "$exporter" 2>/dev/null || true
}

commands() {
	"$RSM" --help | awk '/^  [a-z]+  / { print $1 }'
}

# complete_line WORD...: what is offered for the last one, a line each.
complete_line() {
	COMP_WORDS=(rsm "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_rsm "$RSM" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}"
}


# Those of its table; the help may name other programs' options in its text.
listed_options_of() {
	"$RSM" "$1" --help | grep -oE -- '^ +(-[^ ], )?--[a-z][a-z-]+' | grep -oE -- '--[a-z][a-z-]+' | sort -u
}

@test "every command is completed" {
	[ "$(commands | wc -l)" -ge 14 ]
	for command in $(commands); do
		[[ $'\n'$(complete_line "")$'\n' == *$'\n'"$command"$'\n'* ]]
		complete_line "$command" | grep -qx "$command"
	done
	[ "$(complete_line ver)" = version ]
	[ "$(complete_line --ver)" = --version ]
	[ "$(complete_line help ver)" = version ]
}

@test "every long option is completed, and nothing else" {
	for command in $(commands); do
		[ -n "$(listed_options_of "$command")" ]
		diff <(complete_line "$command" -- | sort -u) <(listed_options_of "$command")
	done
	[ "$(complete_line get --le)" = --length ]
}

@test "segments, nodes and controllers are those of the daemon that runs" {
	mkfifo "$BATS_TEST_TMPDIR/address"
	"$RSM" export --id 0x400777 "$ROOT/LICENSE" >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 _ <"$BATS_TEST_TMPDIR/address"
	for command in get put show signal perf; do
		[ "$(complete_line "$command" 0x4)" = 0x400777 ]
	done
	[ "$(complete_line ping "")" = 7 ]
	[ "$(complete_line get --controller "")" = shm0 ]
	[ "$(complete_line config ch)" = check ]
	[ "$(complete_line watch rep)" = republish ]
	[ "$(complete_line perf --tests get-b)" = "$("$RSM" perf --list | awk '$1 ~ /^get-b/ { print $1 }')" ]
}

@test "no daemon is started for completion" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/runtime"
	unset RSM_SOCKET
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/runtime complete_line get ""
	[ -z "$(ls -A "$BATS_TEST_TMPDIR/runtime")" ]
}

@test "every command has a manual page with every option, and every page is listed" {
	for command in $(commands); do
		page=$ROOT/man/rsm-$command.1.scd
		[ -f "$page" ]
		[[ $(head -1 "$page") == "rsm-$command(1)" ]]
		for option in $(listed_options_of "$command"); do
			grep -qE -- "\*[^*]*$option(\*|[^a-z-])" "$page" || {
				echo "$page says nothing of $option"
				false
			}
		done
		grep -qF "*rsm-$command*(1)" "$ROOT/man/rsm.1.scd"
		for section in NAME SYNOPSIS DESCRIPTION EXAMPLES "EXIT STATUS" "SEE ALSO"; do
			grep -qx "# $section" "$page"
		done
		scdoc <"$page" >/dev/null
	done
	for page in "$ROOT"/man/rsm-*.1.scd; do
		name=$(basename "$page" .1.scd)
		[[ $'\n'$(commands)$'\n' == *$'\n'"${name#rsm-}"$'\n'* ]]
	done
}
