#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Whether the checks can fail: each is given a small tree that breaks its rule once, and the same tree unbroken.
set -u
tools=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

# A tree that breaks no rule.
fresh() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree/src/base" "$tree/src/lib" "$tree/src/rsmd" "$tree/include/rsm"
	cp "$tools/../.clang-format" "$tree/"
	echo text >"$tree/LICENSE"
	for file in src/base/good.c src/lib/good.c src/rsmd/loop.c include/rsmapi.h include/rsm/ext.h; do
		echo '/* SPDX-License-Identifier: BSD-2-Clause */' >"$tree/$file"
	done
	printf '#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\necho good\n' >"$tree/good.sh"
	echo '#include "base/good.h"' >>"$tree/src/lib/good.c"
	echo '#include <uv.h>' >>"$tree/src/rsmd/loop.c"
	echo 'int rsm_get_controller(char *name);' >>"$tree/include/rsmapi.h"
	echo 'const char *rsmx_version(void);' >>"$tree/include/rsm/ext.h"
}

# expect RESULT(pass|fail) CHECK: what the check says of the tree
expect() {
	"$tools/check-$2.sh" "$tree" >"$tree.log" 2>&1 && found=pass || found=fail
	if [ "$found" != "$1" ]; then
		echo "check-$2.sh should $1 here ($3):" >&2
		cat "$tree.log" >&2
		failed=1
	fi
	rm -f "$tree.log"
}

# breaks CHECK FILE TEXT: the text, at the end of the file, makes the check fail
breaks() {
	fresh
	expect pass "$1" "unbroken tree"
	printf '%b\n' "$3" >>"$tree/$2"
	expect fail "$1" "$2: $3"
}

breaks includes src/base/good.c '#include "lib/good.h"'
breaks includes src/lib/good.c '#include "rsmd/loop.h"'
breaks includes src/rsmd/loop.c '# include <lib/good.h>'
breaks includes src/lib/good.c '#include <uv.h>'
breaks includes src/lib/good.c '#include <jansson.h>'
breaks includes src/rsmd/loop.c '#include <ini.h>'
breaks includes src/rsmd/loop.c '#include "../lib/good.h"'
breaks licences src/lib/new.c 'int x;'
breaks licences new.sh '#!/bin/sh'
breaks sizes src/lib/long.c "$(seq 1 1001)"
breaks format src/lib/good.c 'int  x ;'
breaks spelling src/lib/good.c '/* t''eh */'
# shellcheck disable=SC2016
breaks scripts bad.sh '#!/bin/sh\nrm $1/*'

# The symbols of a library: one declared function is missing, one too many is there, and 42 are not 2.
# symbols RESULT NAMES SONAME: builds a library with 41 functions more than NAMES in header and library
symbols() {
	fresh
	for number in $(seq 1 41); do
		echo "int rsm_f$number(void);" >>"$tree/include/rsmapi.h"
		set -- "$1" "$2 rsm_f$number" "$3"
	done
	for name in $2; do
		echo "int $name(void) { return 0; }"
	done >"$tree/library.c"
	echo 'LIBRSM_2.0 { global: rsm_*; rsmx_*; local: *; };' >"$tree/map"
	gcc -shared -fPIC "-Wl,--version-script=$tree/map,-soname=$3" -o "$tree/library.so" "$tree/library.c"
	"$tools/check-symbols.sh" "$tree/library.so" "$tree/include" >"$tree.log" 2>&1 && found=pass || found=fail
	if [ "$found" != "$1" ]; then
		echo "check-symbols.sh should $1 here ($3):" >&2
		cat "$tree.log" >&2
		failed=1
	fi
	rm -f "$tree.log"
}
symbols pass "rsm_get_controller rsmx_version" librsm.so.2
symbols fail "rsm_get_controller rsmx_version" librsm.so.3
symbols fail "rsm_get_controller" librsm.so.2
symbols fail "rsm_get_controller rsmx_version rsm_secret" librsm.so.2

exit $failed
