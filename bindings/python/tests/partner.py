# SPDX-License-Identifier: BSD-2-Clause
"""Another process, which executes what it is told line by line and answers with the value of an expression."""

import contextlib
import os
import subprocess
import sys

SERVE = """
import gc, sys
names = {}
def reset():
    names.clear()
    exec("import rsm, numpy as np, os", names)
    gc.collect()
reset()
for line in sys.stdin:
    try:
        if line.strip() == "reset":
            reset()
            print("None", flush=True)
            continue
        try:
            code = compile(line.strip(), "partner", "eval")
        except SyntaxError:
            exec(line.strip(), names)
            print("None", flush=True)
        else:
            print(repr(eval(code, names)), flush=True)
    except Exception as error:
        print("!" + type(error).__name__ + ": " + str(error).replace("\\n", " "), flush=True)
"""


class Partner:
    """A process on the node of that socket."""

    def __init__(self, socket):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "RSM_SOCKET": socket})

    def tell(self, line):
        """Has it executed, and does not wait."""
        self.process.stdin.write(line + "\n")

    def answer(self):
        """The value of what it was told."""
        text = self.process.stdout.readline().strip()
        assert text, "the partner has died"
        assert not text.startswith("!"), text[1:]
        return eval(text, {})  # our own process

    def __call__(self, line):
        self.tell(line)
        return self.answer()

    def kill(self):
        """As by a crash."""
        self.process.kill()
        self.process.wait()

    def discard(self):
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self):
        """Without any close()."""
        self.process.stdin.close()
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


class Partners:
    """Partners for one test after the other: one that was killed is replaced."""

    def __init__(self):
        self.at = {}

    @contextlib.contextmanager
    def one(self, socket):
        """The partner on a node. Afterwards it knows nothing and has withdrawn everything."""
        made = self.at.pop(socket, None) or Partner(socket)
        try:
            yield made
            if made.process.poll() is None:
                made("reset")
                self.at[socket] = made
        finally:
            if self.at.get(socket) is not made:
                made.discard()

    def end(self):
        """Of all tests."""
        for made in self.at.values():
            made.discard()
