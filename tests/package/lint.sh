#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lintian finds no error and no warning in the packages of DIRECTORY, and hints are shown. lint.sh DIRECTORY
set -eu

# No distribution's bug asks for the first upload: the packages are the project's own.
lintian --info --display-info --pedantic --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs \
	--allow-root "$1"/librsm_*.changes
