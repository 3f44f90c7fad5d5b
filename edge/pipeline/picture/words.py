"""The words on a labelled picture: what a joint's label says, and the lines of the strip.

Layer: pipeline; pure functions over a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.enums import StrEnum
from edge.errors import NULL_REASONS, REASONS, NullReason
from edge.model import DISCLAIMER, LateralitySource, Status

if TYPE_CHECKING:
    from edge.model import JointScore, LimbResult, Subtotal

SHORT_REASONS: dict[NullReason, str] = {
    NullReason.ABSENT: "joint is absent",
    NullReason.IMPLANT: "metal in the joint",
    NullReason.OUT_OF_FIELD: "outside the film",
    NullReason.OCCLUDED: "metal across it",
    NullReason.COVERED: "bones cover it",
    NullReason.LOW_CONFIDENCE: "not seen",
    NullReason.UNFAMILIAR: "looks unfamiliar",
    NullReason.DOUBTFUL: "grade doubtful",
    NullReason.LOW_RESOLUTION: "too few pixels",
    NullReason.IMMATURE: "growth plates",
    NullReason.NOT_IN_SVH: "not in SvH",
    NullReason.HELD: "film is held",
    NullReason.NO_SCORER: "no scorer",
}
"""Each `NullReason` in the fewest words; `NULL_REASONS` says it at length."""
SIDE_SOURCES = {
    LateralitySource.OPERATOR: "side stated by an operator",
    LateralitySource.DICOM: "side from the DICOM tags",
    LateralitySource.FILENAME: "side from the file name",
    LateralitySource.MARKER: "side from the marker",
    LateralitySource.GEOMETRY: "side from the joints alone",
}
_OF_THE_LIMB = frozenset({NullReason.HELD, NullReason.IMMATURE, NullReason.NO_SCORER})
"""Reasons that concern a limb as a whole: the strip gives them once."""
_ENGINE_DIGITS = 8
_CODES = {str(code): code for code in NullReason}
_MEANINGS = {str(code): text.meaning for code, text in REASONS.items()} | {
    str(code): text for code, text in NULL_REASONS.items()
}


@dataclass(frozen=True)
class Caption:
    """What a picture says of its film beside the result.

    ``file`` stands for the film: its name, or a number where names may tell the patient.
    ``site`` is site, room and device; ``taken`` date and time in words; ``patient`` and ``study``
    are pseudonyms. Empty where not known.
    """

    file: str = ""
    site: str = ""
    taken: str = ""
    patient: str = ""
    study: str = ""


class Emphasis(StrEnum):
    """How a line of the strip is written."""

    HEAD = "head"
    TEXT = "text"
    WARNING = "warning"
    SMALL = "small"


@dataclass(frozen=True)
class Line:
    """A line of the strip; it is wrapped where it is too long."""

    text: str
    emphasis: Emphasis = Emphasis.TEXT


def name_of(joint: JointScore) -> str:
    """Name of a joint, with a question mark where it is not certain."""
    return joint.name or f"{joint.name_candidate}?"


def label_lines(joint: JointScore) -> tuple[str, ...]:
    """Lines of a joint's label: name, grades, and why a grade is missing.

    A joint without any grade is grey, which the legend calls "not graded".
    """
    name = name_of(joint)
    erosion, narrowing = _code(joint.erosion_reason), _code(joint.narrowing_reason)
    if joint.erosion is None and joint.narrowing is None:
        if erosion in _OF_THE_LIMB:
            return (name,)
        return (name, _short(joint.erosion_reason))
    grades = [] if joint.erosion is None else [f"E {joint.erosion}"]
    if joint.narrowing is not None:
        grades.append(f"N {joint.narrowing}")
    lines = [name, "  ".join(grades)]
    if joint.erosion is None:
        lines.append(f"E: {_short(joint.erosion_reason)}")
    if joint.narrowing is None and narrowing is not NullReason.NOT_IN_SVH:
        lines.append(f"N: {_short(joint.narrowing_reason)}")
    return tuple(lines)


def strip_lines(result: LimbResult, caption: Caption) -> list[Line]:
    """Lines below a picture, from what matters most to the notice."""
    lines = [Line(head_of(result), Emphasis.HEAD), *_outcome(result)]
    missing = unscored_words(result)
    # One reason for all joints is the limb's own, which stands above.
    if missing and not (result.status is Status.NOT_GRADED and len(missing) == 1):
        lines.append(Line(f"Not scored: {'; '.join(missing)}", Emphasis.WARNING))
    if result.flags:
        lines.append(Line(f"Flags: {', '.join(_flag_words(result))}"))
    film = (caption.site, caption.taken, caption.file)
    lines += _small(" | ".join(filter(None, film)))
    people = [
        f"{word} {value}"
        for word, value in (("patient", caption.patient), ("study", caption.study))
        if value
    ]
    lines += _small(" | ".join(people))
    lines += _small(_version(result))
    return [*lines, Line(f"{DISCLAIMER.capitalize()}.")]


def short_lines(result: LimbResult) -> list[Line]:
    """Lines below a thumbnail."""
    words = " ".join(filter(None, (result.laterality or "side ?", result.limb)))
    if result.subtotals is None:
        words += f": {result.status.replace('_', ' ')}"
    else:
        erosion, narrowing = result.subtotals.erosion, result.subtotals.narrowing
        words += f"  E {_of_maximum(erosion)}  N {_of_maximum(narrowing)}"
    return [Line(words), Line(DISCLAIMER.capitalize(), Emphasis.SMALL)]


def head_of(result: LimbResult) -> str:
    """``left hand, side from the DICOM tags``."""
    guessed = result.laterality_source is LateralitySource.GEOMETRY
    side = {"L": "Left", "R": "Right"}.get(str(result.laterality))
    if result.status is Status.HELD and guessed:
        # A person is to look and decide: what the joints suggest would decide for them.
        side = None
    limb = str(result.limb or "limb not known")
    head = f"{limb.capitalize()}, side not known" if side is None else f"{side} {limb}"
    if side is not None and result.laterality_source is not None:
        head += f", {SIDE_SOURCES[result.laterality_source]}"
    return head


def unscored_words(result: LimbResult) -> list[str]:
    """Each joint that lacks a grade with its reason; none for a limb that is held as a whole."""
    if result.status in {Status.HELD, Status.REJECTED}:
        return []
    by_reason: dict[str, list[str]] = {}
    for joint in result.joints:
        erosion, narrowing = joint.erosion_reason, joint.narrowing_reason
        if joint.erosion is None and joint.narrowing is None:
            by_reason.setdefault(_long(erosion), []).append(name_of(joint))
            continue
        if joint.erosion is None:
            by_reason.setdefault(_long(erosion), []).append(f"erosion of {name_of(joint)}")
        if joint.narrowing is None and _code(narrowing) is not NullReason.NOT_IN_SVH:
            by_reason.setdefault(_long(narrowing), []).append(f"narrowing of {name_of(joint)}")
    return [f"{', '.join(joints)} ({reason})" for reason, joints in by_reason.items()]


def reason_words(reason: str | None) -> str:
    """Give a limb's reason code its meaning; the code itself where it is not known."""
    return _MEANINGS.get(reason or "", reason or "no reason is known")


def _outcome(result: LimbResult) -> list[Line]:
    if result.subtotals is not None:
        erosion, narrowing = result.subtotals.erosion, result.subtotals.narrowing
        return [Line(f"Erosion {_sum(erosion)}      Narrowing {_sum(narrowing)}")]
    status = result.status.replace("_", " ").capitalize()
    why = reason_words(result.reason)
    lines = [Line(f"{status}: {why}", Emphasis.WARNING)]
    if result.advice and result.advice != why:
        lines.append(Line(f"What to do: {result.advice}"))
    return lines


def _small(text: str) -> list[Line]:
    return [Line(text, Emphasis.SMALL)] if text else []


def _flag_words(result: LimbResult) -> list[str]:
    """Flags of the limb, then those of joints with the joints' names."""
    words = [flag.replace("_", " ") for flag in result.flags]
    by_flag: dict[str, list[str]] = {}
    for joint in result.joints:
        for flag in joint.flags:
            by_flag.setdefault(flag, []).append(name_of(joint))
    for flag, joints in by_flag.items():
        of_all = len(joints) == len(result.joints)
        named = "all joints" if of_all else ", ".join(joints)
        words.append(f"{flag.replace('_', ' ')} ({named})")
    return words


def _version(result: LimbResult) -> str:
    engines = [
        f"{role} {digest[:_ENGINE_DIGITS]}"
        for role, digest in sorted(result.versions.engines.items())
        if result.limb is None or role.startswith(str(result.limb))
    ]
    return " | ".join([f"sharpedge {result.versions.software}", *engines])


def _sum(subtotal: Subtotal) -> str:
    return f"{_of_maximum(subtotal)} ({subtotal.n_scored} of {subtotal.n_expected} joints scored)"


def _of_maximum(subtotal: Subtotal) -> str:
    return f"{'-' if subtotal.score is None else subtotal.score} of {subtotal.maximum}"


def _code(reason: str | None) -> NullReason | None:
    return _CODES.get(reason or "")


def _short(reason: str | None) -> str:
    code = _code(reason)
    return SHORT_REASONS[code] if code is not None else (reason or "no reason is known")


def _long(reason: str | None) -> str:
    code = _code(reason)
    return NULL_REASONS[code] if code is not None else (reason or "no reason is known")
