# SPDX-License-Identifier: BSD-2-Clause
"""Nodes, controllers and ways between them; the state of the node; addresses and access lists."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Iterator, Mapping, NamedTuple, Union

from . import _error, errors
from ._librsm import ffi, lib

Access = Union[None, int, Mapping[int, int]]


class Peer(NamedTuple):
    """Another node, as a controller reaches it."""

    node: int
    controller: str
    active: bool


class Controller(NamedTuple):
    """A controller of this node."""

    name: str
    peers: tuple[Peer, ...]


class Topology(NamedTuple):
    """This node and what it reaches."""

    node: int
    controllers: tuple[Controller, ...]

    def controller_to(self, node: int) -> str:
        """The controller that leads to a node: loopback for this one, else one that is active, if there is one."""
        if node == self.node:
            return "loopback"
        ways = [(not peer.active, at, controller.name) for at, controller in enumerate(self.controllers)
                for peer in controller.peers if peer.node == node]
        if not ways:
            raise errors.RemoteNodeUnreachable(
                reason=f"no controller of node {self.node} leads to node {node}; `rsm topo` shows which ones lead where")
        return min(ways)[2]


class Version(NamedTuple):
    """Releases; `daemon` is "" before the first call that asks rsmd."""

    library: str
    daemon: str


def topology() -> Topology:
    """The local node, its controllers and the nodes they reach.

    >>> import rsm
    >>> isinstance(rsm.topology().node, int)
    True
    """
    place = ffi.new("rsm_topology_t **")
    _error.check(lib.rsm_get_interconnect_topology(place))
    try:
        header = place[0].topology_hdr
        # Declared with one entry each; the counts tell how many there are.
        connections = ffi.cast("rsm_connections_t **", place[0].connections)
        return Topology(header.local_nodeid,
                        tuple(_controller(connections[at]) for at in range(header.local_cntlr_count)))
    finally:
        lib.rsm_free_interconnect_topology(place[0])


def _controller(connections: Any) -> Controller:
    remotes = ffi.cast("rsm_remote_cntlr_t *", connections.remote_cntlr)
    peers = tuple(Peer(remotes[at].remote_nodeid, _error.text(remotes[at].remote_cntlrname),
                       remotes[at].connection_state == lib.RSM_CONNECTION_ACTIVE)
                  for at in range(connections.hdr.remote_cntlr_count))
    return Controller(_error.text(connections.hdr.cntlr_name), peers)


@contextlib.contextmanager
def controller(name: str) -> Iterator[Any]:
    """The handle of a controller, as long as something is made through it: what was made keeps working."""
    place = ffi.new("rsmapi_controller_handle_t *")
    _error.check(lib.rsm_get_controller(ffi.new("char[]", name.encode()), place))
    try:
        yield place[0]
    finally:
        lib.rsm_release_controller(place[0])


def parse_address(text: str) -> tuple[int | None, int]:
    """Node and id of "1:0x400000"; None for the local node: "0x400000"."""
    node, colon, number = text.rpartition(":")
    try:
        return int(node, 0) if colon else None, int(number, 0)
    except ValueError:
        raise ValueError(f"{text!r} is not the address of a segment, such as '1:0x400000'") from None


def access_list(access: Access, controller_name: str) -> tuple[Any, int]:
    """The C form. The API has no word for "everybody with these rights": the nodes are listed that the topology knows."""
    if access is None:
        return ffi.NULL, 0
    if isinstance(access, int):
        ways = topology()
        nodes = {ways.node: access}
        if controller_name.lower().rstrip("0123456789") != "loopback":
            nodes.update({peer.node: access for way in ways.controllers for peer in way.peers})
        access = nodes
    if not access:
        raise errors.BadAcl(reason="the access list names no node; None lets every node connect, with 0777 & ~umask")
    entries = ffi.new("rsmapi_access_entry_t[]", [{"ae_node": node, "ae_permission": permission}
                                                  for node, permission in access.items()])
    return entries, len(access)


def _status(what: str, segment_id: int = 0) -> dict[str, Any]:
    place = ffi.new("char **")
    _error.check(lib.rsmx_status(what.encode(), segment_id, place))
    try:
        answer: dict[str, Any] = json.loads(_error.text(place[0]))
        return answer
    finally:
        lib.free(place[0])


def status() -> dict[str, Any]:
    """This node: limits and clients.

    >>> import rsm
    >>> rsm.status()["schema"]
    1
    """
    return _status("status")


def segments() -> list[dict[str, Any]]:
    """Every published segment of this node."""
    rows: list[dict[str, Any]] = _status("segments")["segments"]
    return rows


def segment(id: int) -> dict[str, Any]:
    """One published segment of this node, with its importers."""
    row: dict[str, Any] = _status("segment", id)["segment"]
    return row


def nodes() -> list[dict[str, Any]]:
    """The paths to other nodes."""
    rows: list[dict[str, Any]] = _status("nodes")["paths"]
    return rows


def version() -> Version:
    """Releases of the library and of the rsmd that this process talks to.

    >>> import rsm
    >>> rsm.version().library == rsm.__version__
    True
    """
    daemon = ffi.new("char const **")
    library = _error.text(lib.rsmx_version(daemon))
    return Version(library, _error.text(daemon[0]) if daemon[0] else "")
