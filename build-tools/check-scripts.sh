#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs shellcheck over every shell script. check-scripts.sh ROOT
set -eu
. "$(dirname "$0")/files.sh"

files "$1" '*.sh' run | xargs shellcheck -x -P SCRIPTDIR -e SC2015
