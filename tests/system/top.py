#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""rsm top on a pseudo terminal, and in pipes: what the screen shows of real connections, keys, sizes, and the end of it.
RSM, RSMD and LIBRSM name what is under test."""
import ctypes
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from terminal import Terminal

RSM, RSMD, LIBRSM = os.environ['RSM'], os.environ['RSMD'], os.environ['LIBRSM']
PERMISSION = 0o600
SEGMENTS = (0x400000, 0x500000)


def memory():
    pages = mmap.mmap(-1, 65536, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return pages, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))


def must(code):
    assert code == 0, code


def controller_of(rsm):
    controller = ctypes.c_void_p()
    must(rsm.rsm_get_controller(b'loopback', ctypes.byref(controller)))
    return controller


def exporter():
    """Publishes the segments, says so, and stays until its input ends."""
    rsm, kept = ctypes.CDLL(LIBRSM), []
    for number in SEGMENTS:
        segment, wanted = ctypes.c_void_p(), ctypes.c_uint32(number)
        pages, address = memory()
        must(rsm.rsm_memseg_export_create(controller_of(rsm), ctypes.byref(segment), address,
                                          ctypes.c_size_t(65536), 0))
        must(rsm.rsm_memseg_export_publish(segment, ctypes.byref(wanted), None, 0))
        kept.append((pages, segment))
    print('ready', flush=True)
    sys.stdin.read()


def importer(number):
    """Connects, says so, and puts and gets until its input ends."""
    rsm, segment = ctypes.CDLL(LIBRSM), ctypes.c_void_p()
    pages, address = memory()
    must(rsm.rsm_memseg_import_connect(controller_of(rsm), 7, number, PERMISSION, ctypes.byref(segment)))
    barrier = ctypes.create_string_buffer(512)
    must(rsm.rsm_memseg_import_init_barrier(segment, 1, barrier))  # RSM_BAR_DEFAULT
    print('ready', flush=True)
    os.set_blocking(0, False)
    while True:
        for _ in range(100):
            must(rsm.rsm_memseg_import_put(segment, ctypes.c_int64(0), address, ctypes.c_size_t(1000)))
            must(rsm.rsm_memseg_import_get(segment, ctypes.c_int64(0), address, ctypes.c_size_t(8)))
        must(rsm.rsm_intr_signal_post(segment, 0))
        try:
            if os.read(0, 1) == b'':
                return
        except BlockingIOError:
            pass


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='rsm-top.')
        cls.socket = os.path.join(cls.directory, 'rsmd.sock')
        with open(os.path.join(cls.directory, 'rsmd.conf'), 'w') as file:
            file.write('[node]\nid = 7\nname = seven\n')
        cls.environment = dict(os.environ, RSM_SOCKET=cls.socket, LC_ALL='C.UTF-8')
        cls.daemon = subprocess.Popen([RSMD, '--config', os.path.join(cls.directory, 'rsmd.conf'), '--socket',
                                       cls.socket], env=dict(cls.environment, RSM_LOG='error'))
        cls.others = []
        cls.addClassCleanup(cls.clean)
        for _ in range(1000):
            if os.path.exists(cls.socket):
                break
            cls.daemon.poll() is None or cls.fail('rsmd ended')
            time.sleep(0.01)
        cls.start('exporter')
        cls.importers = [cls.start('importer', str(SEGMENTS[0])), cls.start('importer', str(SEGMENTS[1]))]

    @classmethod
    def start(cls, *arguments):
        other = subprocess.Popen([sys.executable, __file__, *arguments], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, env=cls.environment, text=True)
        cls.others.append(other)
        assert other.stdout.readline() == 'ready\n'
        return other

    @classmethod
    def clean(cls):
        for process in reversed([cls.daemon] + cls.others):  # importers before the exporter
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
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
        terminal.wait(lambda text: any(line.startswith('7:0x400000') and 'k ' in line for line in text.split('\n')))
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
        self.daemon.send_signal(signal.SIGSTOP)
        try:
            before = self.bytes_seen(terminal)
            for _ in range(5):
                seen = self.bytes_seen(terminal, lambda now: now != before)
                self.assertNotEqual(seen, before)
                before = seen
            terminal.send('q')
            self.assertEqual(terminal.exit(), 0)
        finally:
            self.daemon.send_signal(signal.SIGCONT)

    def bytes_seen(self, terminal, condition=lambda now: True):
        def line():
            return [line for line in terminal.text().split('\n') if line.startswith('7:0x400000')][0]
        terminal.wait(lambda text: condition(line()))
        return line()

    def test_connection_comes_and_goes(self):
        terminal = self.top()
        terminal.wait(lambda text: '2 connections' in text)
        other = self.start('importer', str(SEGMENTS[0]))
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
                self.assertAlmostEqual(line['bytes_in'] / line['puts'], 1000, delta=1)
                self.assertAlmostEqual(line['bytes_out'] / line['gets'], 8, delta=1)
                self.assertGreater(line['signals'], 0)
                self.assertEqual((line['failures'], line['importer'], line['length']), (0, 7, 65536))
        self.assertGreater(readings[1]['totals']['puts'], readings[0]['totals']['puts'])
        done = self.run_top('--json', '-n', '1', '-d', '0.1', '--segments', '--filter', '0x5')
        (line,) = json.loads(done.stdout)['lines']
        self.assertEqual((line['id_hex'], line['connections']), ('0x500000', 1))

    def test_wrong_usage(self):
        for wrong in (['--sort', 'colour'], ['--count', '0'], ['--delay', '0'], ['surplus'], ['--filter', 'x' * 40]):
            self.assertEqual(self.run_top(*wrong).returncode, 2)
        done = subprocess.run([RSM, 'top', '-n', '1'], env=dict(self.environment, RSM_SOCKET='/nonexistent/socket'),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3)


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1] == 'exporter':
        exporter()
    elif len(sys.argv) > 1 and sys.argv[1] == 'importer':
        importer(int(sys.argv[2]))
    else:
        unittest.main()
