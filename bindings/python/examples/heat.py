# SPDX-License-Identifier: BSD-2-Clause
"""A simulation that lets others look: heat in a plate with one hot edge. heat.py [SIZE [STEPS [EVERY [CONTROLLER]]]]

The segment begins with three numbers (size, steps in all, present step); the field lies at byte 64. Every EVERY steps a snapshot is
offered: the simulation signals and goes on when the onlooker (insitu.py) has signalled back. If it does not, the simulation goes on
alone."""
import sys

import numpy as np

import rsm


def advance(field):
    """One step of the heat equation."""
    field[1:-1, 1:-1] += 0.24 * (field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:] - 4 * field[1:-1, 1:-1])


def main(size=64, steps=1000, every=100, controller="loopback"):
    size, steps, every = int(size), int(steps), int(every)
    memory = rsm.zeros(64 + 8 * size * size, np.uint8)
    header = memory[:24].view(np.int64)
    field = memory[64:].view(float).reshape(size, size)
    header[:] = size, steps, 0
    field[0] = 100.0
    with rsm.export(memory, access=0o600, controller=controller) as segment:
        print(segment.address, flush=True)
        segment.wait(timeout=60)  # somebody looks
        watched = True
        for step in range(1, steps + 1):
            advance(field)
            header[2] = step
            if watched and (step % every == 0 or step == steps):
                segment.post()
                try:
                    segment.wait(timeout=10)
                except rsm.Timeout:
                    watched = False


if __name__ == "__main__":
    main(*sys.argv[1:])
