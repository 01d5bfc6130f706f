#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs to an empty prefix and uses it as somebody else would: headers alone, pkg-config, CMake, the tool, and the
# daemon that the installed library starts. install.sh BUILD-DIRECTORY RELEASE
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
release=$2
work=$(mktemp -d)
prefix=$work/prefix

# The rsmd that the installed library started, or nothing.
daemon() {
	[ ! -S "$work/run/rsm/rsmd.sock" ] ||
		"$prefix/bin/rsm" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}
finish() {
	started=$(daemon) || started=
	[ -z "$started" ] || kill "$started"
	rm -rf "$work"
}
trap finish EXIT
die() {
	echo "install: $*" >&2
	exit 1
}

cmake --install "$build" --prefix "$prefix" >"$work/log" || die "$(cat "$work/log")"
library=$(dirname "$(find "$prefix" -name librsm.so)")
for file in "$library/librsm.so.2" "$library/librsm-tls.so.2" "$library/pkgconfig/librsm.pc" "$library/cmake/rsm/rsmConfig.cmake" \
	"$prefix/bin/rsm" "$prefix/bin/rsmd" "$prefix/include/rsmapi.h" "$prefix/include/rsm/ext.h" \
	"$prefix/include/sys/rsm/rsm_common.h" "$prefix/include/sys/rsm/rsmapi_common.h"; do
	[ -s "$file" ] || die "$file was not installed"
done
[ "$(readlink "$library/librsm.so")" = librsm.so.2 ] || die "librsm.so does not point to librsm.so.2"
[ "$(readlink "$library/librsm.so.2")" = "librsm.so.$release" ] ||
	die "librsm.so.2 does not point to librsm.so.$release"

# Every function has its page, by man where it is there.
if command -v man >/dev/null; then
	page() { man -M "$prefix/share/man" -w 3rsm "$1"; }
else
	page() { ls "$prefix/share/man/man3/$1.3rsm"; }
fi
for name in $(nm -D --defined-only "$library/librsm.so.2" | sed -nE 's/.* T (rsmx?_[a-z0-9_]+)@.*/\1/p'); do
	page "$name" >"$work/log" 2>&1 || die "no manual page for $name: $(cat "$work/log")"
	[ -s "$prefix/share/man/man3/$name.3rsm" ] || die "the page of $name is empty"
done
for page in man5/rsm.segmentid.5 man5/rsmd.conf.5 man7/rsm.7 man7/rsm-errors.7 man8/rsmd.8; do
	[ -s "$prefix/share/man/$page" ] || die "$page was not installed"
done
for command in $("$prefix/bin/rsm" --help | awk '/^  [a-z]+  / { print $1 }'); do
	[ -s "$prefix/share/man/man1/rsm-$command.1" ] || die "rsm-$command(1) was not installed"
done
[ -s "$prefix/share/bash-completion/completions/rsm" ] || die "the completion for bash was not installed"

# Each header alone, strictly: C11 and C++17, with and without extensions.
warnings="-Wall -Wextra -Werror -pedantic -fsyntax-only"
for header in rsmapi.h rsm/ext.h sys/rsm/rsm_common.h sys/rsm/rsmapi_common.h; do
	# The prefix is given by -I, so that the headers do not count as system headers, whose warnings are silent.
	for language in "gcc -x c -std=c11" "gcc -x c -std=gnu11" "g++ -x c++ -std=c++17"; do
		# shellcheck disable=SC2086
		echo "#include <$header>" | $language $warnings -I"$prefix/include" - || die "$header alone: $language"
	done
done

# What the README shows is what examples/ has, without the licence line and the head comment.
for program in exporter importer; do
	tail -n +3 "$here/../../examples/$program.c" >"$work/$program.c"
	awk -v wanted="examples/$program.c" '
		index($0, wanted) { armed = 1 }
		/^```/ { inside = armed && /^```c/; if (!inside && shown) exit; next }
		inside { print; shown = 1 }' "$here/../../README.md" | diff -u "$work/$program.c" - >&2 ||
		die "README.md and examples/$program.c differ"
done

PKG_CONFIG_PATH=$library/pkgconfig
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror -std=c11 -D_GNU_SOURCE $(pkg-config --cflags librsm) "$here/outside/outside.c" \
	$(pkg-config --libs librsm) -o "$work/outside" || die "pkg-config build failed"
for program in exporter importer; do
	# shellcheck disable=SC2046
	gcc -Wall -Wextra -Werror $(pkg-config --cflags librsm) "$work/$program.c" $(pkg-config --libs librsm) \
		-o "$work/$program" || die "examples/$program.c does not compile"
done
[ "$(pkg-config --modversion librsm)" = "$release" ] || die "pkg-config tells release $(pkg-config --modversion librsm)"
{ cmake -S "$here/outside" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_EXTENSIONS=ON &&
	cmake --build "$work/cmake"; } >"$work/log" 2>&1 || die "$(cat "$work/log")"

# The installed library must find the installed rsmd. A system's own rsmd would answer first: then only the build counts.
if [ -S /run/rsm/rsmd.sock ]; then
	echo "install: a system rsmd is running, the programs were built but not run"
	exit 0
fi
unset RSM_SOCKET
mkdir -m 0700 "$work/run"
XDG_RUNTIME_DIR=$work/run
LD_LIBRARY_PATH=$library
export XDG_RUNTIME_DIR LD_LIBRARY_PATH
timeout 30 "$work/outside" || die "the program built by pkg-config failed"
program=$(readlink "/proc/$(daemon)/exe")
[ "$program" = "$prefix/bin/rsmd" ] || die "the library started $program, not the installed rsmd"
timeout 30 "$work/cmake/outside" || die "the program built by CMake failed"

# The pair of the README, as it is there: both at once.
timeout 30 "$work/exporter" >"$work/heard" &
exporter=$!
"$work/importer" || die "examples/importer failed"
wait "$exporter" || die "examples/exporter failed"
[ "$(cat "$work/heard")" = hello ] || die "examples/exporter printed '$(cat "$work/heard")', not hello"
