"""The folders that the appliance keeps beside its journal.

Layer: journal; creates the folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The appliance's own folders, below the state folder."""

    pictures: Path
    quarantine: Path
    archive: Path

    @classmethod
    def below(cls, root: Path) -> Places:
        """Folders below the state folder ``root``."""
        return cls(root / "pictures", root / "quarantine", root / "archive")

    def make(self) -> None:
        """Create the folders that are missing."""
        for folder in (self.pictures, self.quarantine, self.archive):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
