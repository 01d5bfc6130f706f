# SPDX-License-Identifier: BSD-2-Clause
"""Writes into the array of producer.py and signals: consumer.py ADDRESS."""
import sys

import rsm

with rsm.connect(sys.argv[1], mode="rw") as segment:
    numbers = segment.array(float)  # the producer's memory itself; between nodes an object that gets and puts
    with segment.barrier():  # raises if anything did not arrive
        numbers[:4] = [3, 1, 4, 1]
    segment.post()
