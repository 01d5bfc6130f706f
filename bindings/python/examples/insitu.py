# SPDX-License-Identifier: BSD-2-Clause
"""In-situ analysis: looks into a simulation while it runs, without files, and on one host without a copy.

    insitu.py [ADDRESS [PICTURE]]      ADDRESS: what heat.py printed; without one it is started here

The cells (# %%) can be run one by one in an editor that knows them. The picture is drawn by matplotlib, in the form that its
name says (.png, .svg); without matplotlib as text.
"""
# %% Connect
import os
import subprocess
import sys

import numpy as np

import rsm

address, picture = (sys.argv[1:] + ["", ""])[:2]
simulation = None
if not address:
    here = os.path.dirname(os.path.abspath(__file__))
    simulation = subprocess.Popen([sys.executable, os.path.join(here, "heat.py")], stdout=subprocess.PIPE, text=True)
    address = simulation.stdout.readline().strip()

segment = rsm.connect(address, mode="r")
size, steps, _ = segment.get(0, dtype=np.int64, shape=3)
field = segment.array(float, (size, size), offset=64)  # of another node: each use of it reads what is used
print(f"{address}: a field of {size} x {size}, {steps} steps")

# %% Look at every snapshot that is offered
history = []
segment.post()  # tells the simulation that somebody looks
barrier = segment.barrier()
step = 0
while step < steps:
    segment.wait(timeout=60)
    with barrier:  # raises if the simulation has died meanwhile: what was read then would mean nothing
        step = int(segment.get(16, dtype=np.int64, shape=1)[0])
        now = np.asarray(field)
        history.append((step, now.mean(), now[size // 2].max(), now.std()))
        if step == steps:
            final = now.copy()
    try:
        segment.post()  # the simulation goes on
    except rsm.ConnAborted:  # between nodes, after the last step: it has ended before the answer to the signal was here
        if step < steps:
            raise
    print("step {:5d}   mean {:7.3f}   hottest of the middle row {:7.3f}   deviation {:7.3f}".format(*history[-1]))

segment.close()
if simulation:
    simulation.wait(60)
    simulation.stdout.close()

# %% Draw
try:
    if not picture:
        raise ImportError
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    shades = " .:-=+*#%@"
    for row in final[::max(1, size // 16)]:
        print("".join(shades[min(9, int(value / 10))] for value in row[::max(1, size // 32)]))
else:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    figure.colorbar(left.imshow(final, cmap="inferno"), ax=left)
    left.set_title(f"temperature after {steps} steps")
    right.plot([row[0] for row in history], [row[1] for row in history])
    right.set(title="mean temperature", xlabel="step")
    figure.savefig(picture)
    print("drawn:", picture)
