"""Gives paho a pair of Unix sockets for waking its thread.

Layer: delivery; replaces a function of paho in this process.

paho 2 makes that pair from two TCP sockets of the loopback, one of which listens for a moment. The
appliance opens no port and connects only to the broker.
"""

from __future__ import annotations

import socket

from paho.mqtt import client as paho

_NAME = "_socketpair_compat"


def use_local_pairs() -> None:
    """Replace paho's pair in this process; does nothing where paho makes it otherwise."""
    if hasattr(paho, _NAME):
        setattr(paho, _NAME, _pair)


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs
