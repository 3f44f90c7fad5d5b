"""The device's key, under which passports are signed.

Layer: engine; the file is that of `edge.system.device_key`; its errors become `EngineError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import ConfigError, EngineError
from edge.system import device_key as shared
from edge.system.paths import data_root

if TYPE_CHECKING:
    from pathlib import Path


def device_key(path: Path | None = None) -> bytes:
    """Return the 32 bytes of the key, made where there is none.

    ``path`` is ``device.key`` in `edge.system.paths.data_root` unless stated. Raises `EngineError`
    where it cannot be read or made, is damaged, or may be read by others.
    """
    folder = data_root() if path is None else path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shared.device_key(folder)
    except (ConfigError, OSError) as error:
        raise EngineError(
            str(error),
            engine="any",
            fix="run this as the user who built the engines; or remove the key, then: "
            "sharpedge export",
        ) from error
