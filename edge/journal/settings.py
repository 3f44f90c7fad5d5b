"""Settings of the section ``[retention]``.

Layer: journal; models only.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RetentionSettings(BaseModel):
    """The section ``[retention]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pictures_days: float = Field(default=30.0, gt=0, description="life of labelled pictures")
    pictures_mib: int = Field(default=4096, ge=1, description="most that they take; oldest go")
    archive_days: float = Field(default=90.0, gt=0, description="life of moved films")
    archive_mib: int = Field(default=16384, ge=1, description="most that they take")
    quarantine_days: float = Field(
        default=90.0,
        gt=0,
        description="life of copies of rejected and released films; one that is needed stays",
    )
    quarantine_mib: int = Field(default=8192, ge=1, description="most that they take")
    journal_days: float = Field(
        default=365.0, gt=0, description="life of the rows of films that ended and left the folder"
    )
    journal_mib: int = Field(default=2048, ge=1, description="above it the oldest such rows go")
    min_free_mib: int = Field(
        default=512, ge=1, description="with less free disk no film is taken until there is more"
    )
    reserve_mib: int = Field(
        default=16, ge=0, description="disk kept back for the journal when all else is full"
    )
