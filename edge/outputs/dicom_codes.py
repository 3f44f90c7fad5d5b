"""The codes of DICOM and FHIR documents: standard ones, and a private scheme for what has none.

Layer: outputs; one table, from which ``docs/dicom_codes.md`` is made.

PS3.16 has no code for the joints of fingers and toes one by one, for erosion, narrowing and the
Sharp/van der Heijde grades, nor for the reasons why a grade is missing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.anatomy import Limb
from edge.contract.ids import RESULT_NAMESPACE
from edge.errors import NULL_REASONS, REASONS, SPACE_REASONS, NullReason, Reason, SpaceReason
from edge.imaging.voi import ShownBy
from edge.model import Laterality, PixelSource, SpacePart, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME: Final = "99SHARPEDGE"
SCHEME_NAME: Final = "Codes of sharpedge, research use only"
SCHEME_VERSION: Final = "1"
SCHEME_UID: Final = f"2.25.{uuid.uuid5(RESULT_NAMESPACE, SCHEME).int}"
LONGEST_VALUE = 16
LONGEST_MEANING = 64


@dataclass(frozen=True)
class Code:
    """A coded concept.

    Raises `ValueError` where value or meaning are longer than DICOM's SH and LO allow.
    """

    value: str
    meaning: str
    scheme: str = SCHEME

    def __post_init__(self) -> None:
        if not 0 < len(self.value) <= LONGEST_VALUE:
            raise ValueError(f"code value {self.value!r} has not 1 to {LONGEST_VALUE} characters")
        if not 0 < len(self.meaning) <= LONGEST_MEANING:
            raise ValueError(f"meaning of {self.value} has not 1 to {LONGEST_MEANING} characters")


@dataclass(frozen=True)
class TaskCodes:
    """Codes of one task, erosion or narrowing."""

    grade: Code
    expected: Code
    why_missing: Code
    total: Code
    joints_scored: Code
    joints_expected: Code
    maximum: Code
    attainable: Code


def _task(word: str, letter: str) -> TaskCodes:
    name = word.capitalize()
    return TaskCodes(
        grade=Code(f"{letter}_GRADE", f"{name} grade (Sharp/van der Heijde)"),
        expected=Code(f"{letter}_EXPECTED", f"Expected value of the {word} grade"),
        why_missing=Code(f"{letter}_MISSING", f"Why there is no {word} grade"),
        total=Code(f"{letter}_SUM", f"{name} sum of the limb's joints that have a grade"),
        joints_scored=Code(f"{letter}_N_SCORED", f"Number of joints with {word} grade"),
        joints_expected=Code(
            f"{letter}_N_EXPECTED", f"Number of joints that {word} is defined for"
        ),
        maximum=Code(f"{letter}_MAXIMUM", f"Highest {word} sum with every joint graded"),
        attainable=Code(f"{letter}_ATTAINABLE", f"Highest {word} sum of the joints with a grade"),
    )


TASKS = {"erosion": _task("erosion", "ERO"), "narrowing": _task("narrowing", "NAR")}
"""Codes by field name of `edge.model.JointScore`."""

SPACES = {
    "mean": Code("JSW_MEAN", "Mean joint space width"),
    "minimum": Code("JSW_MINIMUM", "Minimum joint space width"),
    "medial": Code("JSW_MEDIAL", "Mean joint space width, medial third"),
    "lateral": Code("JSW_LATERAL", "Mean joint space width, lateral third"),
}
"""Codes of a joint space's widths, by the stem of their names in `edge.model.JointSpace`."""
SPACE_PART = Code("JSW_PART", "Part of the joint line that was measured")
SPACE_PARTS = {
    SpacePart.MIDDLE: Code("JSW_MIDDLE", "Middle half of the bone's width"),
    SpacePart.MARGIN: Code("JSW_MARGIN", "Beside the middle, which has no edges"),
}
SPACE_MISSING = Code("JSW_MISSING", "Why there is no joint space width")
SPACE_REASON_CODES = {
    SpaceReason.LOW_RESOLUTION: Code("S_FEW_PIXELS", "Pixels too coarse for edges"),
    SpaceReason.HIDDEN: Code("S_HIDDEN", "Metal in the joint or across it"),
    SpaceReason.OVERLAPPING: Code("S_OVERLAPPING", "The bones lie over each other"),
    SpaceReason.FUSED: Code("S_FUSED", "No space: the bone runs on"),
    SpaceReason.BLURRED: Code("S_BLURRED", "Edges too soft to be read"),
    SpaceReason.INTERRUPTED: Code("S_INTERRUPTED", "Edges on too short a part, or an erosion's"),
    SpaceReason.UNEVEN: Code("S_UNEVEN", "Width changes too much along the joint"),
}

JOINT_SCORE = Code("JOINT_SCORE", "Joint with Sharp/van der Heijde grades")
LIMB_SCORE = Code("LIMB_SCORE", "Limb with Sharp/van der Heijde sums")
NAME_CANDIDATE = Code("NAME_CANDIDATE", "Name of the joint, not certain")
LIMB_STATUS = Code("LIMB_STATUS", "How the limb ended")
LIMB_REASON = Code("LIMB_REASON", "Why the limb was not scored")
INTENDED_USE = Code("INTENDED_USE", "What the result may be used for")
PIXEL_SIZE_STATE = Code("PIXEL_SIZE_STATE", "Calibration of the pixel spacing")
GREY_BY = Code("GREY_BY", "What decided the grey values that the model saw")
GREY_LOW = Code("GREY_LOW", "Value at the lower end of the grey scale seen")
GREY_HIGH = Code("GREY_HIGH", "Value at the upper end of the grey scale seen")

STATUSES = {
    Status.SCORED: Code("SCORED", "Scored"),
    Status.NOT_GRADED: Code("NOT_GRADED", "Joints found, none graded"),
    Status.HELD: Code("HELD", "Held: a person must decide"),
    Status.REJECTED: Code("REJECTED", "Rejected"),
}
CALIBRATED = Code("PX_CALIBRATED", "Pixel Spacing, calibrated")
AT_DETECTOR = Code("PX_AT_DETECTOR", "At the detector, magnification not known")
MAGNIFICATION_CORRECTED = Code("PX_MAGN_CORR", "At the detector, divided by the magnification")
NOT_CALIBRATED = Code("PX_NONE", "No spacing stated: no millimetres")
PIXEL_SIZES = {
    PixelSource.CALIBRATED: CALIBRATED,
    PixelSource.MAGNIFICATION_CORRECTED: MAGNIFICATION_CORRECTED,
    PixelSource.DETECTOR: AT_DETECTOR,
}
SHOWN_BY = {
    ShownBy.WINDOW: Code("BY_WINDOW", "Window of the film's tags"),
    ShownBy.VOI_LUT: Code("BY_VOI_LUT", "VOI LUT of the film's tags"),
    ShownBy.FULL_RANGE: Code("BY_FULL_RANGE", "All values that the stored bits can hold"),
    ShownBy.STRETCHED: Code("BY_VALUES", "Range of the values present in the film"),
}

_NUMBERS = {"1": "First", "2": "Second", "3": "Third", "4": "Fourth", "5": "Fifth"}
_KINDS = {
    "PIP": "proximal interphalangeal",
    "MCP": "metacarpophalangeal",
    "MTP": "metatarsophalangeal",
}
_IP1 = {Limb.HAND: "Interphalangeal joint of thumb", Limb.FOOT: "Interphalangeal joint of hallux"}


def _joint(limb: Limb, name: str) -> Code:
    if name == "IP1":
        meaning = _IP1[limb]
    else:
        meaning = f"{_NUMBERS[name[-1]]} {_KINDS[name[:3]]} joint of {limb}"
    return Code(f"{limb.upper()}_{name}", meaning)


JOINTS = {(limb, name): _joint(limb, name) for limb in Limb for name in limb.joints}
"""Codes by limb and the joint's name."""

NULL_REASON_CODES = {
    NullReason.ABSENT: Code("G_ABSENT", "No part of the limb where the joint must be"),
    NullReason.IMPLANT: Code("G_IMPLANT", "Metal in the joint: a prosthesis, plate or screw"),
    NullReason.OUT_OF_FIELD: Code("G_OUT_OF_FIELD", "The joint lies outside the film"),
    NullReason.COVERED: Code("G_COVERED", "Bones cover the joint space: an oblique or end-on view"),
    NullReason.OCCLUDED: Code("G_OCCLUDED", "Metal lies across the joint: a ring, bangle or wire"),
    NullReason.LOW_CONFIDENCE: Code("G_NOT_SEEN", "The joint must lie here, but was not seen"),
    NullReason.UNFAMILIAR: Code("G_UNFAMILIAR", "The joint looks like nothing the scorer learnt"),
    NullReason.DOUBTFUL: Code("G_DOUBTFUL", "The scorer doubts its grade: may be off by over one"),
    NullReason.LOW_RESOLUTION: Code("G_FEW_PIXELS", "The joint has too few pixels to be graded"),
    NullReason.IMMATURE: Code("G_IMMATURE", "Growth plates: SvH is defined for adults"),
    NullReason.NOT_IN_SVH: Code("G_NOT_IN_SVH", "SvH gives this joint no such grade"),
    NullReason.HELD: Code("G_HELD", "The film is held: a person must decide first"),
    NullReason.NO_SCORER: Code("G_NO_SCORER", "No scorer is installed"),
}
"""Why a joint has no grade; `edge.errors.NULL_REASONS` says it at length."""
REASON_CODES = {
    Reason.EMPTY_FILE: Code("F_EMPTY", "The file holds no bytes"),
    Reason.NOT_AN_IMAGE: Code("F_NO_IMAGE", "The bytes are no image that is known"),
    Reason.NOT_A_REGULAR_FILE: Code("F_NOT_REGULAR", "A link, pipe, device or folder"),
    Reason.TRUNCATED: Code("F_TRUNCATED", "The file ends early"),
    Reason.CORRUPT: Code("F_CORRUPT", "The image data are damaged"),
    Reason.TOO_LARGE: Code("F_TOO_LARGE", "The film has more pixels than the limit"),
    Reason.TOO_SMALL: Code("F_TOO_SMALL", "The film is under 64 pixels wide or high"),
    Reason.UNSUPPORTED_FORMAT: Code("F_FORMAT", "An image, but of a kind that is not read"),
    Reason.PACKED: Code("F_PACKED", "An archive (ZIP and the like)"),
    Reason.VIDEO: Code("F_VIDEO", "A video"),
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: Code("F_SYNTAX", "DICOM transfer syntax not decoded here"),
    Reason.UNSUPPORTED_PIXELS: Code("F_PIXELS", "The pixel format is not read"),
    Reason.MULTI_FRAME: Code("F_MULTI_FRAME", "The file holds several frames or pages"),
    Reason.NO_PIXELS: Code("F_NO_PIXELS", "The DICOM object holds no image"),
    Reason.WORKER_DIED: Code("F_WORKER_DIED", "The film ended the decoder's process twice"),
    Reason.WORKER_TIMEOUT: Code("F_WORKER_TIME", "The film took longer than its limit twice"),
    Reason.INTERNAL: Code("F_INTERNAL", "A fault in the software"),
    Reason.OTHER_MODALITY: Code("F_MODALITY", "The tags name no plain radiograph"),
    Reason.NOT_A_PATIENT: Code("F_NO_PATIENT", "The tags name an animal or a test object"),
    Reason.NOT_HAND_OR_FOOT: Code("F_NO_LIMB", "No hand and no foot was found"),
    Reason.SIDE_NOT_KNOWN: Code("L_SIDE_UNKNOWN", "Neither tags nor file name say left or right"),
    Reason.SIDE_CONFLICT: Code("L_SIDE_CONFLICT", "Two sources disagree about the side"),
    Reason.MIRRORED_FILM: Code("L_MIRRORED", "Marker and limb are mirrored: film turned over"),
    Reason.LIMB_CONFLICT: Code("L_LIMB_CONFLICT", "Tags or name state another limb than is shown"),
    Reason.TWO_LIMBS: Code("L_TWO_LIMBS", "Two limbs on one film could not be told apart"),
    Reason.OBLIQUE_VIEW: Code("L_OBLIQUE", "An oblique view, which SvH does not score"),
    Reason.LATERAL_VIEW: Code("L_LATERAL", "A lateral view, which SvH does not score"),
    Reason.JOINTS_NOT_FOUND: Code("L_FEW_JOINTS", "Too few joints were found to score the limb"),
    Reason.SHAPE_IMPLAUSIBLE: Code("L_SHAPE", "The joints do not lie like those of one limb"),
    Reason.IMMATURE: Code("L_IMMATURE", "The patient is under 18, or growth plates show"),
    Reason.OTHER_BODY_PART: Code("L_OTHER_PART", "The tags name another part than hand or foot"),
    Reason.LIMB_DOUBTFUL: Code("L_DOUBTFUL", "Two looks at the film do not agree on the limb"),
    Reason.GRADES_DOUBTFUL: Code("L_GRADES_DOUBT", "Fewer than half of the joints without doubt"),
    Reason.FEW_GREY_LEVELS: Code("L_FEW_GREYS", "Too few grey levels to grade joints"),
    Reason.DUPLICATE_CONFLICT: Code(
        "L_DUPLICATE", "Came before: other patient or limb, or with other bytes"
    ),
}
"""Why a limb or film was not scored; `edge.errors.REASONS` says it at length."""
NO_REASON = Code("NO_REASON", "No reason is known")
OTHER_REASON = Code("OTHER_REASON", "A reason that this table does not have")

FINGER_JOINT = Code("125682004", "Finger Joint", "SCT")
JOINT = Code("39352004", "Joint", "SCT")
LIMB_SITES = {
    Limb.HAND: Code("85562004", "Hand", "SCT"),
    Limb.FOOT: Code("56459004", "Foot", "SCT"),
}
SIDES = {
    Laterality.LEFT: Code("7771000", "Left", "SCT"),
    Laterality.RIGHT: Code("24028007", "Right", "SCT"),
}
IMAGING_PROCEDURE = Code("363679005", "Imaging procedure", "SCT")
ARTIFICIAL_INTELLIGENCE = Code("123110", "Artificial Intelligence", "DCM")
FOR_RESEARCH = Code("113009", "For Research", "DCM")
FINDINGS_SUMMARY = Code("111017", "CAD Processing and Findings Summary", "DCM")
VERTICAL_SPACING = Code("111066", "Vertical Pixel Spacing", "DCM")
HORIZONTAL_SPACING = Code("111026", "Horizontal Pixel Spacing", "DCM")
COMMENT = Code("121106", "Comment", "DCM")
SOURCE_IMAGE = Code("121322", "Source image for image processing operation", "DCM")
ALL_WITHOUT_FINDINGS = Code("111241", "All algorithms succeeded; without findings", "DCM")
ALL_WITH_FINDINGS = Code("111242", "All algorithms succeeded; with findings", "DCM")
SOME_WITHOUT_FINDINGS = Code("111243", "Not all algorithms succeeded; without findings", "DCM")
SOME_WITH_FINDINGS = Code("111244", "Not all algorithms succeeded; with findings", "DCM")
NONE_SUCCEEDED = Code("111245", "No algorithms succeeded; without findings", "DCM")
NO_UNITS = Code("1", "no units", "UCUM")
MILLIMETRE = Code("mm", "mm", "UCUM")
PIXELS = Code("{pixels}", "pixels", "UCUM")


def joint_site(limb: Limb) -> Code:
    """Standard code of the site of a limb's joints; the private code says which joint it is."""
    return FINGER_JOINT if limb is Limb.HAND else JOINT


def null_reason_code(reason: str | None) -> Code:
    """Code of a joint's reason; one that says so where there is none in the table."""
    if reason is None:
        return NO_REASON
    codes = {str(key): code for key, code in NULL_REASON_CODES.items()}
    return codes.get(reason, OTHER_REASON)


def space_reason_code(reason: str) -> Code:
    """Code of the reason why a joint space has no width."""
    return {str(key): code for key, code in SPACE_REASON_CODES.items()}.get(reason, OTHER_REASON)


def reason_code(reason: str) -> Code:
    """Code of a limb's reason, which may be one of its joints'."""
    codes = {str(key): code for key, code in REASON_CODES.items()}
    return codes.get(reason) or null_reason_code(reason)


def private_codes() -> Iterator[tuple[str, Code, str]]:
    """Every private code: what it is used for, the code, and at length what it means, if more."""
    for task in TASKS.values():
        for code in vars(task).values():
            yield "name of a value", code, ""
    names = (JOINT_SCORE, LIMB_SCORE, NAME_CANDIDATE, LIMB_STATUS, LIMB_REASON, INTENDED_USE,
             PIXEL_SIZE_STATE, GREY_BY, GREY_LOW, GREY_HIGH, *SPACES.values(), SPACE_PART,
             SPACE_MISSING)  # fmt: skip
    for code in names:
        yield "name of a value", code, ""
    for code in JOINTS.values():
        yield "joint", code, ""
    for code in STATUSES.values():
        yield "status of a limb", code, ""
    for null, code in NULL_REASON_CODES.items():
        yield "why a grade is missing", code, NULL_REASONS[null]
    for part in SPACE_PARTS.values():
        yield "part of a joint line", part, ""
    for space, code in SPACE_REASON_CODES.items():
        yield "why a joint space has no width", code, SPACE_REASONS[space]
    for reason, code in REASON_CODES.items():
        yield "why a limb was not scored", code, REASONS[reason].meaning
    for code in (NO_REASON, OTHER_REASON):
        yield "why a grade is missing", code, ""
    for code in (CALIBRATED, AT_DETECTOR, MAGNIFICATION_CORRECTED, NOT_CALIBRATED):
        yield "calibration", code, ""
    for code in SHOWN_BY.values():
        yield "grey values", code, ""
