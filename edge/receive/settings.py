"""Settings of the section ``[dicom]``.

Layer: receive; models only.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_LONGEST_TITLE = 16


class DicomSettings(BaseModel):
    """The section ``[dicom]``: films by C-STORE (extra ``dicom``, command ``receive``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port; 0: no receiver; 104 and 11112 are usual"
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="address to listen on; that of the modalities' network, or 0.0.0.0 for all",
    )
    ae_title: str = Field(default="SHARPEDGE", description="our AE title; peers must call it")
    callers: tuple[str, ...] = Field(
        default=(), description="AE titles that may send; must be given where a port is"
    )
    associations: int = Field(
        default=8, ge=1, le=64, description="at the same time; more are rejected for the moment"
    )
    films_per_minute: int = Field(
        default=120, ge=1, description="of all peers together; more are refused for the moment"
    )
    largest_mib: int = Field(
        default=64,
        ge=1,
        description="the association of a longer object is aborted; limits.max_file_mib counts too",
    )
    min_free_mib: int = Field(
        default=1024, ge=0, description="with less free disk films are refused for the moment"
    )
    network_s: float = Field(
        default=30.0, gt=0, description="a peer that is silent, or sends a PDU for longer, is cut"
    )
    object_s: float = Field(default=300.0, gt=0, description="limit for one whole object")
    certificate_file: Path | None = Field(default=None, description="PEM; turns TLS on")
    key_file: Path | None = Field(default=None, description="the certificate's private key")
    ca_file: Path | None = Field(
        default=None, description="peers must show a certificate of this authority"
    )

    @field_validator("ae_title")
    @classmethod
    def _title(cls, value: str) -> str:
        return ae_title(value)

    @field_validator("callers")
    @classmethod
    def _titles(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(ae_title, values))

    @model_validator(mode="after")
    def _whole(self) -> DicomSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.ca_file is not None and self.certificate_file is None:
            raise ValueError("ca_file needs certificate_file and key_file")
        if self.port and not self.callers:
            raise ValueError("callers: name the AE titles that may send")
        return self


def ae_title(title: str) -> str:
    """Give an AE title without its padding. Raises `ValueError`."""
    bare = title.strip(" ")
    plain = bare.isascii() and bare.isprintable() and "\\" not in bare
    if not 1 <= len(bare) <= _LONGEST_TITLE or not plain:
        message = f"an AE title has 1 to {_LONGEST_TITLE} ASCII characters and no backslash"
        raise ValueError(message)
    return bare
