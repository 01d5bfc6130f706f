# SPDX-License-Identifier: BSD-2-Clause
"""A raw client of rsmd that watches the node's life events."""

import json
import os

from rsmd_client import TIMEOUT, Client, readable


class Watcher:
    """A client that watches; its lines as objects."""

    def __init__(self, path, client=None):
        self.client = client or Client(path)
        self.client.ask("watch")
        self.fd, = self.client.fds
        self.text = b""

    def next(self, seconds=TIMEOUT):
        while b"\n" not in self.text:
            assert readable(self.fd, seconds), "no event comes"
            data = os.read(self.fd, 65536)
            if not data:
                raise EOFError
            self.text += data
        line, self.text = self.text.split(b"\n", 1)
        assert len(line) < 1000, len(line)
        event = json.loads(line.decode("utf-8"))
        assert event["schema"] == 1 and event["time"] > 1e9 and event["seq"] > 0
        return event

    def expect(self, kind, **keys):
        event = self.next()
        assert event["event"] == kind, (kind, event)
        for key, value in keys.items():
            assert event.get(key) == value, (key, value, event)
        return event

    def until(self, kind):
        """The events up to the first one of that kind."""
        events = [self.next()]
        while events[-1]["event"] != kind:
            events.append(self.next())
        return events

    def close(self):
        os.close(self.fd)
        self.client.close()
