# SPDX-License-Identifier: BSD-2-Clause
"""Shares an array, tells where, and prints what somebody has written into it: producer.py; then consumer.py ADDRESS."""
import rsm

numbers = rsm.empty(1024)
with rsm.export(numbers, access=0o600) as segment:
    print(segment.address, flush=True)
    segment.wait()
    print(numbers[:4])
