"""Settings of the section ``[pacs]``.

Layer: delivery; models only.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.enums import StrEnum
from edge.model import SrClass
from edge.receive.settings import ae_title


class Transport(StrEnum):
    """How documents are sent to a PACS."""

    DICOM = "dicom"
    STOW = "stow"


class DocumentKind(StrEnum):
    """A document of a limb."""

    SR = "sr"
    PICTURE = "picture"


class PacsSettings(BaseModel):
    """The section ``[pacs]``: results as DICOM objects (extra ``dicom``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(default=False, description="send documents of each result to a PACS")
    transport: Transport = Field(
        default=Transport.DICOM, description="dicom: C-STORE to `host`; stow: STOW-RS to `url`"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="name or address of the PACS")
    port: int = Field(
        default=104, ge=1, le=65535, description="its TCP port; 11112 and 2762 (TLS) are usual too"
    )
    called_ae_title: str = Field(default="PACS", description="AE title of the PACS")
    calling_ae_title: str = Field(
        default="SHARPEDGE", description="our AE title, as the PACS knows it"
    )
    ca_file: Path | None = Field(
        default=None,
        description="certificate of the authority that signed the PACS's; turns TLS on for "
        "`dicom`; default for `stow`: the system's authorities",
    )
    certificate_file: Path | None = Field(
        default=None, description="our own certificate, where the PACS asks for one"
    )
    key_file: Path | None = Field(default=None, description="the certificate's private key")
    documents: tuple[DocumentKind, ...] = Field(
        default=(DocumentKind.SR, DocumentKind.PICTURE),
        min_length=1,
        description="sr: the structured report; picture: the labelled picture, as a Secondary "
        "Capture; it shows the film unmasked",
    )
    sr_class: SrClass = Field(
        default=SrClass.COMPREHENSIVE_3D,
        description="3d: Comprehensive 3D SR; 2d: Comprehensive SR, for older archives",
    )
    commitment: bool = Field(
        default=True,
        description="a document is delivered when the PACS has committed to its storage; false: "
        "when it has answered the C-STORE, which is weaker. Without effect for `stow`",
    )
    commitment_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="port for reports that the PACS sends on an association of its own; 0: only "
        "reports on our association count",
    )
    commitment_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="address of that port; the box's own in the PACS's network, or 0.0.0.0",
    )
    connect_s: float = Field(
        default=5.0,
        gt=0,
        description="limit for the lookup of the name, TCP, TLS and the association each",
    )
    answer_s: float = Field(
        default=30.0, gt=0, description="limit for each answer, and for the sending of one document"
    )
    commitment_s: float = Field(
        default=120.0,
        gt=0,
        description="without a report after so long the commitment is asked for again; after the "
        "third time the document is stored again",
    )
    retry_s: float = Field(
        default=2.0, gt=0, description="pause after a failure; twice as long after each further one"
    )
    longest_retry_s: float = Field(default=120.0, gt=0, description="longest such pause")
    url: str | None = Field(
        default=None,
        description="DICOMweb service root for `stow`, e.g. https://pacs.example/dicom-web",
    )
    username: str | None = Field(default=None, description="user at that service (HTTP Basic)")
    password_file: Path | None = Field(default=None, description="its first line is the password")

    @field_validator("called_ae_title", "calling_ae_title")
    @classmethod
    def _title(cls, value: str) -> str:
        return ae_title(value)

    @field_validator("documents")
    @classmethod
    def _once(cls, values: tuple[DocumentKind, ...]) -> tuple[DocumentKind, ...]:
        return tuple(dict.fromkeys(values))

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no password: set username and password_file")
        if parts.query or parts.fragment:
            raise ValueError("is the root of a service: without ? and #")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _whole(self) -> PacsSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.transport is Transport.DICOM and self.certificate_file and self.ca_file is None:
            raise ValueError("certificate_file needs ca_file")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs username")
        if self.enabled and self.transport is Transport.STOW and self.url is None:
            raise ValueError('transport = "stow" needs url')
        if self.longest_retry_s < self.retry_s:
            raise ValueError("longest_retry_s must not be shorter than retry_s")
        return self

    @property
    def place(self) -> str:
        """Where documents go, for texts: ``host:port`` or the URL."""
        if self.transport is Transport.STOW:
            return str(self.url)
        return f"{self.called_ae_title} at {self.host}:{self.port}"

    def wants(self, kind: DocumentKind) -> bool:
        """Whether a kind of document is sent."""
        return self.enabled and kind in self.documents
