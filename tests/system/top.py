#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""rsm top on a pseudo terminal, and in pipes: what the screen shows of real connections, keys, sizes, and the end of it.
RSM, RSMD and RSM_WORKER name what is under test, RSM_PROTO its protocol."""
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest

from cluster import Loopback, Node, Worker, soon
from rsmd_client import Client
from terminal import Terminal

RSM = os.environ['RSM']
SEGMENTS = (0x400000, 0x500000)


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='rsm-top.')
        cls.workers = []
        cls.addClassCleanup(cls.clean)
        cls.node = Node(7, Loopback(7), cls.directory)
        with open(cls.node.path + '/conf', 'w') as file:
            file.write('[node]\nid = 7\nname = seven\n')
        cls.node.start()
        cls.environment = dict(os.environ, RSM_SOCKET=cls.node.socket, LC_ALL='C.UTF-8')
        for number in SEGMENTS:
            cls.worker().export(65536, number)
        cls.importers = [cls.importer(number) for number in SEGMENTS]

    @classmethod
    def worker(cls):
        cls.workers.append(Worker(cls.node, 'loopback'))
        return cls.workers[-1]

    @classmethod
    def importer(cls, number):
        """Puts and gets from now on; the process."""
        worker = cls.worker()
        worker.connect(0, 7, number)
        worker.begin('traffic')
        return worker.process

    @classmethod
    def clean(cls):
        try:
            for worker in reversed(cls.workers):  # importers before the exporters
                worker.end()
            if cls.node.alive():
                cls.node.stop()
        finally:
            shutil.rmtree(cls.directory)

    def top(self, *arguments, lines=24, columns=80):
        terminal = Terminal([RSM, 'top', '--delay', '0.1', *arguments], self.environment, lines, columns)
        self.addCleanup(terminal.end)
        return terminal

    def test_shows_connections(self):
        terminal = self.top()
        pids = [other.pid for other in self.importers]
        terminal.wait(lambda text: all(f'7:{pid}' in text for pid in pids) and '7:0x400000' in text)
        # A rate of calls comes with the second reading.
        terminal.wait(lambda text: any(line.startswith('7:0x400000') and 'k ' in line for line in text.split('\n')) and
                      text.split('\n')[23].startswith('q quit'))  # the last line is drawn last
        shown = terminal.text().split('\n')
        self.assertIn('node 7 (seven), 2 connections to 2 segments', shown[0])
        self.assertRegex(shown[2], r'^SEGMENT +IMPORTER +PUT/s +GET/s +IN B/s +OUT B/s +LATENCY +SIG/s +FAIL$')
        self.assertTrue(shown[23].startswith('q quit'))
        terminal.send('q')
        self.assertEqual(terminal.exit(), 0)
        self.assertTrue(terminal.restored())

    def test_keys(self):
        terminal = self.top('--sort', 'segment')
        terminal.wait(lambda text: text.find('7:0x400000') < text.find('7:0x500000') and '7:0x500000' in text)
        terminal.send('r')
        terminal.wait(lambda text: -1 < text.find('7:0x500000') < text.find('7:0x400000'))
        terminal.send('v')
        terminal.wait(lambda text: '1 importer ' in text and 'v connections' in text)
        terminal.send('/0x5\n')
        terminal.wait(lambda text: '7:0x400000' not in text and '7:0x500000' in text and 'filter:0x5' in text)
        terminal.send('/\x1b')
        terminal.wait(lambda text: '7:0x400000' in text)
        terminal.send('p')
        terminal.wait(lambda text: 'PAUSED' in text)
        terminal.send('p')
        terminal.wait(lambda text: 'PAUSED' not in text)
        terminal.send('q')
        self.assertEqual(terminal.exit(), 0)

    def test_idle_segments(self):
        """A segment that nobody imports has a line among segments; the line all sums those that the filter leaves."""
        exporter = self.worker()
        exporter.export(4096, 0x600000)
        done = self.run_top('--json', '-n', '1', '-i', '0.1', '--segments')
        lines = {line['id_hex']: line for line in json.loads(done.stdout)['lines']}
        self.assertEqual((lines['0x600000']['connections'], lines['0x600000']['length']), (0, 4096))
        self.assertEqual([lines[hex(number)]['connections'] for number in SEGMENTS], [1, 1])
        done = self.run_top('--batch', '-n', '1', '--interval', '0.1', '-S', '-f', '0x6')
        self.assertRegex(done.stdout, r'^SEGMENT[^\n]*\n7:0x600000 +0 importers +0 [^\n]*\nall +0 importers +0 [^\n]*\n$')
        done = self.run_top('--json', '-n', '1', '-i', '0.1', '--filter', '0x5')
        reading = json.loads(done.stdout)
        self.assertEqual(reading['totals']['puts'], reading['lines'][0]['puts'])
        terminal = self.top('--segments')
        terminal.wait(lambda text: '7:0x600000' in text and '2 connections to 2 segments' in text)
        terminal.send('q')
        self.assertEqual(terminal.exit(), 0)
        exporter.end()
        self.workers.remove(exporter)
        soon(lambda: '0x600000' not in self.run_top('--json', '-n', '1', '-i', '0.1', '-S').stdout, 'it is gone')

    def test_dumb_terminal(self):
        """Neither drawn on nor coloured."""
        for arguments, code in (['top'], 1), (['status'], 0), (['doctor'], 0):
            terminal = Terminal([RSM, *arguments], self.environment, term='dumb')
            self.addCleanup(terminal.end)
            self.assertEqual(terminal.exit(), code)
            self.assertNotIn(b'\x1b', terminal.data)
            self.assertEqual('TERM names no terminal' in terminal.text(), bool(code))

    def test_size(self):
        terminal = self.top()
        terminal.wait(lambda text: '7:0x400000' in text and 'SIG/s' in text)
        terminal.resize(30, 120)
        terminal.wait(lambda text: 'SIGNALS/s' in text and 'HISTORY' in text and '7:0x400000' in text)
        for lines, columns in ((4, 10), (1, 1), (2, 200)):
            terminal.resize(lines, columns)
            terminal.wait(lambda text: text.strip())
        terminal.resize(24, 80)
        terminal.wait(lambda text: '7:0x400000' in text and 'SIG/s' in text)
        terminal.send('q')
        self.assertEqual(terminal.exit(), 0)
        self.assertTrue(terminal.restored())

    def test_signals_restore_the_terminal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            terminal = self.top()
            terminal.wait(lambda text: '7:0x400000' in text)
            self.assertFalse(terminal.restored())
            terminal.program.send_signal(number)
            self.assertEqual(terminal.exit(), 0)
            self.assertTrue(terminal.restored())

    def test_daemon_is_not_asked(self):
        """A stopped daemon answers nothing: what goes on then asks it for nothing."""
        terminal = self.top('--sort', 'segment')
        terminal.wait(lambda text: '7:0x500000' in text and '7:0x400000' in text)
        self.node.signal(signal.SIGSTOP)
        try:
            before = self.bytes_seen(terminal)
            for _ in range(5):
                seen = self.bytes_seen(terminal, lambda now: now != before)
                self.assertNotEqual(seen, before)
                before = seen
            terminal.send('q')
            self.assertEqual(terminal.exit(), 0)
        finally:
            self.node.signal(signal.SIGCONT)

    def bytes_seen(self, terminal, condition=lambda now: True):
        def line():
            return [line for line in terminal.text().split('\n') if line.startswith('7:0x400000')][0]
        terminal.wait(lambda text: condition(line()))
        return line()

    def test_connection_comes_and_goes(self):
        terminal = self.top()
        terminal.wait(lambda text: '2 connections' in text)
        other = self.importer(SEGMENTS[0])
        terminal.wait(lambda text: f'7:{other.pid}' in text and '3 connections' in text)
        other.kill()
        terminal.wait(lambda text: f'7:{other.pid}' not in text and '2 connections' in text)
        terminal.send('q')
        self.assertEqual(terminal.exit(), 0)

    def run_top(self, *arguments):
        return subprocess.run([RSM, 'top', *arguments], env=self.environment, capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)

    def test_batch(self):
        done = self.run_top('--batch', '-n', '2', '-d', '0.1')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        tables = done.stdout.split('\n\n')
        self.assertEqual(len(tables), 2)
        for line in done.stdout.split('\n'):
            self.assertLessEqual(len(line), 100)
        for table in tables:
            self.assertRegex(table.split('\n')[0], '^SEGMENT +IMPORTER +PUT/s')
            self.assertIn('\nall ', table)
            self.assertIn(f'7:{self.importers[0].pid}', table)

    def test_json(self):
        done = self.run_top('--json', '-n', '2', '-d', '0.2')
        readings = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(readings), 2)
        for reading in readings:
            self.assertEqual(reading['schema'], 1)
            self.assertEqual({line['pid'] for line in reading['lines']}, {o.pid for o in self.importers})
            self.assertGreater(reading['interval_s'], 0.1)
            for line in reading['lines']:
                self.assertGreater(line['puts_per_s'], 0)
                self.assertAlmostEqual(line['bytes_put'] / line['puts'], 1000, delta=1)
                self.assertAlmostEqual(line['bytes_got'] / line['gets'], 8, delta=1)
                self.assertGreater(line['posts'], 0)
                self.assertEqual((line['failures'], line['importer'], line['length']), (0, 7, 65536))
        self.assertGreater(readings[1]['totals']['puts'], readings[0]['totals']['puts'])
        done = self.run_top('--json', '-n', '1', '-d', '0.1', '--segments', '--filter', '0x5')
        (line,) = json.loads(done.stdout)['lines']
        self.assertEqual((line['id_hex'], line['connections']), ('0x500000', 1))

    def test_lies(self):
        """Whatever a process writes into its table, a count is a number that JSON has, and sums are no smaller than their parts."""
        liar = Client(self.node.socket)
        self.addCleanup(liar.close)
        liar.connect(SEGMENTS[0], node=7)
        liar.ask('counters', own=True)
        with mmap.mmap(liar.fds[0], 0) as table:
            struct.pack_into('=III', table, 0, 0x4e435352, 1, 1)  # magic, version, one row
            struct.pack_into('=III', table, 128 + 16, 1, 7, SEGMENTS[0])  # its id, node and segment
            struct.pack_into('=Q', table, 128 + 40, 1 << 63)  # length
            table[192:192 + 56] = b'\xff' * 56  # the first cell
            for view in ([], ['--segments']):
                done = self.run_top('--json', '-n', '1', '-d', '0.1', *view)
                reading = json.loads(done.stdout)
                most = 2 ** 63 - 1
                self.assertIn(most, [line['puts'] for line in reading['lines']])
                for line in [reading['totals'], *reading['lines']]:
                    for key in ('puts', 'gets', 'bytes_put', 'bytes_got', 'posts', 'failures'):
                        self.assertTrue(0 <= line[key] <= most and reading['totals'][key] == most, (key, line))
                    self.assertTrue(0 < line.get('length', 1) <= most, line)
        liar.close()
        soon(lambda: len(json.loads(self.run_top('--json', '-n', '1', '-d', '0.1').stdout)['lines']) == 2, 'it is gone')

    def test_wrong_usage(self):
        for wrong in (['--sort', 'colour'], ['--count', '0'], ['--delay', '0'], ['surplus'], ['--filter', 'x' * 40]):
            self.assertEqual(self.run_top(*wrong).returncode, 2)
        done = subprocess.run([RSM, 'top', '-n', '1'], env=dict(self.environment, RSM_SOCKET='/nonexistent/socket'),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3)


if __name__ == '__main__':
    unittest.main()
