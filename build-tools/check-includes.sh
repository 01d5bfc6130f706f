#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Who includes whom, as doc/architecture.md says, and which file owns which foreign library. check-includes.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"
cd "$1"

# shellcheck disable=SC2016
files . '*.[ch]' | sed 's,^\./,,' | xargs awk '
BEGIN {
	# A room includes itself, these rooms and the public headers.
	may["base"] = ""
	may["wire"] = "base"
	may["segment"] = "base"
	may["transport"] = "base segment wire"
	may["lib"] = "base wire segment transport"
	may["rsmd"] = "base wire segment"
	may["rsm"] = "base"
	# Foreign headers that one file, or some rooms, own.
	only["uv.h"] = "^src/rsmd/loop\\.c$"
	only["gnutls/gnutls.h"] = "^src/wire/tls\\.c$"
	only["gnutls/crypto.h"] = "^src/wire/tls\\.c$"
	only["systemd/sd-daemon.h"] = "^src/rsmd/manager\\.c$"
	only["microhttpd.h"] = "^src/rsmd/metrics_http\\.c$"
	only["ini.h"] = "^src/rsmd/config\\.c$"
	only["ncurses.h"] = "^src/rsm/top_screen\\.c$"
	only["jansson.h"] = "^(src/(rsmd|rsm)|tests)/"
	only["sys/sdt.h"] = "^src/base/probe\\.h$"
	only["protobuf-c/protobuf-c.h"] = "^(src/(wire|lib|rsmd)|tests)/"
}
function complain(text) { print FILENAME ":" FNR ": " text; bad = 1 }
FNR == 1 {
	split(FILENAME, part, "/")
	room = ""
	if (part[1] == "src")
		room = part[2]
	else if (part[1] == "tests" && part[2] == "unit")
		room = part[3]
	else if (part[1] == "examples" || part[1] == "demo")
		room = "rsm"
	if (room != "" && !(room in may))
		complain("room " room " has no rule in check-includes.sh")
}
!/^[ \t]*#[ \t]*include[ \t]*["<]/ { next }
{
	name = $0
	sub(/^[ \t]*#[ \t]*include[ \t]*["<]/, "", name)
	sub(/[">].*/, "", name)
	if (name in only && FILENAME !~ only[name])
		complain("<" name "> belongs to " only[name])
	if (name ~ /\.\./)
		complain("path with ..: " name)
	target = name
	if (room == "" || !sub(/\/.*/, "", target) || !(target in may) || name ~ /^rsm\/ext\.h$/)
		next
	if (target != room && index(" " may[room] " ", " " target " ") == 0)
		complain("room " room " may not include " name " (may: " room " " may[room] ")")
}
END { exit bad }' >&2
