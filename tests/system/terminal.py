# SPDX-License-Identifier: BSD-2-Clause
"""A program on a pseudo terminal, and what its screen shows: enough of an xterm for ncurses."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

SEQUENCE = re.compile(rb'\x1b(?:\[([?>!]?)([0-9;]*)([@-~])|[()][0-9A-B]|[=>78MDEc])|([\x00-\x1a\x1c-\x1f])|'
                      rb'([\x20-\x7e]|[\xc0-\xf7][\x80-\xbf]+)')


class Terminal:
    """Starts the program at once; end() must be called."""

    def __init__(self, arguments, environment, lines=24, columns=80, term='xterm'):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.lines, self.columns = lines, columns
        self.data, self.rest = b'', b''
        self.full, self.alternate = False, False
        self.clear()
        self.resize(lines, columns, tell=False)
        self.program = subprocess.Popen(arguments, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=dict(environment, TERM=term), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def clear(self):
        self.cells = [[' '] * self.columns for _ in range(self.lines)]
        self.row = self.column = 0

    def resize(self, lines, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))
        if tell:
            self.lines, self.columns = lines, columns
            self.clear()

    def send(self, keys):
        os.write(self.master, keys.encode())

    def text(self):
        return '\n'.join(''.join(line).rstrip() for line in self.cells)

    def read(self, seconds):
        """What the program writes within this time, as far as one read takes it; False at its end or none."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.data += data
        self.feed(data)
        return bool(data)

    def wait(self, condition, seconds=20):
        """Until condition(screen's text) holds."""
        end = time.monotonic() + seconds
        while not condition(self.text()):
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError('not seen in time:\n' + self.text())
            self.read(min(left, 0.5))

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            match = SEQUENCE.match(data, at)
            if not match:
                if len(data) - at < 16 and data[at:at + 1] >= b'\x1b':
                    break  # the rest of it has yet to come
                at += 1
                continue
            at = match.end()
            self.take(match)
        self.rest = data[at:]

    def take(self, match):
        mark, numbers, final, control, letter = match.groups()
        if letter:
            self.put(letter.decode())
        elif control == b'\r':
            self.column = 0
        elif control == b'\n':
            self.row = min(self.row + 1, self.lines - 1)
        elif control == b'\b':
            self.column = max(self.column - 1, 0)
        elif final and not mark:
            self.command(final, [int(n or 0) for n in numbers.split(b';')])
        elif final in (b'h', b'l') and b'1049' in numbers:
            self.alternate = final == b'h'

    def put(self, letter):
        if self.column >= self.columns:
            self.row, self.column = min(self.row + 1, self.lines - 1), 0
        self.cells[self.row][self.column] = self.letter = letter
        self.column += 1

    def command(self, final, numbers):
        count = max(numbers[0], 1)
        here = min(self.column, self.columns - 1)
        if final == b'H':
            self.row = min(count, self.lines) - 1
            self.column = min(max(numbers[1], 1) if len(numbers) > 1 else 1, self.columns) - 1
        elif final == b'd':
            self.row = min(count, self.lines) - 1
        elif final == b'G':
            self.column = min(count, self.columns) - 1
        elif final in b'AB':
            self.row = min(max(self.row + (count if final == b'B' else -count), 0), self.lines - 1)
        elif final in b'CD':
            self.column = min(max(here + (count if final == b'C' else -count), 0), self.columns - 1)
        elif final == b'X':
            for i in range(here, min(here + count, self.columns)):
                self.cells[self.row][i] = ' '
        elif final == b'b':
            for _ in range(count):
                self.put(self.letter)
        elif final == b'K':
            span = {0: range(here, self.columns), 1: range(here + 1), 2: range(self.columns)}[numbers[0]]
            for i in span:
                self.cells[self.row][i] = ' '
        elif final == b'J':
            for row in range(0 if numbers[0] == 2 else self.row, self.lines):
                for i in range(self.columns if row > self.row or numbers[0] == 2 else 0):
                    self.cells[row][i] = ' '
            if numbers[0] == 0:
                self.command(b'K', [0])

    def restored(self):
        """Whether the terminal is as the program found it: modes of the line, and the screen of before."""
        return termios.tcgetattr(self.slave) == self.before and not self.alternate

    def exit(self, seconds=20):
        """The program's exit status, once all that it wrote was read."""
        end = time.monotonic() + seconds
        while self.program.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.program.poll()

    def end(self):
        if self.program.poll() is None:
            self.program.send_signal(signal.SIGKILL)
        self.program.wait()
        os.close(self.master)
        os.close(self.slave)
