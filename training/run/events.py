"""Event files that TensorBoard reads, written without TensorBoard.

Layer: training.run; appends to one file in one run's folder. Scalars alone are needed, in a format
that has stood still for years: sixty lines here against a dozen packages (grpc, protobuf, a web
server) that `torch.utils.tensorboard` would pull in. To look: ``tensorboard --logdir RUNS``, from
anywhere.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_POLYNOMIAL = 0x82F63B78
_START = 1


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C of some bytes, masked as record files have it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


class EventLog:
    """One event file of a run. A run that resumes starts a new one, at its own step.

    A reader drops later steps of an earlier file: the run was interrupted there.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1_000_000_000}.{os.getpid()}.sharpedge"
        self._path = folder / name
        self._write(step, _field(3, b"brain.Event:2"))
        self._write(step, _field(7, _number(1, _START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write named values of one step (samples seen)."""
        for name, value in values.items():
            body = _field(1, name.encode()) + b"\x15" + struct.pack("<f", value)
            self._write(step, _field(5, _field(1, body)))

    def _write(self, step: int, content: bytes) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + _number(2, step) + content
        length = struct.pack("<Q", len(event))
        with self._path.open("ab") as file:
            file.write(
                length
                + struct.pack("<I", masked_crc(length))
                + event
                + struct.pack("<I", masked_crc(event))
            )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data
