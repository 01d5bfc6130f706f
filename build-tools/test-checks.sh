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
	"$(ls "$tools/check-$2."*)" "$tree" >"$tree.log" 2>&1 && found=pass || found=fail
	if [ "$found" != "$1" ]; then
		echo "check-$2 should $1 here ($3):" >&2
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

# A manual of one function. Each word of the header, of the code and of the pages that is changed makes the check fail.
manual() {
	fresh
	mkdir -p "$tree/man" "$tree/include/sys/rsm"
	printf '/*\n * rsmapi.h - all\n */\n\n/*\n * Opens.\n *   RSMERR_BAD  it is NULL\n */\nint rsm_get(char *name);\n' >"$tree/include/rsmapi.h"
	printf '/* rsm/ext.h */\n' >"$tree/include/rsm/ext.h"
	printf '#define RSMERR_BAD 3\n#define RSMERR_ODD 4\n' >"$tree/include/sys/rsm/rsm_common.h"
	: >"$tree/include/sys/rsm/rsmapi_common.h"
	printf 'global:\n\trsm_get;\n' >"$tree/src/lib/librsm.map"
	printf 'CODE(RSMERR_BAD, "it is bad"),\nCODE(RSMERR_ODD, "it is odd"),\n' >"$tree/src/base/reason.c"
	echo 'char *s = getenv("RSM_PLACE");' >>"$tree/src/lib/good.c"
	cat >"$tree/man/rsm_get.3rsm.scd" <<-'END'
		rsm_get(3rsm)

		# NAME

		rsm_get - get it

		# SYNOPSIS

		```
		#include <rsmapi.h>

		int rsm_get(char *name);
		```

		Link with _-lrsm_.

		# DESCRIPTION

		It gets.

		# RETURN VALUES

		None.

		# ERRORS

		*RSMERR_BAD*
		> _name_ is NULL.

		# EXAMPLES

		```
		int main(void)
		{
		    return 0;
		}
		```

		# ATTRIBUTES

		MT-Safe

		# SEE ALSO

		rsm-errors(7), rsm-environment(7)
	END
	sed -i 's/^> /\t/' "$tree/man/rsm_get.3rsm.scd"
	printf 'rsm-errors(7)\n\n# NAME\n\nrsm-errors - errors\n\n*RSMERR_BAD* (3): it is bad\n\tBad.\n\n*RSMERR_ODD* (4): it is odd\n\tOdd.\n\n# SEE ALSO\n\nrsm_get(3rsm)\n' >"$tree/man/rsm-errors.7.scd"
	printf 'rsm-environment(7)\n\n# NAME\n\nrsm-environment - variables\n\n*RSM_PLACE*\n\tA place.\n\n# SEE ALSO\n\nrsm_get(3rsm)\n' >"$tree/man/rsm-environment.7.scd"
}
# unmanual FILE EXPRESSION MESSAGE: what sed makes of the file has to be told. All at once, since each run takes its time.
unmanual() {
	cp "$tree/$1" "$tree/before"
	sed -i -E "$2" "$tree/$1"
	if cmp -s "$tree/before" "$tree/$1"; then
		echo "$2 changes nothing in $1" >&2
		failed=1
	fi
	echo "$3" >>"$tree/wanted"
}
# told: whether the check fails with all these messages
told() {
	"$tools/check-manual.py" "$tree" >"$tree.log" 2>&1 && echo "check-manual passed" >>"$tree.log"
	while read -r message; do
		if ! grep -qF -- "$message" "$tree.log"; then
			echo "check-manual should say: $message" >&2
			cat "$tree.log" >&2
			failed=1
		fi
	done <"$tree/wanted"
	rm -f "$tree.log"
}
manual
expect pass manual "unbroken tree"
unmanual src/lib/librsm.map 's/rsm_get/&;\n\trsm_new/' 'rsm_new has no page'
unmanual include/rsmapi.h 's/^int rsm_get.*/&\nint rsm_more(void);/' 'rsm_more has no page'
unmanual include/rsmapi.h 's/char \*name/char *title/' 'prototype of rsm_get'
unmanual include/rsmapi.h 's/RSMERR_BAD/RSMERR_ODD/' 'ERRORS of rsm_get lack RSMERR_ODD'
unmanual man/rsm_get.3rsm.scd 's/^# ATTRIBUTES/# OTHERS/' 'no section ATTRIBUTES'
unmanual man/rsm_get.3rsm.scd 's/rsm-errors\(7\), /&rsm_lost(3rsm), /' 'rsm_lost(3rsm) does not exist'
unmanual man/rsm_get.3rsm.scd 's/It gets/& rsm_nothing/' 'rsm_nothing is in no header'
unmanual man/rsm_get.3rsm.scd 's/return 0/return '"'\\\\''n'"'/' 'a single backslash'
unmanual man/rsm-errors.7.scd 's/\(4\)/(5)/' 'RSMERR_ODD has the number 4, not 5'
unmanual man/rsm-errors.7.scd 's/it is bad/it is good/' "not 'it is good'"
unmanual include/sys/rsm/rsm_common.h 's/ODD 4/&\n#define RSMERR_NEW 5/' 'no entry *RSMERR_NEW* (5)'
unmanual man/rsm-environment.7.scd 's/RSM_PLACE/RSM_OTHER/' 'RSM_PLACE is read by src/lib/good.c'
unmanual src/rsmd/loop.c 's/^#include.*/&\nchar *t = getenv(name);/' 'getenv(name): write the name out'
told
manual
unmanual man/rsm_get.3rsm.scd 's/^\*RSMERR_BAD/*RSMERR_ODD/' 'ERRORS of rsm_get have RSMERR_ODD'
told
manual
unmanual man/rsm_get.3rsm.scd 's/return 0/return zero/' 'a program does not compile'
unmanual man/rsm-errors.7.scd 's/Bad\./*Bad./' 'rsm-errors.7.scd: scdoc: '
unmanual man/rsm-environment.7.scd 's/A place/A ```place/; s/^# SEE/\n[[ a\n:[ b\n|  ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n:  d\n\n&/' 'groff: '
told

exit $failed
