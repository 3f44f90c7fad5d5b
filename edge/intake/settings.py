"""What a site may set: the section ``[folders]``.

Layer: intake; models only.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge.enums import StrEnum
from edge.intake.watch import WatchMode
from edge.model import After


class AtFirstStart(StrEnum):
    """What becomes of the films that lie in the folder at the first start."""

    SCORE = "score"
    SKIP = "skip"


IGNORED = (
    ".*", "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload",
    "Thumbs.db", "desktop.ini",
)  # fmt: skip


class FolderSettings(BaseModel):
    """The section ``[folders]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    watch: Path = Field(description="the drop folder, with the folders inside it")
    state: Path | None = Field(
        default=None,
        description="journal, key, pictures, quarantine and archive; a local disk; "
        "default: the data folder of this user or service",
    )
    mode: WatchMode = Field(
        default=WatchMode.AUTO, description="auto: events on local disks, listing on shares"
    )
    rescan_s: float = Field(default=30.0, gt=0, description="listing, the net under the events")
    ignore: tuple[str, ...] = Field(
        default=IGNORED, description="names that copying programs use while they write"
    )
    after: After = Field(
        default=After.LEAVE, description="the scanner's own file once it has reached its end"
    )
    at_first_start: AtFirstStart = Field(
        default=AtFirstStart.SCORE,
        description="what lies in the folder at the very first start: score it, or skip it and "
        "take only what comes from then on",
    )
    closed_s: float = Field(
        default=1.0, gt=0, description="closed file without a recognised end: taken after"
    )
    incomplete_s: float = Field(
        default=60.0,
        gt=0,
        description="file whose own structure says that bytes are missing: rejected after so long "
        "without a change",
    )
    unwatched_s: float = Field(default=30.0, gt=0, description="the same without events")
    abandoned_s: float = Field(default=600.0, gt=0, description="the same, never seen closed")

    @field_validator("watch", "state", mode="before")
    @classmethod
    def _stated(cls, value: object) -> object:
        if value == "":
            # As a path it would be the working folder of the service.
            message = "must not be empty: name a folder"
            raise ValueError(message)
        return value
