"""Stores a site's thresholds in the passports of a limb's scorers, and takes them away again.

Layer: engine; reads and writes passports in one folder, signed under the device's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.engine.installed import scan
from edge.engine.key import device_key
from edge.engine.passport import FIX, Role, open_engine, signed
from edge.errors import EngineError
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.anatomy import Limb
    from edge.engine.passport import SiteThreshold


def store_site_calibration(
    folder: Path,
    limb: Limb,
    calibration: Mapping[str, SiteThreshold] | None,
    key: bytes | None = None,
) -> list[str]:
    """Write ``calibration`` into the passport of each scorer of a limb; ``None`` takes it away.

    Every back end's engine of the limb gets the same. Returns their names; a running appliance
    reads them at its next start. Raises `EngineError` where there is no scorer of the limb or one
    is not this device's own.
    """
    secret = device_key() if key is None else key
    paths = [
        item.path
        for item in scan(folder)
        if item.passport is not None
        and item.passport.role is Role.SCORE
        and item.passport.limb is limb
    ]
    if not paths:
        raise EngineError(f"{folder}: no scorer of a {limb}", engine=f"{limb}-score", fix=FIX)
    changed = []
    for path in paths:
        passport = open_engine(path, secret).passport
        stored = passport.model_copy(
            update={"site_calibration": None if calibration is None else dict(calibration)}
        )
        text = signed(stored, secret).model_dump_json(indent=1) + "\n"
        write_whole(path, text.encode(), durable=True)
        changed.append(path.stem)
    return changed
