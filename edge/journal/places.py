"""The folders that the appliance keeps beside its journal.

Layer: journal; creates the folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.receive.inbox import FOLDER as INBOX

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The appliance's own folders, below the state folder."""

    pictures: Path
    quarantine: Path
    archive: Path
    inbox: Path
    """Films that the DICOM receiver has acknowledged, until their end state."""
    pacs: Path
    """Documents for the PACS, with patient data; removed once the PACS has committed to them."""

    @classmethod
    def below(cls, root: Path) -> Places:
        """Folders below the state folder ``root``."""
        return cls(
            root / "pictures", root / "quarantine", root / "archive", root / INBOX, root / "pacs"
        )

    def folder_of(self, path: bytes, drop: Path) -> Path:
        """Give the folder of films in which a path lies: the inbox, or else ``drop``."""
        inbox = self.inbox.absolute()
        return inbox if path.startswith(os.fsencode(inbox) + b"/") else drop

    def make(self) -> None:
        """Create the folders that are missing."""
        for folder in (self.pictures, self.quarantine, self.archive, self.inbox):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.pacs.mkdir(parents=True, exist_ok=True, mode=0o700)
