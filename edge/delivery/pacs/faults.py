"""What a failed way to the PACS means for a person: place, cause, fix.

Layer: delivery; text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.pacs.carrier import Failure
from edge.delivery.pacs.settings import Transport

if TYPE_CHECKING:
    from edge.delivery.pacs.carrier import PacsError
    from edge.delivery.pacs.settings import PacsSettings

_DICOM_FIXES = {
    Failure.UNREACHABLE: "start the PACS, correct pacs.host and pacs.port, or allow its address "
    "in a drop-in of the service (IPAddressAllow=)",
    Failure.UNRESOLVED: "correct pacs.host, or name the address there; /etc/resolv.conf names the "
    "name servers",
    Failure.REJECTED: "let the PACS accept pacs.calling_ae_title from this box, or correct "
    "pacs.called_ae_title",
    Failure.BUSY: "free the PACS's disk, or read its log",
    Failure.ENDED: "read the PACS's log; a port that expects TLS needs pacs.ca_file",
    Failure.SILENT: "look whether the PACS is busy, or another program listens on this port",
    Failure.SECRETS: "correct the file; it is read again at the next attempt",
    Failure.NOT_OFFERED: "let the PACS accept the classes of pacs.documents and pacs.sr_class",
}
_STOW_FIXES = {
    Failure.UNREACHABLE: "start the service, correct pacs.url, or allow its address in a drop-in "
    "of the service (IPAddressAllow=)",
    Failure.UNRESOLVED: "correct pacs.url, or name the address there; /etc/resolv.conf names the "
    "name servers",
    Failure.REJECTED: "correct pacs.url, or set pacs.username and pacs.password_file as the "
    "service knows them",
    Failure.BUSY: "free the service's disk, or read its log",
}


def pacs_fault(settings: PacsSettings, error: PacsError) -> str:
    """Say where the PACS was looked for, why it takes nothing, and what to do."""
    fix = _DICOM_FIXES[error.failure]
    if settings.transport is Transport.STOW:
        fix = _STOW_FIXES.get(error.failure, "read the service's log")
    return f"{settings.place}: {error.failure}: {error.detail}; documents wait; fix: {fix}"


def hang_fault(settings: PacsSettings, step: str, limit_s: float) -> str:
    """Say that a step has lasted longer than every deadline, where, and what to do."""
    return (
        f"{settings.place}: delivery hangs: {step}: no end for more than {limit_s:g} s; documents "
        "wait; fix: look whether PACS, network and state disk answer; where this stays, restart "
        "the service: systemctl restart sharpedge"
    )


def commitment_fault(settings: PacsSettings, error: PacsError) -> str:
    """Say why documents that were stored are not committed to, and what to do."""
    if error.failure is Failure.NOT_OFFERED:
        fix = "switch storage commitment on there, or set pacs.commitment = false"
    elif settings.commitment_port:
        fix = (
            f"let the PACS know {settings.calling_ae_title} at this box, port "
            f"{settings.commitment_port}, as the place for its reports"
        )
    else:
        fix = "set pacs.commitment_port, if the PACS reports on an association of its own"
    return f"{settings.place}: {error.detail}; documents stay on the box; fix: {fix}"
