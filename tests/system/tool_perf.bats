#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# rsm perf: what it prints, writes and draws; never how fast anything is. RSM and RSMD as in tool.bats.

bats_require_minimum_version 1.5.0

setup_file() {
	: "${RSM:?}" "${RSMD:?}"
	NODE_DIR=$(mktemp -d /tmp/rsm-perf.XXXXXX)
	export NODE_DIR RSM_SOCKET=$NODE_DIR/rsmd.sock
	printf '[node]\nid = 7\nname = seven\n' >"$NODE_DIR/rsmd.conf"
	"$RSMD" --config "$NODE_DIR/rsmd.conf" --socket "$RSM_SOCKET" --detach 3>&-
	# One measurement that several tests look at.
	"$RSM" perf --compare --json --histogram --count 300 --tests put,get,get-bw,connect --sizes 8,4k >"$NODE_DIR/two.json"
}

teardown_file() {
	local pid
	pid=$("$RSM" status | awk '$1 == "pid" { print $2; exit }')
	[ -n "$pid" ] && kill -TERM "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
	rm -rf "$NODE_DIR"
}

# fits_width LINE...: nobody's terminal has to be wider than 100 columns.
fits_width() {
	printf '%s\n' "$@" | LC_ALL=C.UTF-8 python3 -c '
import sys
for line in sys.stdin.read().splitlines():
    assert len(line) <= 100, line'
}

has_gnuplot() {
	command -v gnuplot >/dev/null || skip "gnuplot (of gnuplot-nox) draws"
}

@test "the table has average and p99.9, and 100 columns" {
	run -0 "$RSM" perf --compare --count 100 --tests put,get-bw,put-rate,connect --sizes 8,1M
	[[ ${lines[0]} =~ ^TEST\ +SIZE\ +COUNT\ +MIN\ +AVERAGE\ +MEDIAN\ +P99\ +P99\.9\ +MAX\ +SPEED\ +RAW\ +RATIO$ ]]
	[ "${#lines[@]}" -eq 7 ]
	fits_width "${lines[@]}"
}

@test "JSON: facts of the machine, and figures that agree with each other" {
	python3 - "$NODE_DIR/two.json" <<-'end'
		import json, os, sys
		t = json.load(open(sys.argv[1]))
		assert t["schema"] == 1 and t["target"] == "own peer" and t["library"] and t["daemon"], t
		assert len(t["load"]) == 3 and len(t["date"]) == 20, t
		m = t["machine"]
		assert m["kernel"] == os.uname().release and m["architecture"] == os.uname().machine and m["cpu"], m
		assert m["cores"] == os.sysconf("SC_NPROCESSORS_ONLN"), m
		rows = t["results"]
		assert [(r["test"], r.get("size")) for r in rows] == [
		    ("put", 8), ("put", 4096), ("get", 8), ("get", 4096), ("get-bw", 8), ("get-bw", 4096), ("connect", None)], rows
		for r in rows:
		    prefixes = ["", "raw_"] if "raw" in r else [""]
		    assert ("raw" in r) == (r["test"] != "connect") == ("ratio" in r), r
		    for p in prefixes:
		        assert 0 < r[p + "min_ns"] <= r[p + "median_ns"] <= r[p + "p99_ns"] <= r[p + "p999_ns"] <= r[p + "max_ns"], r
		        assert r[p + "min_ns"] <= r[p + "average_ns"] <= r[p + "max_ns"], r
		        assert r[p + "operations"] >= 300 and r[p + "samples"] >= 1, r
		        points = [(float(k), v) for k, v in r[p + "distribution_ns"].items()]
		        assert points == sorted(points) and points[0] == (0, r[p + "min_ns"]) and points[-1] == (100, r[p + "max_ns"]), points
		        assert [v for _, v in points] == sorted(v for _, v in points), points
		    assert r["controller"] == "loopback", r
		    assert r["kind"] == {"get-bw": "bandwidth", "connect": "rate"}.get(r["test"], "time"), r
		    buckets = r["histogram"]
		    assert sum(b["count"] for b in buckets) == r["samples"], r
		    assert buckets[0]["from_ns"] == r["min_ns"] and buckets[-1]["to_ns"] == r["max_ns"], r
		    assert all(a["to_ns"] == b["from_ns"] for a, b in zip(buckets, buckets[1:])), r
		    if r["test"] == "get-bw":
		        assert abs(r["bytes_per_second"] / (r["size"] / r["median_ns"] * 1e9) - 1) < 1e-3, r
		    if r["test"] == "connect":
		        assert abs(r["operations_per_second"] / (1e9 / r["median_ns"]) - 1) < 1e-3, r
	end
}

@test "the histogram fits the width, counts add up, and its blocks need a locale that has them" {
	for locale in C C.UTF-8; do
		LC_ALL=$locale run -0 "$RSM" perf --histogram --count 3000 --tests get,publish
		fits_width "${lines[@]}"
		printf '%s\n' "${lines[@]}" | LC_ALL=C.UTF-8 python3 -c '
import re, sys
text, locale = sys.stdin.read(), sys.argv[1]
assert text.isascii() == (locale == "C")
total, found = 0, 0
for line in text.splitlines():
    bucket = re.match(r"\s+\S+ to\s+\S+ .{40}\s+(\d+)\s+[\d.]+%", line)
    end = re.fullmatch(r"\s+(\d+) samples", line)
    total += int(bucket[1]) if bucket else 0
    if end:
        assert total == int(end[1]) > 0, text
        total, found = 0, found + 1
assert found == 2
assert len(re.findall("% .*median", text)) == len(re.findall(r"% .*p99\b(?!\.)", text)) == len(re.findall(r"% .*p99\.9", text)) == 2, text
' "$locale"
	done
}

@test "all sizes: powers of two up to the segment's size" {
	"$RSM" perf --all --json --count 1 --tests get,barrier | python3 -c '
import json, sys
rows = json.load(sys.stdin)["results"]
assert [r["size"] for r in rows if r["test"] == "get"] == [1 << i for i in range(27)], rows
assert [r.get("size") for r in rows if r["test"] == "barrier"] == [None], rows'
	mkfifo "$BATS_TEST_TMPDIR/address"
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/file"
	"$RSM" export "$BATS_TEST_TMPDIR/file" >"$BATS_TEST_TMPDIR/address" 3>&- &
	exporter=$!
	read -r -t 20 address <"$BATS_TEST_TMPDIR/address"
	run -0 "$RSM" perf -a -j -n 1 -t get "$address"
	kill -TERM "$exporter"
	wait "$exporter"
	[ "$(grep -c '"size"' <<<"$output")" -eq 17 ]
	[[ $output == *'"size": 65536,'* ]]
}

@test "both ways, and every test of a peer's own" {
	[ "$(nproc)" -gt 1 ] || skip "both sides spin: needs two CPUs"
	"$RSM" perf --compare --json --count 50 --tests put-bw-both,barrier-put --sizes 8,4k,2M | python3 -c '
import json, sys
rows = json.load(sys.stdin)["results"]
assert [(r["test"], r["size"]) for r in rows] == [("barrier-put", 8), ("barrier-put", 4096), ("barrier-put", 1 << 21),
                                                  ("put-bw-both", 8), ("put-bw-both", 4096)], rows
for r in rows[3:]:
    assert abs(r["bytes_per_second"] / (2 * r["size"] / r["median_ns"] * 1e9) - 1) < 1e-3, r'
	"$RSM" ls --json | python3 -c 'import json, sys; assert not json.load(sys.stdin)["segments"]'
}

@test "a batch runs its lines; an error names the line, and nothing is measured" {
	batch=$BATS_TEST_TMPDIR/batch
	printf '# remark\n\n-t put -s 8,64 -n 10   # another\n--tests get --compare\n' >"$batch"
	run -0 "$RSM" perf --count 20 --batch "$batch"
	[[ ${lines[0]} == TEST*RATIO ]]
	[[ ${lines[1]} == "put "*" 8 B "* && ${lines[2]} == "put "*" 64 B "* && ${lines[3]} == "get "* ]]
	[ "${#lines[@]}" -eq 4 ]
	run -0 "$RSM" perf -n 10 -j -b - <"$batch"
	[ "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)["results"]))' <<<"$output")" -eq 3 ]
	for bad in "-t nonsense" "-s 12q" "surplus" "-j" "--plot x.svg" "-b other" "--frobnicate" "-D"; do
		printf -- '-t put\n\n%s\n' "$bad" >"$batch"
		run "$RSM" perf -n 10 -b "$batch"
		[ "$status" -eq 2 ]
		[[ $output == *"line 3 of the batch $batch"* ]]
		[[ $output != *TEST* ]]
	done
	printf '# nothing\n' >"$batch"
	run -1 "$RSM" perf -b "$batch"
	[[ $output == *"no line with options"* ]]
	run -1 "$RSM" perf -b /nonexistent
}

@test "results of a file are shown again, without a daemon" {
	RSM_SOCKET=/nonexistent run -0 "$RSM" perf --from "$NODE_DIR/two.json" --histogram
	[[ ${lines[0]} == TEST*RATIO ]]
	[ "$(grep -c samples <<<"$output")" -eq 7 ]
	RSM_SOCKET=/nonexistent "$RSM" perf --from - --json <"$NODE_DIR/two.json" | python3 -c '
import json, sys
assert json.load(sys.stdin)["results"] == json.load(open(sys.argv[1]))["results"]' "$NODE_DIR/two.json"
	run -2 "$RSM" perf --from "$NODE_DIR/two.json" --tests put
	run -1 "$RSM" perf --from /nonexistent
	for text in '' '{' '[]' '{"schema": 2, "results": [{"test": "put", "median_ns": 1}]}' '{"schema": 1, "results": []}' \
		'{"schema": 1, "results": [{"test": "put"}]}' '{"schema": 1, "results": [7]}'; do
		run -1 "$RSM" perf --from - <<<"$text"
		[[ $output == "rsm: read -: "* ]]
	done
}

@test "a plot is a whole SVG, or PNG" {
	has_gnuplot
	cd "$BATS_TEST_TMPDIR"
	"$RSM" perf --from "$NODE_DIR/two.json" --plot picture.svg >table
	python3 - picture.svg <<-'end'
		import sys, xml.etree.ElementTree as tree
		root = tree.parse(sys.argv[1]).getroot()
		assert root.tag == "{http://www.w3.org/2000/svg}svg"
		text = " ".join("".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text"))
		for word in ("Latency over size", "Bandwidth over size", "Distribution", "put", "raw store and fence", "connect", "GB/s",
		             "4 KiB", "µs", "99 %"):
		    assert word in text, (word, text)
	end
	"$RSM" perf --from "$NODE_DIR/two.json" --plot picture.png >table
	[ "$(head -c 4 picture.png | tail -c 3)" = PNG ]
	[ "$(stat -c %a picture.svg)" = "$(printf '%o' $((0666 & ~$(umask))))" ]
	[ "$(echo *)" = "picture.png picture.svg table" ]
}

@test "text of a file means nothing to gnuplot" {
	has_gnuplot
	cd "$BATS_TEST_TMPDIR"
	python3 - "$NODE_DIR/two.json" >evil.json <<-'end'
		import json, sys
		t = json.load(open(sys.argv[1]))
		evil = "`touch taken` '\"\\n; system('touch taken')\n{/:Bold @_^"
		t["target"] = t["library"] = t["date"] = t["machine"]["cpu"] = evil
		for r in t["results"]:
		    r["test"] += evil
		    r["raw"] = r["controller"] = evil
		    r["distribution_ns"] = {evil: 1, "50": 2, "99": 3}
		json.dump(t, sys.stdout)
	end
	# Figures that are none, and tests measured twice at one size or at none.
	python3 - "$NODE_DIR/two.json" >strange.json <<-'end'
		import json, sys
		t = json.load(open(sys.argv[1]))
		t["results"] += t["results"]
		t["results"] += [{"test": "a\x1b[31m", "size": s, "median_ns": m, "kind": k, "samples": m, "distribution_ns": {"nan": m, "-1e999": m}}
		                 for s in (-1, 0, 1e300, (1 << 63) - 1, "x") for m in (-1, 0, 1e300) for k in ("time", "bandwidth")]
		t["results"] += [{"test": "b", "median_ns": 0, "distribution_ns": []}, {"test": "c", "median_ns": 5, "histogram": [1, {}, []] * 20}]
		json.dump(t, sys.stdout)
	end
	"$RSM" perf --from strange.json --histogram --plot strange.svg >table
	[ "$(grep -c $'\e' table)" -eq 0 ]
	python3 -c 'import xml.etree.ElementTree as tree; tree.parse("strange.svg")'
	"$RSM" perf --from evil.json --plot picture.svg >table
	python3 -c 'import xml.etree.ElementTree as tree; tree.parse("picture.svg")'
	[ ! -e taken ]
}

@test "without gnuplot a plot is refused before anything is measured, and nothing is written" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	PATH=$BATS_TEST_TMPDIR/empty run -1 "$RSM" perf -n 10 -t put --plot "$BATS_TEST_TMPDIR/picture.svg"
	[[ $output == *"gnuplot is not in PATH"*"gnuplot-nox"* ]]
	[[ $output != *TEST* ]]
	[ ! -e "$BATS_TEST_TMPDIR/picture.svg" ]
	# One that fails in the middle.
	printf '#!/bin/sh\necho half\necho broken >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/empty/gnuplot"
	chmod +x "$BATS_TEST_TMPDIR/empty/gnuplot"
	PATH=$BATS_TEST_TMPDIR/empty:$PATH run -1 "$RSM" perf --from "$NODE_DIR/two.json" --plot "$BATS_TEST_TMPDIR/picture.svg"
	[[ $output == *broken*"gnuplot failed"* ]]
	[ "$(ls "$BATS_TEST_TMPDIR")" = empty ]
	run -2 "$RSM" perf -n 10 -t put --plot "$BATS_TEST_TMPDIR/picture.gif"
}

@test "a picture that cannot be written, or has no curve, is an error" {
	has_gnuplot
	run -1 "$RSM" perf --from "$NODE_DIR/two.json" --plot /nonexistent/picture.svg
	[[ $output == *"No such file"* ]]
	for place in /nonexistent/picture.svg "$BATS_TEST_TMPDIR/directory.svg"; do # told before anything is measured
		mkdir -p "$BATS_TEST_TMPDIR/directory.svg"
		run -1 "$RSM" perf -n 10 -t get-bw --plot "$place"
		[[ $output == "rsm: write $place: "* && $output != *TEST* ]]
	done
	run -1 "$RSM" perf -n 10 -t get-bw -s 8 --plot "$BATS_TEST_TMPDIR/picture.svg"
	[[ $output == *"no curve"* ]]
}

@test "a baseline tells what changed, of the same machine only" {
	run -0 "$RSM" perf --compare --count 300 --tests put,connect --sizes 8 --baseline "$NODE_DIR/two.json"
	[[ $output == *"Against $NODE_DIR/two.json of 20"*$'\n'"TEST "*"CHANGE"*$'\n'"put "*"%"*$'\n'"connect "*"%"* ]]
	fits_width "${lines[@]:4}"
	# Exact, on files: what became twice as slow.
	python3 - "$NODE_DIR/two.json" "$BATS_TEST_TMPDIR" <<-'end'
		import json, sys
		t = json.load(open(sys.argv[1]))
		for r in t["results"]:
		    r["median_ns"] *= 2
		    if "ratio" in r:
		        r["ratio"] *= 1.5
		json.dump(t, open(sys.argv[2] + "/slow.json", "w"))
		t["machine"]["cpu"] = "Another 9000"
		json.dump(t, open(sys.argv[2] + "/other.json", "w"))
		t["machine"]["cpu"], t["results"] = json.load(open(sys.argv[1]))["machine"]["cpu"], [{"test": "put", "size": 9, "median_ns": 1}]
		json.dump(t, open(sys.argv[2] + "/strange.json", "w"))
	end
	cd "$BATS_TEST_TMPDIR"
	run -0 "$RSM" perf --from slow.json --baseline "$NODE_DIR/two.json"
	[ "$(grep -c '+50.0 %.*+100.0 %$' <<<"$output")" -eq 6 ]
	"$RSM" perf --from slow.json --json --baseline "$NODE_DIR/two.json" | python3 -c '
import json, sys
for r in json.load(sys.stdin)["results"]:
    assert abs(r["median_change"] - 2) < 1e-3 and ("ratio" not in r or abs(r["ratio_change"] - 1.5) < 1e-3), r'
	run -1 "$RSM" perf -n 10 -t put --baseline other.json
	[[ $output == *"Another 9000"*"--force"* ]]
	[[ $output != *TEST* ]]
	run -0 "$RSM" perf -n 10 -t put --baseline other.json --force
	run -1 "$RSM" perf -n 10 -t put --baseline strange.json
	run -2 "$RSM" perf --force
}

@test "a long run shows its progress on a terminal only" {
	command -v script >/dev/null || skip "script (of bsdutils) makes the terminal"
	run -0 script -qec "$RSM perf --duration 1.2 --tests get >/dev/null" /dev/null
	[[ $output == *"[#"*" %  get"* ]]
	run -0 --separate-stderr "$RSM" perf --duration 0.01 --warm-up 0.01 --tests get
	[ -z "$stderr" ]
}

@test "the headings of the table come when there is something to measure" {
	for wrong in "9:0x1" "0x7ffffff0" "-c 1000,0" "-c 0,1000"; do
		run "$RSM" perf -n 10 $wrong
		[ "$status" -ne 0 ]
		[[ $output == "rsm: "* && $output != *TEST* ]]
	done
}

@test "gnuplot says nothing in a locale without UTF-8" {
	has_gnuplot
	LC_ALL=C run -0 "$RSM" perf --from "$NODE_DIR/two.json" --plot "$BATS_TEST_TMPDIR/picture.svg"
	[[ $output != *iconv* ]]
}
