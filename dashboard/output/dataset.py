"""Grades that readers stated, as a data set: ``truth.jsonl``, one limb a line.

Layer: dashboard; reads the store, and films of a folder where they are asked for.

A joint on which no reader stated a grade is left out: the machine's own grade is no truth.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dashboard.errors import DashboardError
from dashboard.store import films
from edge.contract.payloads import ResultMessage
from edge.contract.vocabulary import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from dashboard.store.database import Database

TRUTH_NAME = "truth.jsonl"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,6}")


def lines_of(connection: Connection) -> list[str]:
    """Lines of ``truth.jsonl``, each of a film on which a reader stated grades."""
    found = []
    for row in films.corrected_films(connection):
        if row.kind == "result":
            message = ResultMessage.model_validate_json(row.payload)
            line = _line(message, films.corrections_of(connection, row.pk))
            found.append(json.dumps(line) + "\n")
    return found


def write_dataset(database: Database, films_folder: Path, out: Path) -> tuple[int, int]:
    """Write ``truth.jsonl`` and copies of its films, which are found by their SHA-256.

    Films that are not in ``films_folder`` are left out. Returns how many were found, and how many
    there are.

    Raises
    ------
    DashboardError
        Where a folder cannot be used, or ``out`` is not empty.
    """
    with database.reading() as connection:
        lines = [json.loads(line) for line in lines_of(connection)]
    wanted = {line["film_sha256"]: line["file"] for line in lines}
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise DashboardError(f"{out}: is not empty; fix: name another folder")
        there = set()
        for path in sorted(films_folder.rglob("*")):
            digest = _digest(path) if path.is_file() else ""
            if digest in wanted and digest not in there:
                shutil.copyfile(path, out / wanted[digest])
                there.add(digest)
        kept = [line for line in lines if line["film_sha256"] in there]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        (out / TRUTH_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DashboardError(
            f"{error.filename or out}: cannot be used ({error.strerror}); fix: its rights"
        ) from error
    return len(kept), len(lines)


def _line(message: ResultMessage, stated: Sequence[Any]) -> dict[str, Any]:
    readers = {one.joint: one for one in stated}
    joints = [
        {
            "name": joint.name, "box": joint.box, "centre": joint.centre,
            "erosion": readers[joint.name].erosion, "narrowing": readers[joint.name].narrowing,
            "reader": readers[joint.name].person, "machine_erosion": joint.erosion,
            "machine_narrowing": joint.narrowing,
        }
        for joint in message.joints
        if joint.name in readers
    ]  # fmt: skip
    suffix = PurePosixPath(message.file).suffix.lower()
    suffix = suffix if _SUFFIX.fullmatch(suffix) else ""
    return {
        "file": f"{message.film_sha256[:32]}{suffix}",
        "film_sha256": message.film_sha256, "result": message.id, "limb": message.limb,
        "laterality": message.laterality, "patient": message.patient or message.study,
        "status": "scored", "joints": joints, "notice": DISCLAIMER,
    }  # fmt: skip


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
