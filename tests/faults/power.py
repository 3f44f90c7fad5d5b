"""What a power cut can leave on the disk: built from the log that ``disk_log.c`` writes.

The model is strict. Bytes count only once their file was synced; of what was not synced any part
may be there, torn inside a write. Names (made, renamed, removed) take effect in order, and surely
only once their folder was synced.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

SECTOR = 512


def preload(folder):
    """Compile the log, or skip with the reason."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: what the appliance writes cannot be logged")
    library = folder / "disk_log.so"
    source = Path(__file__).with_name("disk_log.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the C compiler cannot build a library: {done.stderr[:200]}")
    return library


class Op(NamedTuple):
    kind: str
    path: str
    other: str
    at: int
    data: bytes


def operations(log):
    """Records of the log, in order."""
    data, at = log.read_bytes(), 0
    while at < len(data):
        end = data.index(b"\n", at)
        kind, path, other, offset, length = (
            data[at:end].decode("utf-8", "surrogateescape").split("\t")
        )
        at = end + 1
        body = data[at : at + int(length)] if kind in {"write", "send"} else b""
        at += len(body)
        yield Op(kind, path, other, int(offset), body)


def published(op):
    """Id of the result that a sending holds, or None."""
    at = op.data.find(b'"id":"')
    if op.kind != "send" or b"/result" not in op.data[:200] or at < 0:
        return None
    return json.loads(b'"' + op.data[at + 6 : at + 42] + b'"')


@dataclass
class _File:
    synced: bytes = b""
    pending: list = field(default_factory=list)

    def after(self, dice):
        """Contents after a cut: what was synced, and of the rest what the disk had got to."""
        data = bytearray(self.synced)
        how = dice.choice(["none", "all", "first", "any", "any"])
        ops = list(self.pending)
        if how == "first":
            ops = ops[: dice.randint(0, len(ops))]
        for op in ops:
            if how == "none" or (how == "any" and dice.random() < 0.5):
                continue
            if op.kind == "truncate":
                _resize(data, op.at)
                continue
            body = op.data
            if how == "any" and dice.random() < 0.3:
                body = body[: dice.randrange(0, len(body) + 1, SECTOR)]
            _write(data, op.at, body)
        return bytes(data)

    def sync(self):
        data = bytearray(self.synced)
        for op in self.pending:
            if op.kind == "truncate":
                _resize(data, op.at)
            else:
                _write(data, op.at, op.data)
        self.synced, self.pending = bytes(data), []


def _resize(data, size):
    if size < len(data):
        del data[size:]
    else:
        data += bytes(size - len(data))


def _write(data, at, body):
    if len(data) < at:
        _resize(data, at)
    data[at : at + len(body)] = body


class Disk:
    """A disk that takes operations one by one and can be cut at any time."""

    def __init__(self, folder):
        """Begin with what lies in a folder, all of it synced."""
        self.names = {str(p): _File(p.read_bytes()) for p in folder.rglob("*") if p.is_file()}
        self._waiting = []
        self._now = dict(self.names)

    def add(self, path, data):
        """Have a file of somebody else's on it, synced."""
        self.names[str(path)] = self._now[str(path)] = _File(data)

    def do(self, op):
        if op.kind in {"create", "rename", "link", "unlink"}:
            _name(self._now, op)
            # The very file, so that its bytes follow it.
            self._waiting.append((op, self._now.get(op.path)))
        elif op.kind == "sync" and op.path in self._now:
            self._now[op.path].sync()
        elif op.kind == "sync":
            self._sync_names(op.path)
        elif op.kind in {"write", "truncate"} and op.path in self._now:
            self._now[op.path].pending.append(op)

    def _sync_names(self, folder):
        touched = [
            n for n, (op, _) in enumerate(self._waiting)
            if folder in {str(Path(op.path).parent), str(Path(op.other).parent)}
        ]  # fmt: skip
        last = touched[-1] + 1 if touched else 0
        for op, file in self._waiting[:last]:
            _name(self.names, op, file)
        del self._waiting[:last]

    def cut(self, dice, source, target):
        """Write what a power cut now leaves, for the folder ``source``, to ``target``."""
        names = dict(self.names)
        for op, file in self._waiting[: dice.randint(0, len(self._waiting))]:
            _name(names, op, file)
        for path, file in names.items():
            place = target / Path(path).relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.after(dice))
            place.chmod(0o600)


def _name(names, op, file=None):
    if op.kind == "create":
        names[op.path] = file or _File()
    elif op.kind == "unlink":
        names.pop(op.path, None)
    elif op.path in names:
        names[op.other] = names[op.path] if op.kind == "link" else names.pop(op.path)
