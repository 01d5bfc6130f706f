#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds the Debian packages, from a copy of the files that version control knows: build-deb.sh OUTPUT-DIRECTORY
# $JOBS processes at once, or as many as there are processors. No network. What it needs: build-tools/packages.txt, purposes build and deb.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(dpkg-parsechangelog --show-field Version)
upstream=${version%-*}
source=$out/librsm-$upstream

git rev-parse --is-inside-work-tree >/dev/null 2>&1 || {
	echo "build-deb: no git tree, which tells what belongs to the source; in an unpacked source: dpkg-buildpackage -b" >&2
	exit 1
}
release=$(sed -n 's/^project(rsm VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ "$upstream" = "$release" ] || {
	echo "build-deb: debian/changelog is of $upstream, CMakeLists.txt of $release" >&2
	exit 1
}
# What the build needs is named twice, for this machine and for those who build the package.
# shellcheck disable=SC2013
for package in $(awk '$1 == "build" { print $2 }' build-tools/packages.txt); do
	case $package in gcc | make | libc6-dev) continue ;; esac # part of build-essential
	grep -q "^ $package\b" debian/control || {
		echo "build-deb: $package is in packages.txt, and not in Build-Depends of debian/control" >&2
		exit 1
	}
done

rm -rf "$out"/librsm* "$out"/rsm* "$out"/python3-rsm*
mkdir "$source"
git ls-files -z | tar -cf - --null --ignore-failed-read --no-wildcards -T - | tar -xf - -C "$source"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog --show-field Timestamp)
export SOURCE_DATE_EPOCH
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner "--mtime=@$SOURCE_DATE_EPOCH" --exclude=debian \
	-czf "$out/librsm_$upstream.orig.tar.gz" "librsm-$upstream"
cd "$source"
# Debian's own tools: what lies in /usr/local is no part of a package.
PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage --no-sign -j"${JOBS:-$(nproc)}" >"$out/log" 2>&1 || {
	tail -n 60 "$out/log" >&2
	echo "build-deb: failed; all of it: $out/log" >&2
	exit 1
}
rm -rf "$source"
ls "$out"/*.deb
