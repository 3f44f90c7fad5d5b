"""Reads the stated identity of a film (limb, side, view, age, keys) from tags and file name.

Layer: imaging; pure functions over a data set and a string. The strongest source that is
present decides; a contradiction between sources is reported, never resolved.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from edge.anatomy import Limb, View, limb_of_letter
from edge.imaging.identifiers import identifiers_of_tags
from edge.imaging.subject import LIMB_CODES, other_part
from edge.imaging.tags import items, text
from edge.imaging.words import limb_in, side_in, view_in
from edge.model import Laterality, LateralitySource, StatedIdentity

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
_NAMED = re.compile(
    r"(?:(?P<id>.*?\S)\s*[-_ ]\s*)?(?P<side>[LR])(?P<limb>[HF])", re.IGNORECASE | re.DOTALL
)
_SIDE_CODES = {
    "7771000": Laterality.LEFT,
    "24028007": Laterality.RIGHT,
    "G-A101": Laterality.LEFT,
    "G-A100": Laterality.RIGHT,
}
"""SNOMED CT and SRT codes; no code of one scheme is another's."""
_VIEW_POSITIONS = {
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "ML": View.LATERAL,
    "LM": View.LATERAL,
    "LLD": View.LATERAL,
    "RLD": View.LATERAL,
    "LLO": View.OBLIQUE,
    "RLO": View.OBLIQUE,
    "LAO": View.OBLIQUE,
    "RAO": View.OBLIQUE,
    "LPO": View.OBLIQUE,
    "RPO": View.OBLIQUE,
}
_DESCRIPTIONS = (
    "SeriesDescription",
    "AcquisitionDeviceProcessingDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "StudyDescription",
    "RequestedProcedureDescription",
    "ImageComments",
)
_GLUED_PARTS = {
    "LHAND": (Limb.HAND, Laterality.LEFT),
    "RHAND": (Limb.HAND, Laterality.RIGHT),
    "LFOOT": (Limb.FOOT, Laterality.LEFT),
    "RFOOT": (Limb.FOOT, Laterality.RIGHT),
}
_DAYS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_OLDEST_YEARS = 130


@dataclass(frozen=True)
class _Stated:
    """One source's word on side and limb."""

    source: str
    side: Laterality | None = None
    limb: Limb | None = None


@dataclass(frozen=True)
class NamedFilm:
    """What a file name of the form ``ID-LH`` states."""

    id: str | None
    side: Laterality
    limb: Limb


def identity_of_name(file_name: str) -> NamedFilm | None:
    """Read ``ID-LH``, ``ID_RH``, ``ID LF`` and the like; None for any other name."""
    base = re.split(r"[/\\]", file_name)[-1]
    found = _NAMED.fullmatch(_SUFFIX.sub("", base).strip())
    if found is None:
        return None
    name = (found["id"] or "").strip(" -_")
    # Names come in two Unicode forms and may hold bytes that are no text: keys must be plain text.
    plain = unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode()
    return NamedFilm(
        id=plain or None,
        side=Laterality(found["side"].upper()),
        limb=limb_of_letter(found["limb"].upper()),
    )


def with_name(stated: StatedIdentity, file_name: str) -> StatedIdentity:
    """Add what the file name states to what metadata state, and note where the two differ."""
    named = identity_of_name(file_name)
    if named is None:
        return stated
    conflict = stated.conflict
    if conflict is None and (
        stated.laterality not in {None, named.side} or stated.limb not in {None, named.limb}
    ):
        tags = _words(stated.laterality, stated.limb)
        name = _words(named.side, named.limb)
        conflict = f"{LateralitySource.DICOM} {tags}, {LateralitySource.FILENAME} {name}"
    added = replace(
        stated,
        conflict=conflict,
        study_key=stated.study_key or named.id,
        patient_key=stated.patient_key or named.id,
    )
    if stated.limb is None:
        added = replace(added, limb=named.limb, limb_source=LateralitySource.FILENAME)
    if stated.laterality is None:
        added = replace(added, laterality=named.side, laterality_source=LateralitySource.FILENAME)
    return added


def identity_of_tags(data: Dataset) -> StatedIdentity:
    """Read the stated identity of a DICOM object, strongest tag first; never raises."""
    found = _all_stated(data)
    side = next((s.side for s in found if s.side is not None), None)
    limb = next((s.limb for s in found if s.limb is not None), None)
    source = LateralitySource.DICOM
    patient = text(data, "PatientID") or None
    return StatedIdentity(
        limb=limb,
        limb_source=source if limb else None,
        laterality=side,
        laterality_source=source if side else None,
        view=_view(data, limb),
        age_years=_age_years(data),
        conflict=_conflict(found),
        study_key=_study_key(data, patient),
        patient_key=patient,
        other_part=other_part(data, limb),
        burned_in_annotation=text(data, "BurnedInAnnotation").upper() == "YES",
        taken=_day_and_time(data),
        identifiers=identifiers_of_tags(data),
    )


def _all_stated(data: Dataset) -> list[_Stated]:
    shared = items(data, "SharedFunctionalGroupsSequence") + items(
        data, "PerFrameFunctionalGroupsSequence"
    )
    frames = [data, *(a for s in shared for a in items(s, "FrameAnatomySequence"))]
    regions = [r for frame in frames for r in items(frame, "AnatomicRegionSequence")]
    found = [
        _Stated("ImageLaterality", _letter(text(data, "ImageLaterality"))),
        _Stated("Laterality", _letter(text(data, "Laterality"))),
        *(_Stated("FrameLaterality", _letter(text(f, "FrameLaterality"))) for f in frames),
    ]
    for region in regions:
        meaning = text(region, "CodeMeaning")
        modifiers = items(region, "AnatomicRegionModifierSequence")
        sides = [_SIDE_CODES.get(_code(m)) or side_in(text(m, "CodeMeaning")) for m in modifiers]
        side = next((s for s in sides if s is not None), None) or side_in(meaning)
        limb = LIMB_CODES.get(_code(region)) or limb_in(meaning)
        found.append(_Stated("AnatomicRegionSequence", side, limb))
    part = text(data, "BodyPartExamined")
    glued = _GLUED_PARTS.get(re.sub(r"[^A-Z]", "", part.upper()))
    limb, side = glued or (limb_in(part), side_in(part))
    found.append(_Stated("BodyPartExamined", side, limb))
    found.append(_Stated("ViewPosition", side_in(text(data, "ViewPosition"))))
    found += [
        _Stated(keyword, side_in(words), limb_in(words))
        for keyword in _DESCRIPTIONS
        if (words := text(data, keyword))
    ]
    return found


def _letter(value: str) -> Laterality | None:
    word = value.strip().upper()
    if word in {"L", "R"}:
        return Laterality(word)
    return side_in(value)


def _code(item: Dataset) -> str:
    return text(item, "CodeValue").upper()


def _conflict(found: list[_Stated]) -> str | None:
    first = next((s for s in found if s.side is not None), None)
    if first is None:
        return None
    other = next((s for s in found if s.side not in {None, first.side}), None)
    if other is None:
        return None
    return f"{first.source} {first.side}, {other.source} {other.side}"


def _words(side: Laterality | None, limb: Limb | None) -> str:
    return " ".join(str(it) for it in (side, limb) if it is not None)


def _view(data: Dataset, limb: Limb | None) -> View:
    position = text(data, "ViewPosition")
    view = _VIEW_POSITIONS.get(position.upper(), view_in(position, limb))
    if view is not View.UNKNOWN:
        return view
    for code in items(data, "ViewCodeSequence"):
        view = view_in(text(code, "CodeMeaning"), limb)
        if view is not View.UNKNOWN:
            return view
    return next(
        (v for key in _DESCRIPTIONS if (v := view_in(text(data, key), limb)) is not View.UNKNOWN),
        View.UNKNOWN,
    )


def _age_years(data: Dataset) -> float | None:
    found = re.fullmatch(r"0*(\d{1,3})([DWMY]?)", text(data, "PatientAge").upper())
    if found is not None:
        years = int(found[1]) * _DAYS[found[2] or "Y"]
        # Consoles write 000Y for an age nobody typed in.
        if 0 < years <= _OLDEST_YEARS:
            return years
    born, taken = _date(text(data, "PatientBirthDate")), _taken(data)
    if born is None or taken is None:
        return None
    years = (taken - born).days / 365.25
    return years if 0 <= years <= _OLDEST_YEARS else None


def _taken(data: Dataset) -> date | None:
    found = _taken_by(data)
    return None if found is None else found[0]


def _taken_by(data: Dataset) -> tuple[date, str] | None:
    """Day of the exposure and what it is the day of: ``Acquisition``, ``Study`` and the like."""
    for what in ("Acquisition", "Content", "Series", "Study"):
        day = _date(text(data, f"{what}Date"))
        if day is not None:
            return day, what
    return None


def _day_and_time(data: Dataset) -> str | None:
    found = _taken_by(data)
    if found is None:
        return None
    day, what = found
    at = re.match(r"([01]\d|2[0-3]):?([0-5]\d)", text(data, f"{what}Time"))
    return f"{day:%Y-%m-%d} {at[1]}:{at[2]}" if at else f"{day:%Y-%m-%d}"


def _date(value: str) -> date | None:
    found = re.match(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", value)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def _study_key(data: Dataset, patient: str | None) -> str | None:
    study = text(data, "StudyInstanceUID")
    if study:
        return study
    day = _date(text(data, "StudyDate")) or _taken(data)
    return f"{patient}/{day:%Y%m%d}" if patient and day else None
