"""Reads the identifiers of a film's patient and study that a site may have sent on.

Layer: imaging; pure functions over a data set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.imaging.tags import value
from edge.model import Identifier, Identifiers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LONGEST = 64
"""Characters of a Patient ID and of a UID (PS3.5); an accession number may have as many here."""
_KEYWORDS = {
    Identifier.ACCESSION_NUMBER: "AccessionNumber",
    Identifier.STUDY_INSTANCE_UID: "StudyInstanceUID",
    Identifier.PATIENT_ID: "PatientID",
}
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def identifiers_of_tags(data: Dataset) -> Identifiers | None:
    """Read the identifiers of a DICOM object; None where it states none. Never raises.

    A value counts as missing where it is longer than `LONGEST` characters, has several parts, or
    holds characters that cannot be printed or decoded: cut or repaired, it would be
    another patient's.
    """
    found = {str(one): _checked(data, one) for one in Identifier}
    return Identifiers(**found) if any(found.values()) else None


def _checked(data: Dataset, one: Identifier) -> str | None:
    stated = value(data, _KEYWORDS[one])
    if not isinstance(stated, str):
        return None
    # Both kinds of padding.
    plain = str(stated).strip(" \0")
    if not 1 <= len(plain) <= LONGEST or not plain.isprintable() or _UNREADABLE in plain:
        return None
    if one is Identifier.STUDY_INSTANCE_UID and _UID.fullmatch(plain) is None:
        return None
    return plain
