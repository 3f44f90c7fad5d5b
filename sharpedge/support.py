"""A support bundle: what somebody needs who helps from afar, without secrets or patient data.

Layer: sharpedge; runs the checks and the audit, reads the service's log, writes one file.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edge import __version__, config
from edge.errors import EdgeError
from edge.model import DISCLAIMER
from edge.system.paths import PROJECT
from edge.system.processor import processor_name, usable_cores
from edge.system.terminal import say
from sharpedge.backup import new_file
from sharpedge.doctor.box import box_of
from sharpedge.doctor.examination import examine
from sharpedge.doctor.finding import as_table
from sharpedge.doctor.ledger import open_read_only
from sharpedge.doctor.serving import engines_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config

_LOG_LINES = 5000
_LIMIT_S = 30.0
_FIRST_LINE = f"{DISCLAIMER.capitalize()}."
_MODE = 0o600


def bundle(config_path: Path | None, out: Path) -> int:
    """Write the bundle; returns 0. Raises `OSError` where ``out`` cannot be written."""
    descriptor = new_file(out)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in contents(config_path).items():
                data = text.encode("utf-8", "backslashreplace")
                info = tarfile.TarInfo(f"sharpedge-support/{name}")
                info.size, info.mode, info.mtime = len(data), _MODE, int(time.time())
                tar.addfile(info, io.BytesIO(data))
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    say(
        f"{out}: configuration without secrets, checks, counts, versions, log. It holds no film, "
        f"no file name of a scanner, no pseudonym and no key. {_FIRST_LINE}"
    )
    return 0


def contents(config_path: Path | None) -> dict[str, str]:
    """Name to text of each file of the bundle; what cannot be told says why."""
    loaded: Config | None = None
    try:
        loaded = config.load(config_path)
    except EdgeError as error:
        wrong = str(error)
    hide = (lambda text: text) if loaded is None else Hider(loaded)
    parts: dict[str, Callable[[], str]] = {
        "versions.txt": _versions,
        "machine.txt": _machine,
        "doctor.txt": lambda: as_table(list(examine(config_path))),
        "log.txt": _log,
    }
    if loaded is None:
        parts["configuration.txt"] = lambda: wrong
    else:
        it = loaded
        parts |= {
            "configuration.json": lambda: json.dumps(it.model_dump(mode="json"), indent=1),
            "journal.json": lambda: json.dumps(_journal(it), indent=1),
            "engines.json": lambda: json.dumps(_engines(it), indent=1),
        }
    return {"README.txt": f"Support bundle of {PROJECT} {__version__}. {_FIRST_LINE}\n"} | {
        name: f"{hide(_told(part))}\n" for name, part in parts.items()
    }


def _told(part: Callable[[], str]) -> str:
    try:
        return part()
    except (OSError, EdgeError, subprocess.SubprocessError, ValueError) as error:
        return f"not available: {type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - a bundle of the other parts is still of use
        return f"not available: {type(error).__name__}"


class Hider:
    """Replaces what may name a patient or is secret: files below the drop folder, pseudonyms."""

    def __init__(self, it: Config) -> None:
        watch = re.escape(str(it.folders.watch.absolute()))
        self._below = re.compile(rf"{watch}/[^\n\"]*")
        self._watch = str(it.folders.watch.absolute())

    def __call__(self, text: str) -> str:
        """Give the text without them."""
        shown = self._below.sub(f"{self._watch}/(hidden)", text)
        # Ids, digests and pseudonyms: long runs of letters and digits with at least one digit.
        return re.sub(
            r"\b(?=\w*\d)(?=\w*[a-zA-Z])[0-9a-zA-Z]{20,}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b",
            "(hidden)", shown,
        )  # fmt: skip


def _versions() -> str:
    lines = [f"{PROJECT} {__version__}", f"Python {sys.version}"]
    needed = metadata.requires(PROJECT) or []
    names = sorted({re.split(r"[\s;\[<>=!~]", line)[0] for line in needed})
    lines += [f"{name} {_version_of(name)}" for name in names]
    return "\n".join(lines)


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"


def _machine() -> str:
    return "\n".join((
        f"{platform.system()} {platform.release()} {platform.machine()}",
        f"{processor_name()}, {usable_cores()} usable cores",
        f"memory {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20} MiB",
    ))  # fmt: skip


def _log() -> str:
    done = subprocess.run(
        ["journalctl", "-u", "sharpedge", "-n", str(_LOG_LINES), "--no-pager", "-o", "short-iso"],
        capture_output=True, text=True, check=False, timeout=_LIMIT_S,
    )  # fmt: skip
    # Lines of ours name jobs by number only; a hostname is the site's business.
    return done.stdout or done.stderr or "empty"


def _journal(it: Config) -> dict[str, Any]:
    """Counts alone: no path, no name, no pseudonym."""
    queries = {
        "films_by_state": "SELECT state, COUNT(*) FROM job GROUP BY state",
        "films_by_reason": "SELECT COALESCE(reason, ''), COUNT(*) FROM job GROUP BY reason",
        "messages_by_state": "SELECT kind || ' ' || state, COUNT(*) FROM outbox GROUP BY 1",
        "events_by_kind": "SELECT kind, COUNT(*) FROM event GROUP BY kind",
        "refused_kinds": "SELECT kind, COUNT(*) FROM refusal GROUP BY kind",
    }
    with open_read_only(it.state_folder) as db:
        return {name: dict(map(tuple, db.execute(query))) for name, query in queries.items()}


def _engines(it: Config) -> list[dict[str, Any]]:
    folder = engines_folder(box_of(it, None))
    found = []
    for path in sorted(folder.glob("*.json")):
        body = json.loads(path.read_bytes())
        kept = ("name", "role", "limb", "backend", "build", "acceptance", "latency_ms", "versions",
                "built_at", "now", "engines", "machine")  # fmt: skip
        found.append({"file": path.name} | {key: body[key] for key in kept if key in body})
    return found
