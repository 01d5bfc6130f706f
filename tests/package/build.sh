#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The packages can be built, and lintian has nothing against them. build.sh OUTPUT-DIRECTORY; 77 where the tools are missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

for tool in git dpkg-buildpackage dh lintian; do
	command -v $tool >/dev/null || {
		echo "build: skipped: $tool is missing (build-tools/setup.sh build deb)"
		exit 77
	}
done
cd "$here/../.."
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || {
	echo "build: skipped: this is no git tree"
	exit 77
}
dpkg-checkbuilddeps 2>&1 || {
	echo "build: skipped: build-tools/setup.sh build deb installs them"
	exit 77
}
JOBS=1 DEB_BUILD_OPTIONS=nocheck build-tools/build-deb.sh "$1" # the unit tests are tests of their own here
"$here/lint.sh" "$1"
