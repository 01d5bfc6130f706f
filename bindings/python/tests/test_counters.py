# SPDX-License-Identifier: BSD-2-Clause
"""Counters of connections."""

import os

import rsm


def rows_of(address):
    return [row for row in rsm.counters() if row.address == address]


def test_own_connection(shared):
    _, segment, connection = shared
    before = rows_of(segment.address)
    assert len(before) == 1 and (before[0].pid, before[0].puts, before[0].length) == (os.getpid(), 0, 8192)
    with connection.barrier():
        connection.put(0, b"12345678")
        connection.put(8, [1.0, 2.0], float)
        connection.get(0, 100)
    connection.post()
    row = rows_of(segment.address)[0]
    assert (row.puts, row.gets, row.bytes_put, row.bytes_got, row.posts) == (2, 1, 24, 100, 1)
    assert row.id == before[0].id and row.spans == 1 and row.failures == 0 and not row.guest
    assert row.program.startswith("python")


def test_other_processes_come_and_go(shared, other):
    _, segment, _ = shared
    other(f"s = rsm.connect('{segment.address}', mode='rw')")
    other("s.put(0, b'123')")
    assert {row.pid: row.bytes_put for row in rows_of(segment.address)} == {os.getpid(): 0, other.process.pid: 3}
    other("s.close()")
    assert [row.pid for row in rows_of(segment.address)] == [os.getpid()]


def test_many_rows(shared):
    _, segment, _ = shared
    many = [rsm.connect(segment.address) for _ in range(200)]
    assert len(rows_of(segment.address)) == 201
    for connection in many:
        connection.close()


def test_guests(away):
    with rsm.export(rsm.zeros(512), access=0o666, controller="tcp0") as segment:
        away(f"s = rsm.connect('{segment.address}', mode='rw')")
        away("s.put(0, b'12345')")
        row, = rows_of(segment.address)
        assert row.guest and (row.importer, row.node, row.bytes_put) == (2, 1, 5)
        away("s.close()")
