"""The installed appliance that is checked.

Layer: sharpedge; reads the owner of the state folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharpedge.doctor.account import Account, account

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Config


@dataclass(frozen=True)
class Box:
    """A configuration, the file that it came from, and the service's account."""

    config: Config
    config_path: Path | None
    service: Account

    @property
    def state(self) -> Path:
        """The state folder, as an absolute path."""
        return self.config.state_folder.absolute()


def box_of(config: Config, config_path: Path | None) -> Box:
    """Take the owner of the state folder as the service's account; without one, this user."""
    try:
        uid = config.state_folder.stat().st_uid
    except OSError:
        uid = os.geteuid()
    return Box(config, config_path, account(uid))
