"""Backup and restore of an appliance: journal, key, engines, waiting films, configuration.

Layer: sharpedge; reads and writes the state folder and one tar file.

A backup holds the device key and, in the copies of held films, patient data: it is written with
mode 0600 and belongs where the site keeps such files.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edge import __version__, config
from edge.daemon.state_folder import state_folder
from edge.errors import ConfigError
from edge.journal.recall import read_only
from edge.model import DISCLAIMER
from edge.outputs.whois import FILE as WHOIS
from edge.receive.inbox import FOLDER as INBOX
from edge.receive.inbox import receiver_runs
from edge.receive.instances import FILE as INSTANCES
from edge.system.device_key import NAME as KEY
from edge.system.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "manifest.json"
CONFIGURATION = "configuration.toml"
_JOURNAL = "journal.sqlite"
_FOLDERS = ("engines", "quarantine", "pictures", "drift", "inbox")
"""Folders below the state folder that a backup holds; ``archive`` by option."""
_STEP_PAGES = 2000


def back_up(config_path: Path | None, out: Path, *, archive: bool) -> int:
    """Write a backup of the appliance, which may run meanwhile.

    Raises `ConfigError` where there is nothing to back up or ``out`` exists, and `OSError`.
    """
    it = config.load(config_path)
    root = it.state_folder.absolute()
    if not (root / _JOURNAL).exists():
        raise ConfigError(f"{root}: no appliance has run here; fix: name it with --config")
    descriptor = new_file(out)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            count = _write(tar, root, config_path, archive=archive)
            tar.close()
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    elsewhere = it.worker.engines
    if elsewhere is not None and not elsewhere.absolute().is_relative_to(root):
        say(f"{elsewhere}: worker.engines lies outside the state folder and is not in the backup")
    say(
        f"{out}: {count} files, {out.stat().st_size >> 20} MiB. It holds the device key and "
        f"patients' films: keep it as such. {DISCLAIMER.capitalize()}."
    )
    return 0


def new_file(path: Path) -> int:
    """Open a new file that only its owner may read. Raises `ConfigError` where there is one."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path}: exists already; fix: name another file with --out") from error


def _write(tar: tarfile.TarFile, root: Path, config_path: Path | None, *, archive: bool) -> int:
    digests: dict[str, str] = {}

    def add(name: str, path: Path) -> None:
        # A picture that was delivered meanwhile is gone; the journal then no longer needs it.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            info = tar.gettarinfo(arcname=name, fileobj=file)
            data = file.read(info.size)
            info.size = len(data)
            digests[name] = hashlib.sha256(data).hexdigest()
            tar.addfile(info, io.BytesIO(data))

    # The journal first: whatever it refers to lies in the folders that follow.
    with tempfile.TemporaryDirectory(dir=root, prefix=".backup-") as folder:
        copy = Path(folder) / _JOURNAL
        _copy_sqlite(root / _JOURNAL, copy)
        add(_JOURNAL, copy)
    add(KEY, root / KEY)
    for folder_name in (*_FOLDERS, *(["archive"] if archive else [])):
        for path in sorted((root / folder_name).rglob("*")):
            # Hidden: files that are being written.
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                add(path.relative_to(root).as_posix(), path)
    # After the films: an instance that is known and whose film is not here is held when it comes
    # with other bytes, which is the safe side.
    instances = Path(INBOX, INSTANCES)
    if (root / instances).exists():
        with tempfile.TemporaryDirectory(dir=root, prefix=".backup-") as folder:
            copy = Path(folder) / INSTANCES
            _copy_sqlite(root / instances, copy)
            add(instances.as_posix(), copy)
    if config_path is not None:
        add(CONFIGURATION, config_path)
    manifest = {
        "schema_version": 1, "release": __version__, "written_unix_s": time.time(),
        "sha256": digests, "notice": DISCLAIMER,
    }  # fmt: skip
    data = json.dumps(manifest, indent=1).encode()
    info = tarfile.TarInfo(MANIFEST)
    info.size, info.mode = len(data), 0o600
    tar.addfile(info, io.BytesIO(data))
    return len(digests)


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy an SQLite file as one moment has it, while its process writes."""
    with (
        contextlib.closing(read_only(source)) as original,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy, pages=_STEP_PAGES)
    target.chmod(0o600)


def restore(config_path: Path | None, source: Path, *, replace: bool) -> int:
    """Put a backup into the state folder of a configuration, whole or not at all.

    What is there is set aside as ``STATE.before-restore-N`` and not deleted. Raises `ConfigError`
    where the backup is damaged, appliance or receiver run, or a journal is there and not to be
    replaced.
    """
    with _opened(source) as tar:
        manifest = _manifest(tar, source)
        chosen = config_path
        if chosen is not None and not chosen.exists() and CONFIGURATION in manifest:
            chosen.parent.mkdir(parents=True, exist_ok=True)
            chosen.write_bytes(_read(tar, CONFIGURATION, manifest, source))
            say(f"{chosen}: from the backup")
        root = config.load(chosen).state_folder.absolute()
        if (root / _JOURNAL).exists() and not replace:
            raise ConfigError(
                f"{root}: holds a journal already; fix: --force sets it aside and goes on"
            )
        owner = _owner_of(root)
        fresh = root.with_name(f".{root.name}.restore")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o750)
        try:
            for name in manifest:
                if name != CONFIGURATION:
                    _place(fresh, name, _read(tar, name, manifest, source))
            _give(fresh, owner)
            aside = _swap(root, fresh, chosen)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    told = f"; what was there: {aside}" if aside is not None else ""
    say(
        f"{root}: {len(manifest)} files restored{told}. Start the service, then: sharpedge audit. "
        f"{DISCLAIMER.capitalize()}."
    )
    return 0


def _opened(source: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(source, "r:")
    except tarfile.TarError as error:
        raise ConfigError(f"{source}: is no backup of this program ({error})") from error


def _manifest(tar: tarfile.TarFile, source: Path) -> dict[str, str]:
    """Name to SHA-256, of names that lie below the folder that they are put into."""
    try:
        file = tar.extractfile(MANIFEST)
        body = json.loads(file.read()) if file is not None else {}
        digests = dict(body["sha256"])
    except (KeyError, ValueError, TypeError, tarfile.TarError) as error:
        raise ConfigError(f"{source}: is no backup of this program, or is cut off") from error
    for name in digests:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts:
            raise ConfigError(f"{source}: holds a name outside the state folder: {name}")
    return digests


def _read(tar: tarfile.TarFile, name: str, manifest: dict[str, str], source: Path) -> bytes:
    try:
        file = tar.extractfile(name)
        data = b"" if file is None else file.read()
    except (KeyError, tarfile.TarError):
        file, data = None, b""
    if file is None or hashlib.sha256(data).hexdigest() != manifest[name]:
        raise ConfigError(f"{source}: {name} is damaged or missing; fix: take another backup")
    return data


def _place(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.write_bytes(data)
    path.chmod(0o600 if name == KEY else 0o640)


def _owner_of(root: Path) -> tuple[int, int]:
    """Owner and group that the state folder has, or would get."""
    try:
        found = root.stat()
    except OSError:
        return os.geteuid(), os.getegid()
    return found.st_uid, found.st_gid


def _everything(root: Path) -> Iterator[Path]:
    yield root
    yield from root.rglob("*")


def _give(root: Path, owner: tuple[int, int]) -> None:
    if os.geteuid() == 0:
        for path in _everything(root):
            os.chown(path, *owner, follow_symlinks=False)
    for path in _everything(root):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(root: Path, fresh: Path, config_path: Path | None) -> Path | None:
    """Exchange the contents of the state folder; returns where the former ones lie."""
    # Raises where an appliance runs: its lock lies in this folder.
    with state_folder(config.load(config_path)):
        if receiver_runs(root / INBOX):
            raise ConfigError(
                f"{root / INBOX}: a receiver runs; fix: systemctl stop sharpedge-receive"
            )
        # What pseudonyms stand for has a time limit: it is not put where nothing expires.
        stays = {"lock", WHOIS}
        former = [path for path in root.iterdir() if path.name not in stays]
        aside = None
        if former:
            taken = (root.with_name(f"{root.name}.before-restore-{n}") for n in range(1, 1000))
            aside = next(path for path in taken if not path.exists())
            aside.mkdir(mode=0o700)
            for path in former:
                path.rename(aside / path.name)
        for path in list(fresh.iterdir()):
            path.rename(root / path.name)
    return aside
