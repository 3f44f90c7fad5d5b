"""Finds the shipped recipes and weights (read only) and the writable data folder.

``$SHARPEDGE_HOME`` overrides the data folder.

Layer: system; looks at folders.
"""

from __future__ import annotations

import os
import sysconfig
from importlib import metadata
from pathlib import Path

from edge.errors import ConfigError

PROJECT = "sharpedge"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_SHARE = Path("share") / PROJECT / "engines"


def engines_home() -> Path:
    """Folder of the shipped recipes (``*.toml``), ``cfg/`` and ``weights/``.

    A clone's own ``engines/``, else the data of the installed wheel. Raises `ConfigError` naming
    the places looked at.
    """
    looked_at = [_PACKAGE_PARENT / "engines", *_installed()]
    for folder in looked_at:
        if any(folder.glob("*.toml")):
            return folder
    places = ", ".join(str(folder) for folder in looked_at)
    raise ConfigError(f"the engine recipes are missing (looked at {places}); reinstall {PROJECT}")


def data_root() -> Path:
    """Writable folder of this user or service; it need not exist yet.

    ``$SHARPEDGE_HOME``; else systemd's ``$STATE_DIRECTORY``; else ``$XDG_DATA_HOME/sharpedge``;
    else ``~/.local/share/sharpedge``. Raises `ConfigError` where the user has no home.
    """
    for variable in ("SHARPEDGE_HOME", "STATE_DIRECTORY"):
        stated = os.environ.get(variable, "").split(":")[0]
        if stated:
            return _expanded(stated)
    return _expanded(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / PROJECT


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(
            f"{text}: this user has no home folder (uid {os.getuid()}, HOME is not set); "
            "fix: set SHARPEDGE_HOME to a folder that it may write"
        ) from error


def built_engines() -> Path:
    """Folder where built engines are written and looked for.

    In a clone ``engines/built`` (ignored by git), unless ``$SHARPEDGE_HOME`` or a service's state
    folder is set; else ``engines/built`` under `data_root`.
    """
    in_clone = _PACKAGE_PARENT / "engines"
    moved = os.environ.get("SHARPEDGE_HOME") or os.environ.get("STATE_DIRECTORY")
    if not moved and (_PACKAGE_PARENT / "pyproject.toml").is_file() and in_clone.is_dir():
        return in_clone / "built"
    return data_root() / "engines" / "built"


def shared_file(name: str) -> Path:
    """A file that is shipped beside the program, e.g. ``systemd/sharpedge.toml``.

    From a clone, else from the installed wheel. Raises `ConfigError` naming the places looked at.
    """
    looked_at = [_PACKAGE_PARENT / name, *(folder.parent / name for folder in _installed())]
    for path in looked_at:
        if path.is_file():
            return path
    places = ", ".join(str(path) for path in looked_at)
    raise ConfigError(f"{name} is missing (looked at {places}); reinstall {PROJECT}")


def _installed() -> list[Path]:
    folders = [Path(sysconfig.get_path("data")) / _SHARE]
    # `pip install --target` and `--user` put data where sysconfig does not look.
    try:
        files = metadata.files(PROJECT) or []
    except metadata.PackageNotFoundError:
        files = []
    suffix = (*_SHARE.parts, "*.toml")
    folders.extend(
        Path(str(file.locate())).resolve().parent for file in files if file.match("/".join(suffix))
    )
    return list(dict.fromkeys(folders))
