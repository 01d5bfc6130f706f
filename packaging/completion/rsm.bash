# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bash completion for rsm(1). Commands and options are what `rsm --help` and `rsm COMMAND --help` list, so they cannot fall
# behind. Segments, nodes and controllers are those of the daemon that runs; none is started for it.

_rsm_commands() { # PROGRAM
	"$1" --help 2>/dev/null | awk '/^  [a-z]+  / { print $1 }'
	printf '%s\n' help --help --version
}

_rsm_options() { # PROGRAM COMMAND
	"$1" "$2" --help 2>/dev/null | awk '/^ +-/ { for (i = 1; i <= 2; i++) if ($i ~ /^--[a-z]/) { print $i; next } }'
}

# _rsm_ask PROGRAM ARGUMENT...: with a socket that is named and there, the library starts no daemon.
_rsm_ask() {
	local place
	for place in "${RSM_SOCKET:-/run/rsm/rsmd.sock}" "${XDG_RUNTIME_DIR:-/run/user/$EUID}/rsm/rsmd.sock" \
		"/tmp/rsm-$EUID/rsmd.sock"; do
		if [ -S "$place" ] && RSM_SOCKET=$place timeout 2 "$@" 2>/dev/null; then
			return
		fi
		[ -z "${RSM_SOCKET-}" ] || return
	done
}

# All values of a key in JSON of one line.
_rsm_values() { # KEY
	grep -o "\"$1\": *\"\?[^\",}]*" | sed 's/.*: *"\?//'
}

# What follows an option that takes a value; false: the option takes none that is known here.
_rsm_argument() { # PROGRAM COMMAND OPTION
	case $3 in
	--controller) _rsm_ask "$1" topo --json | _rsm_values name ;;
	--nodes | --node) _rsm_ask "$1" nodes --json | grep -o '"paths".*' | _rsm_values node ;;
	--tests) "$1" perf --list 2>/dev/null | awk '{ print $1 }' ;;
	--sort) "$1" top --help 2>/dev/null | sed -n 's/^Columns to sort by: *//p' | tr -d ',.' | tr ' ' '\n' ;;
	*) return 1 ;;
	esac
}

# What may stand there that is no option.
_rsm_operand() { # PROGRAM COMMAND
	case $2 in
	show | get | put | signal | perf) _rsm_ask "$1" ls --json | _rsm_values id_hex ;;
	ping) _rsm_ask "$1" nodes --json | _rsm_values '\(node\|id\)' | grep '^[0-9]' ;;
	config) printf '%s\n' show check path ;;
	watch) "$1" watch --help 2>/dev/null | sed -n 's/^  \(client .*\)/\1/p' ;;
	esac
}

_rsm() {
	local program=${1/#\~/$HOME} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
	local command=${COMP_WORDS[1]-}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ] || [[ $COMP_CWORD -eq 2 && $command == help ]]; then
		words=$(_rsm_commands "$program")
	elif [[ $before == --* ]] && words=$(_rsm_argument "$program" "$command" "$before"); then
		:
	elif [[ $before =~ ^--(input|output|batch|from|plot|baseline)$ ]]; then
		compopt -o default 2>/dev/null
		return
	elif [[ $word == -* ]]; then
		words=$(_rsm_options "$program" "$command")
	else
		words=$(_rsm_operand "$program" "$command")
		case $command in
		export | keygen) compopt -o default 2>/dev/null ;;
		config) [ "$before" != check ] || words= && compopt -o default 2>/dev/null ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _rsm rsm
