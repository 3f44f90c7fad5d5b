"""Writes the outcomes of an archive as Parquet: one row a film, its limbs and joints nested.

Layer: sharpedge; writes one file. pyarrow is imported when it is needed.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, EdgeError
from edge.model import DISCLAIMER, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.model import JointScore, LimbResult, Subtotal
    from sharpedge.archive.manifest import Row

_ROW_GROUP = 2000
_KINDS = ("erosion", "narrowing")
_WORST = (Status.HELD, Status.SCORED, Status.NOT_GRADED, Status.REJECTED)
"""Status of a film with several limbs: the first of these that one of them has."""


def require_pyarrow() -> None:
    """Raise `ConfigError` where the package that writes Parquet is missing."""
    if find_spec("pyarrow") is None:
        raise ConfigError(
            "an archive needs the package pyarrow (fix: pip install 'sharpedge[archive]')"
        )


def write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Write the file whole; returns how many rows it has. Raises `EdgeError`."""
    import pyarrow as pa  # noqa: PLC0415 - only archives need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    schema = _schema(pa)
    part = path.with_name(f"{path.name}.part")
    count, left = 0, iter(rows)
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            while group := [_cells(row) for row in islice(left, _ROW_GROUP)]:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                count += len(group)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise EdgeError(
            f"{path}: cannot be written ({error.strerror or error}); fix: make room, or let it be "
            "written there; the outcomes are kept, and the same command goes on"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _schema(pa: Any) -> Any:
    joint = pa.struct(
        [
            ("name", pa.string()),
            ("name_candidate", pa.string()),
            *((kind, pa.int8()) for kind in _KINDS),
            *((f"{kind}_expected", pa.float32()) for kind in _KINDS),
            *((f"{kind}_reason", pa.string()) for kind in _KINDS),
            ("centre_x", pa.float32()),
            ("centre_y", pa.float32()),
            ("flags", pa.list_(pa.string())),
        ]
    )
    limb = pa.struct(
        [
            ("limb_index", pa.int32()),
            ("limb", pa.string()),
            ("side", pa.string()),
            ("side_source", pa.string()),
            ("view", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            *((f"{kind}_{what}", pa.int32()) for kind in _KINDS
              for what in ("sum", "scored", "expected", "maximum")),
            ("flags", pa.list_(pa.string())),
            ("joints", pa.list_(joint)),
        ]
    )  # fmt: skip
    return pa.schema(
        [
            ("path", pa.string()),
            ("size", pa.int64()),
            ("modified", pa.timestamp("us", tz="UTC")),
            ("sha256", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("study", pa.string()),
            ("machine_ms", pa.float32()),
            ("software", pa.string()),
            ("limbs", pa.list_(limb)),
        ],
        metadata={"notice": DISCLAIMER},
    )


def _cells(row: Row) -> dict[str, object]:
    it = row.scored
    status, reason = _verdict(it.limbs)
    return {
        # Names need not be UTF-8 on disk.
        "path": row.path.decode("utf-8", "backslashreplace"),
        "size": row.size if row.size >= 0 else None,
        "modified": _time(row.mtime_ns),
        "sha256": it.sha256 or None,
        "status": "unreadable" if it.fault is not None else status,
        "reason": reason if it.fault is None else it.fault,
        "study": it.study,
        "machine_ms": it.machine_ms,
        "software": it.limbs[0].versions.software if it.limbs else None,
        "limbs": [_limb(limb) for limb in it.limbs],
    }


def _verdict(limbs: tuple[LimbResult, ...]) -> tuple[str | None, str | None]:
    for status in _WORST:
        found = next((limb for limb in limbs if limb.status is status), None)
        if found is not None:
            return str(status), found.reason
    return None, None


def _time(mtime_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, timezone.utc) if mtime_ns >= 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _limb(limb: LimbResult) -> dict[str, object]:
    sums: dict[str, object] = {}
    for kind in _KINDS:
        subtotal: Subtotal | None = getattr(limb.subtotals, kind, None)
        if subtotal is not None:
            sums |= {
                f"{kind}_sum": subtotal.score,
                f"{kind}_scored": subtotal.n_scored,
                f"{kind}_expected": subtotal.n_expected,
                f"{kind}_maximum": subtotal.maximum,
            }
    return {
        "limb_index": limb.limb_index,
        "limb": _text(limb.limb),
        "side": _text(limb.laterality),
        "side_source": _text(limb.laterality_source),
        "view": str(limb.view),
        "status": str(limb.status),
        "reason": limb.reason,
        **sums,
        "flags": list(limb.flags),
        "joints": [_joint(joint) for joint in limb.joints],
    }


def _joint(joint: JointScore) -> dict[str, object]:
    kept = ("name", "name_candidate", *_KINDS)
    return {
        **{key: getattr(joint, key) for key in kept},
        **{f"{kind}_{what}": getattr(joint, f"{kind}_{what}")
           for kind in _KINDS for what in ("expected", "reason")},
        "centre_x": None if joint.centre is None else joint.centre[0],
        "centre_y": None if joint.centre is None else joint.centre[1],
        "flags": list(joint.flags),
    }  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)
