# SPDX-License-Identifier: BSD-2-Clause
"""The text format of Prometheus, read strictly: everything that a scraper might stumble over is an error here. Also the rules that
this project's metrics keep beyond it: prefix, base units, _total of counters."""

import re

NAME = r"rsm_[a-z][a-z0-9_]*"
VALUE = r"(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]Inf|NaN)"
LABEL = r'([a-z][a-z_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({VALUE})")
UNITS = {"ms": "seconds", "us": "seconds", "ns": "seconds", "milliseconds": "seconds", "minutes": "seconds",
         "kb": "bytes", "kib": "bytes", "mb": "bytes", "pages": "bytes", "percent": "a ratio"}
LABELS = {"node", "controller", "type", "code", "kind", "cause", "release", "id", "name"}


class Family:
    def __init__(self, name):
        self.name, self.kind, self.help = name, None, None
        self.samples = {}  # sorted labels: value

    def labels(self):
        """Their names; all samples of a family have the same."""
        sets = {tuple(name for name, _ in labels) for labels in self.samples}
        assert len(sets) <= 1, f"{self.name} has samples with different labels: {sets}"
        return set(sets.pop()) if sets else None


def unescape(value):
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def parse(text):
    """{name: Family}, or an AssertionError that names the line."""
    assert text.endswith("\n"), "the last line has no end"
    families, family = {}, None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        where = f"line {number}: {line!r}"
        comment = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        if comment and comment[1] == "HELP":
            assert comment[2] not in families, f"a family comes twice, {where}"
            family = families[comment[2]] = Family(comment[2])
            assert not re.search(r"\\[^\\n]", comment[3].replace("\\\\", "")), f"escape of a help text, {where}"
            family.help = comment[3]
        elif comment:
            assert family and family.name == comment[2] and family.kind is None and not family.samples, where
            assert comment[3] in ("counter", "gauge"), where
            family.kind = comment[3]
            assert (family.kind == "counter") == family.name.endswith("_total"), f"_total is for counters, {where}"
            for word in family.name.split("_"):
                assert word not in UNITS, f"{UNITS.get(word)} are expected, {where}"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, f"neither HELP, TYPE nor a sample, {where}"
            assert family and family.kind and family.name == sample[1], f"outside its family, {where}"
            labels = tuple(sorted((name, unescape(value)) for name, value in re.findall(LABEL, sample[2] or "")))
            names = [name for name, _ in labels]
            assert len(set(names)) == len(names), f"a label twice, {where}"
            assert set(names) <= LABELS, f"a label that is not bounded, {where}"
            assert labels not in family.samples, f"a sample twice, {where}"
            value = float(sample[sample.lastindex])
            assert family.kind == "gauge" or value >= 0, f"a counter below 0, {where}"
            family.samples[labels] = value
    for name, found in families.items():
        assert found.kind, f"{name} has no TYPE"
        found.labels()
    return families


def value(families, family, /, **labels):
    return families[family].samples[tuple(sorted((key, str(item)) for key, item in labels.items()))]


def names_in(text):
    """Names of metrics in an expression, a rule or a page."""
    return set(re.findall(rf"\b{NAME}\b", text))
