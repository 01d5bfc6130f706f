#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether the manual says what headers and code say. check-manual.py ROOT

Every exported function has a page, with the header's prototype and the error codes of the header's comment; rsm-errors(7) has every
code, with number and text; rsm-environment(7) has every variable that the code reads; references lead to pages that
exist; scdoc and groff do not complain; the programs in the pages compile without warnings.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HEADERS = {"rsmapi.h": "include/rsmapi.h", "rsm/ext.h": "include/rsm/ext.h"}
COMMON = "include/sys/rsm/rsm_common.h"
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "EXAMPLES", "ATTRIBUTES", "SEE ALSO")
problems = []


def problem(where, text):
    problems.append(f"{where}: {text}")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def plain(text):
    """One space for white space of any kind, none beside brackets and stars."""
    return re.sub(r" ?([(),*\[\]]) ?", r"\1", " ".join(text.split()))


# ---- headers ----

class Function:
    """A function as its header declares it."""

    def __init__(self, header, prototype, codes):
        self.header = header
        self.prototype = prototype
        self.codes = codes


def comment_codes(comment, functions, family):
    """The codes that a comment names, or takes over from another one."""
    text = " ".join(re.sub(r"^\s*\*", "", line) for line in comment.splitlines())
    text = " ".join(text.split())
    codes = set(re.findall(r"(?<![\"\w])RSMERR_[A-Z_]+", text))
    for other in re.findall(r"(?:Errors|Everything) as for (\w+)", text):
        codes |= functions[other].codes
    if "Errors above" in text:
        codes |= family
    return codes


PROTOTYPE = re.compile(r"^(?!typedef)([a-z][\w ]*[ *]+)(rsmx?_\w+)\(([^;{}]*)\);", re.M)


def parse_header(header, text, functions):
    """Fills functions, returns the codes of the head comment, which hold for all."""
    common, family, comment, used = None, set(), "", True
    for match in re.finditer(r"/\*(.*?)\*/|" + PROTOTYPE.pattern, text, re.S | re.M):
        if match.group(1) is not None:
            if not used:
                family = comment_codes(comment, functions, set())
            comment, used = match.group(1), False
            if common is None and header in comment:
                common = comment_codes(comment, functions, set())
            continue
        name = match.group(3)
        functions[name] = Function(header, plain(match.group(0)), comment_codes(comment, functions, family))
        used = True
    return common or set()


# ---- pages ----

class Page:
    """One source of a page, cut into its sections."""

    def __init__(self, file, text):
        self.file = file
        self.text = text
        self.title, self.section = re.fullmatch(r"(.+)\.([^.]+)\.scd", file).groups()
        self.sections = {}
        # scdoc wants a backslash twice, and drops a single one without a word.
        blocks = re.findall(r"^```\n(.*?)^```", text, re.S | re.M)
        self.dropped = [block for block in blocks if re.search(r"(?<!\\)(?:\\\\)*\\(?!\\)", block)]
        self.blocks = [block.replace("\\\\", "\\") for block in blocks]
        outside = re.sub(r"^```\n(.*?)^```", lambda m: "\n".join("\t" + line for line in m.group(0).splitlines()),
                         text, flags=re.S | re.M)
        for part in re.split(r"^# ", outside, flags=re.M)[1:]:
            heading, _, body = part.partition("\n")
            self.sections[heading.strip()] = body
        line = self.sections.get("NAME", "").strip()
        names, dash, _ = line.partition(" - ")
        self.names = names.split(", ") if dash else []

    def errors(self, name):
        """Codes that ERRORS lists for a function: those of its subsection and those before the first one."""
        parts = re.split(r"^## ", self.sections.get("ERRORS", ""), flags=re.M)
        codes = listed(parts[0])
        for part in parts[1:]:
            heading, _, body = part.partition("\n")
            if name in heading.split(", "):
                codes |= listed(body)
        return codes


def listed(text):
    """Codes at the head of an entry."""
    heads = re.findall(r"^\*RSMERR_.*$", text, re.M)
    return {code for head in heads for code in re.findall(r"RSMERR_[A-Z_]+", head)}


def check_function_page(page, functions, common):
    """A page of section 3rsm against the headers."""
    for section in SECTIONS:
        if section not in page.sections:
            problem(page.file, f"no section {section}")
    synopsis = "\n".join(re.sub(r"^\t", "", line) for line in page.sections.get("SYNOPSIS", "").splitlines())
    shown = {match.group(2): plain(match.group(0)) for match in PROTOTYPE.finditer(synopsis)}
    if "-lrsm" not in synopsis:
        problem(page.file, "SYNOPSIS does not tell to link with -lrsm")
    for name in shown.keys() | set(page.names):
        if name not in functions:
            problem(page.file, f"{name} is declared in no header")
        elif name not in page.names:
            problem(page.file, f"{name} is in SYNOPSIS but not in NAME")
        else:
            check_codes(page, name, functions[name], common)
            if shown.get(name) != functions[name].prototype:
                problem(page.file,
                        f"prototype of {name}\n  page:   {shown.get(name)}\n  header: {functions[name].prototype}")
            if f"#include <{functions[name].header}>" not in synopsis:
                problem(page.file, f"SYNOPSIS does not include <{functions[name].header}>, which declares {name}")


def check_codes(page, name, function, common):
    """Codes of a page's ERRORS are those of the header's comment; what holds for all functions may be told too."""
    told = page.errors(name)
    for code in sorted(function.codes - told):
        problem(page.file, f"ERRORS of {name} lack {code}, which {function.header} lists")
    for code in sorted(told - function.codes - common):
        problem(page.file, f"ERRORS of {name} have {code}, which {function.header} does not list")


def check_references(pages, names, words):
    """References lead to pages that exist; names of functions and codes exist."""
    for page in pages:
        for name, section in re.findall(r"(rsm[\w.-]*)\*?\((\d\w*)\)", page.text):
            if (name, section) not in names:
                problem(page.file, f"{name}({section}) does not exist")
        if page.section in ("3rsm", "7") and "SEE ALSO" not in page.sections:
            problem(page.file, "no section SEE ALSO")
        if page.title == "rsm-porting":
            continue  # tells of names that do not exist
        for word in sorted(set(re.findall(r"\b(?:rsmx?_[a-z]\w*|RSMERR_[A-Z_]+|RSMX_\w+)\b", page.text))):
            if word not in words:
                problem(page.file, f"{word} is in no header")


# ---- rsm-errors(7), rsm-environment(7) ----

def check_errors_page(root, pages):
    """Every code with its number and the library's text."""
    page = next((page for page in pages if page.title == "rsm-errors"), None)
    if page is None:
        return problem("rsm-errors.7.scd", "does not exist")
    texts = dict(re.findall(r'CODE\((\w+),\s*"([^"]*)"\)', read(root, "src/base/reason.c")))
    for name, number in re.findall(r"^#define (RSMERR_\w+)\s+(\d+)", read(root, COMMON), re.M):
        entry = re.search(rf"^\*{name}\* \((\d+)\): (.*)$", page.text, re.M)
        if not entry:
            problem(page.file, f"no entry *{name}* ({number}): TEXT")
        elif entry.group(1) != number:
            problem(page.file, f"{name} has the number {number}, not {entry.group(1)}")
        elif entry.group(2) != texts.get(name):
            problem(page.file, f"the text of {name} is '{texts.get(name)}', not '{entry.group(2)}'")


def sources(root):
    for directory, _, files in os.walk(os.path.join(root, "src")):
        for file in sorted(files):
            if file.endswith((".c", ".h", ".py")):
                yield os.path.relpath(os.path.join(directory, file), root)


def check_environment_page(root, pages):
    """Every variable that library, daemon, tool or module read."""
    page = next((page for page in pages if page.title == "rsm-environment"), None)
    if page is None:
        return problem("rsm-environment.7.scd", "does not exist")
    told = set(re.findall(r"^\*([A-Z_]+)\*$", page.text, re.M))
    for path in sources(root):
        for argument in re.findall(r"(?:getenv\(|environ\.get\(|environ\[)\s*([^),\]]*)", read(root, path)):
            name = argument.strip().strip("\"'")
            if name == argument.strip():
                problem(path, f"getenv({name}): write the name out, so that the manual can be checked")
            elif name not in told:
                problem(page.file, f"{name} is read by {path} and has no entry")


# ---- tools ----

def check_tools(pages, work, man):
    """scdoc takes each page, and the formatter finds no fault with what it makes."""
    made = []
    for page in pages:
        with open(os.path.join(man, page.file), encoding="utf-8") as file:
            said = subprocess.run(["scdoc"], stdin=file, capture_output=True, text=True, check=False)
        if said.returncode != 0 or said.stderr:
            problem(page.file, f"scdoc: {said.stderr.strip()}")
            continue
        made.append(page.file[:-len(".scd")])
        with open(os.path.join(work, made[-1]), "w", encoding="utf-8") as file:
            file.write(re.sub(r"^(\.TH .*)$", r"\1\n.nh", said.stdout, flags=re.M))  # as man/CMakeLists.txt
    for formatter in (["groff", "-t", "-ww", "-man", "-Tutf8", "-rLL=78n", "-z"], ["mandoc", "-Tlint", "-Wwarning"]):
        if shutil.which(formatter[0]):
            said = subprocess.run(formatter + made, cwd=work, capture_output=True, text=True, check=False)
            if said.returncode != 0 or said.stderr:
                problem(formatter[0], said.stderr.strip() or said.stdout.strip())
            return


def check_programs(root, pages, work):
    """Programs in pages compile."""
    compiler = os.environ.get("CC", "cc")
    for page in pages:
        for number, block in enumerate(block for block in page.blocks if re.search(r"\bmain\(", block)):
            path = os.path.join(work, f"{page.title}-{number}.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(block)
            said = subprocess.run([compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-c", path,
                                   "-I", os.path.join(root, "include"), "-o", os.path.join(work, "program.o")],
                                  capture_output=True, text=True, check=False)
            if said.returncode != 0:
                problem(page.file, f"a program does not compile:\n{said.stderr.strip()}")


def main():
    root = sys.argv[1]
    man = os.path.join(root, "man")
    pages = [Page(file, read(man, file)) for file in sorted(os.listdir(man)) if file.endswith(".scd")]
    functions, common = {}, set()
    for header, path in HEADERS.items():
        common |= parse_header(header, read(root, path), functions)
    exported = set(re.findall(r"^\s*(rsmx?_\w+);", read(root, "src/lib/librsm.map"), re.M))
    names = {(name, page.section) for page in pages for name in page.names}
    words = set()
    for path in [*HEADERS.values(), COMMON, "include/sys/rsm/rsmapi_common.h"]:
        words |= set(re.findall(r"\w+", read(root, path)))
    for page in pages:
        for block in page.dropped:
            problem(page.file, f"a single backslash, which scdoc drops, in:\n{block}")
        if page.title not in page.names:
            problem(page.file, f"its NAME section does not begin with {page.title}")
        if page.section == "3rsm":
            check_function_page(page, functions, common)
    for name in sorted(exported | functions.keys()):
        if (name, "3rsm") not in names:
            problem("man", f"{name} has no page in section 3rsm")
    check_references(pages, names, words)
    check_errors_page(root, pages)
    check_environment_page(root, pages)
    if not problems:  # they take longer than all the rest
        with tempfile.TemporaryDirectory() as work:
            check_tools(pages, work, man)
            check_programs(root, pages, work)
    for text in problems:
        print(text, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
