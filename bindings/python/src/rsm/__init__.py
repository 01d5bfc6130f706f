# SPDX-License-Identifier: BSD-2-Clause
"""Remote Shared Memory for Python: numpy arrays that other processes, on this host or on others, read and write in place.

>>> import rsm
>>> numbers = rsm.empty(1000)                                   # an array that can be exported
>>> segment = rsm.export(numbers, access=0o600)                 # one process offers it ...
>>> other = rsm.connect(segment.address, mode="rw")             # ... another connects,
>>> with other.barrier():                                       # sees whether everything arrived,
...     other.array(float)[0] = 42                              # writes,
>>> other.post()                                                # and signals
>>> segment.wait(timeout=5)
>>> float(numbers[0])
42.0
>>> other.close(); segment.close()

A thin layer over librsm: what a call does, and why it may be refused, is in rsmapi.h and rsm/ext.h. Blocking calls let other
threads run. Errors are rsm.Error and its subclasses, one for each RSMERR code (RSMERR_PERM_DENIED: rsm.PermDenied).

After os.fork the child has private copies of exported arrays, and exports and imports are its parent's: calls are refused.
multiprocessing: use the start method "spawn" or "forkserver".
"""

from . import errors
from ._barrier import Barrier
from ._counters import Counter, counters
from ._error import Error
from ._export import Export, export
from ._import import Import, connect
from ._memory import empty, zeros
from ._release import RELEASE as __version__
from ._remote import RemoteArray
from ._segment import SegmentInfo
from ._topology import (Controller, Peer, Topology, Version, nodes, segment, segments, status, topology, version)
from ._watch import Watch, watch
from .errors import *  # noqa: F403

__all__ = [
    "Barrier", "Controller", "Counter", "Error", "Export", "Import", "Peer", "RemoteArray", "SegmentInfo", "Topology", "Version", "Watch",
    "__version__", "connect", "counters", "empty", "errors", "export", "nodes", "segment", "segments", "status", "topology", "version",
    "watch", "zeros",
]
__all__ += errors.__all__
