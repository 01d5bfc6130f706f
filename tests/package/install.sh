#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The packages of DIRECTORY, installed: they are complete, work for an unprivileged user, and leave nothing behind when purged.
# install.sh DIRECTORY [empty|here]. As root. Ends with 77 where it cannot run.
#   empty: in an empty Debian 12 from the archive that this machine's apt uses: they bring what they need. What was fetched is kept in
#          DIRECTORY/cache.
#   here:  over this system, whose files stay as they are: no network, and seconds rather than minutes.
# Mounts and processes live in namespaces that end with this script.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

skip() {
	echo "install: skipped: $*"
	exit 77
}
say() {
	echo "install: $(($(date +%s) - started)) s: $*"
}

# Outside of the namespaces: what is needed, a place, and its end.
if [ "${RSM_INSIDE-}" = "" ]; then
	[ "$(id -u)" = 0 ] || skip "installing packages needs root"
	unshare --mount --pid --fork --propagation private true 2>/dev/null || skip "namespaces are not allowed here"
	directory=$(cd "$1" && pwd)
	ls "$directory"/librsm2_*.deb >/dev/null 2>&1 || skip "no packages in $directory (make deb)"
	# Not on a tmpfs that is small, nor where devices or programs are refused.
	RSM_INSIDE=$(mktemp -d /var/tmp/rsm-install.XXXXXX)
	export RSM_INSIDE
	trap 'rm -rf --one-file-system "$RSM_INSIDE"' EXIT
	trap 'exit 1' HUP INT TERM
	unshare --mount --pid --fork --kill-child --propagation private --mount-proc "$0" "$directory" "${2-empty}"
	exit
fi

started=$(date +%s)
root=$RSM_INSIDE/root
cache=$1/cache
mode=$2
user="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp PYTHONDONTWRITEBYTECODE=1"

die() {
	echo "install: $*" >&2
	exit 1
}
# in_root COMMAND...: in the new system, with its own paths
in_root() {
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		XDG_RUNTIME_DIR= "$@"
}
# quietly COMMAND...: says something only if it fails
quietly() {
	in_root "$@" >"$RSM_INSIDE/log" 2>&1 </dev/null || {
		tail -n 40 "$RSM_INSIDE/log" >&2
		die "failed: $*"
	}
}

ours=$(cd "$1" && find . -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' | sed 's,^\./,,' | sort)
names=$(for file in $ours; do echo "${file%%_*}"; done)
list=$(echo "$names" | tr '\n' ' ')

# A base of the archive that this machine's apt uses, without the packages of others.
make_empty() {
	command -v mmdebstrap >/dev/null || skip "mmdebstrap is missing (build-tools/setup.sh deb)"
	mkdir -p "$cache/archives/partial" "$cache/lists/partial"
	if [ ! -s "$cache/base.tar" ]; then
		# shellcheck disable=SC2016
		apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) deb $(SITE) $(RELEASE) main' \
			'Identifier: Packages' | awk '$1 == "Debian" && $2 ~ /^bookworm/ && $3 == "main"' | cut -d' ' -f4- |
			sort -u >"$RSM_INSIDE/sources"
		[ -s "$RSM_INSIDE/sources" ] || skip "apt of this machine has no list of Debian 12 (bookworm): apt-get update"
		mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io bookworm "$RSM_INSIDE/base.tar" \
			"$RSM_INSIDE/sources" >"$RSM_INSIDE/log" 2>&1 || {
			tail -n 5 "$RSM_INSIDE/log"
			skip "a base system cannot be fetched"
		}
		mv "$RSM_INSIDE/base.tar" "$cache/base.tar"
		say "base system fetched"
	fi
	tar -xf "$cache/base.tar" -C "$root"
}

# What the packages need, and what those need who compile against them, is there first: so the difference is theirs alone.
fill_empty() {
	mount --bind "$cache/archives" "$root/var/cache/apt/archives"
	mount --bind "$cache/lists" "$root/var/lib/apt/lists"
	cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true
	apt-config dump 2>/dev/null | grep -i '^Acquire::.*proxy' >"$root/etc/apt/apt.conf.d/90proxy" || true
	printf 'Binary::apt-get::APT::Keep-Downloaded-Packages "1";\nAPT::Install-Recommends "0";\nAPT::Sandbox::User "root";\n' \
		>"$root/etc/apt/apt.conf.d/90test"
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/90test"
	in_root apt-get -q -o APT::Update::Error-Mode=any update >"$RSM_INSIDE/log" 2>&1 ||
		[ -n "$(find "$cache/lists" -name '*_Packages*')" ] || skip "the archive does not answer, and nothing is cached"

	# shellcheck disable=SC2046,SC2086
	needed=$(in_root apt-get -q --simulate install $(printf '/tmp/packages/%s ' $ours) gcc libc6-dev pkg-config cmake make \
		2>"$RSM_INSIDE/log" | awk '$1 == "Inst" { print $2 }' | grep -vxF "$names") || die "cannot be installed: $(cat "$RSM_INSIDE/log")"
	# shellcheck disable=SC2086
	quietly apt-get -q -y install $needed
	say "what they need is installed"
}

# This system with a layer above that takes what is written.
make_here() {
	. /etc/os-release
	[ "${VERSION_ID-}" = 12 ] || skip "this is no Debian 12"
	mount -t tmpfs -o mode=0755 layer "$RSM_INSIDE/layer"
	mkdir "$RSM_INSIDE/layer/upper" "$RSM_INSIDE/layer/work"
	mount -t overlay -o "lowerdir=/,upperdir=$RSM_INSIDE/layer/upper,workdir=$RSM_INSIDE/layer/work" overlay "$root" ||
		skip "no overlay file system"
	mount -t tmpfs -o mode=1777 tmp "$root/tmp"
	mount -t tmpfs -o mode=0755 run "$root/run"
}

mkdir -p "$root" "$RSM_INSIDE/layer"
"make_$mode"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir "$root/tmp/packages"
mount --bind "$1" "$root/tmp/packages"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
[ "$mode" = here ] || fill_empty

# Every name in it; over this system, those that are not this system's, or were taken away from it.
everything() {
	top=$root
	[ "$mode" != here ] || top=$RSM_INSIDE/layer/upper
	(cd "$top" && find . -xdev \( -path ./tmp -o -path ./run -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt \) \
		-prune -o -print) | grep -vE '^\./etc/([a-z]+-|\.pwd\.lock)$|-old$' | sort |
		while read -r name; do
			[ "$mode" = here ] && [ -e "/$name" ] && [ ! -c "$top/$name" ] || echo "$name"
		done
}
everything >"$RSM_INSIDE/before"
# shellcheck disable=SC2046,SC2086
quietly dpkg --force-unsafe-io --install $(printf '/tmp/packages/%s ' $ours)
say "installed: $list"

# As they lie there.
[ "$(in_root id -u rsm)" -lt 1000 ] || die "no system user rsm"
for file in usr/bin/rsm usr/bin/rsmd usr/share/man/man5/rsmd.conf.5.gz usr/share/doc/rsmd/examples/rsmd.conf.example \
	usr/share/doc/librsm-dev/examples/exporter.c; do
	[ -s "$root/$file" ] || die "/$file is missing"
done
for unit in rsmd.service rsmd.socket; do
	in_root systemctl is-enabled $unit >/dev/null 2>&1 && die "$unit was enabled: that is the administrator's decision"
	in_root systemd-analyze verify --man=no /lib/systemd/system/$unit >"$RSM_INSIDE/log" 2>&1 || die "$unit: $(cat "$RSM_INSIDE/log")"
	[ ! -s "$RSM_INSIDE/log" ] || die "$unit: $(cat "$RSM_INSIDE/log")"
done
in_root systemd-analyze security --offline=true --threshold=25 --no-pager rsmd.service >"$RSM_INSIDE/log" 2>&1 ||
	die "rsmd.service is exposed more than 2.5: $(cat "$RSM_INSIDE/log")"
say "units: $(tail -n 1 "$RSM_INSIDE/log" | grep -o 'Overall.*[0-9]')"

# At work: an unprivileged user's programs start the packaged daemon, privately.
# shellcheck disable=SC2086
status=$(in_root $user rsm status --json) || die "rsm status failed"
# shellcheck disable=SC2086
in_root $user rsm version
daemon=$(echo "$status" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
[ "$(readlink "/proc/$daemon/exe")" = "$root/usr/bin/rsmd" ] || die "$(readlink "/proc/$daemon/exe") is not the packaged daemon"
for test in build cmake python daemon; do
	case $list in *python3-rsm*) ;; *) [ $test != python ] || continue ;; esac
	become=$user
	[ $test != daemon ] || become=
	mkdir -m 0777 "$root/tmp/$test"
	chmod 0777 "$root/tmp/$test"
	cp "$here/../../debian/tests/$test" "$root/tmp/$test/test"
	# shellcheck disable=SC2086
	quietly $become env AUTOPKGTEST_TMP=/tmp/$test timeout 120 /tmp/$test/test
	say "debian/tests/$test passed"
done

# And gone.
kill "$daemon"
# shellcheck disable=SC2086
quietly dpkg --force-unsafe-io --purge $names
everything >"$RSM_INSIDE/after"
diff "$RSM_INSIDE/before" "$RSM_INSIDE/after" >"$RSM_INSIDE/log" || die "purge left or took: $(cat "$RSM_INSIDE/log")"
say "purged, nothing is left"
