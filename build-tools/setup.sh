#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs the Debian packages that are missing: setup.sh PURPOSE... (purposes: build-tools/packages.txt).
# Says nothing and needs no network when all are there.
set -eu

list=$(dirname "$0")/packages.txt

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "setup: this is no Debian; the packages it would install are named in $list" >&2
	exit 0
fi

missing=
for purpose in "$@"; do
	# shellcheck disable=SC2013
	for package in $(awk -v purpose="$purpose" '$1 == purpose { print $2 }' "$list"); do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
		[ "$status" = installed ] || missing="$missing $package"
	done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	become=
elif command -v sudo >/dev/null 2>&1; then
	become=sudo
else
	echo "setup: these packages are missing, and installing them needs root or sudo:" >&2
	echo "  apt-get install$missing" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
	"$@" >"$log" 2>&1 </dev/null && return
	echo "setup: failed: $*" >&2
	cat "$log" >&2
	exit 1
}

echo "setup: installing$missing"
# sudo may have to ask for the password: before the output goes to the log.
[ -z "$become" ] || sudo -v || {
	echo "setup: sudo was refused; ask the administrator for: apt-get install$missing" >&2
	exit 1
}
run $become env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086
run $become env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing
