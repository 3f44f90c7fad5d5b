"""Every error of the package `edge`, with its reason code and advice for a person.

Reason codes are part of the MQTT contract: they are stable, and `REASONS` is the one table
from which the documentation and the tests are made.

Layer: vocabulary; imports only `edge.model`.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.enums import StrEnum
from edge.model import LimbResult, Status, Versions

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST_FIELDS = 200


class Reason(StrEnum):
    """Why a film, a limb or a joint's score was not given."""

    # the file cannot be read: rejected
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    NOT_A_REGULAR_FILE = "not_a_regular_file"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    UNSUPPORTED_FORMAT = "unsupported_format"
    PACKED = "packed"
    VIDEO = "video"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    MULTI_FRAME = "multi_frame"
    NO_PIXELS = "no_pixels"
    WORKER_DIED = "worker_died"
    WORKER_TIMEOUT = "worker_timeout"
    INTERNAL = "internal"
    # no plain radiograph of a hand or foot: rejected
    OTHER_MODALITY = "other_modality"
    NOT_A_PATIENT = "not_a_patient"
    NOT_HAND_OR_FOOT = "not_hand_or_foot"
    # a person must decide: held
    SIDE_NOT_KNOWN = "side_not_known"
    SIDE_CONFLICT = "side_conflict"
    MIRRORED_FILM = "mirrored_film"
    LIMB_CONFLICT = "limb_conflict"
    TWO_LIMBS = "two_limbs"
    OBLIQUE_VIEW = "oblique_view"
    LATERAL_VIEW = "lateral_view"
    JOINTS_NOT_FOUND = "joints_not_found"
    SHAPE_IMPLAUSIBLE = "shape_implausible"
    IMMATURE = "immature"
    OTHER_BODY_PART = "other_body_part"
    LIMB_DOUBTFUL = "limb_doubtful"
    GRADES_DOUBTFUL = "grades_doubtful"
    FEW_GREY_LEVELS = "few_grey_levels"
    DUPLICATE_CONFLICT = "duplicate_conflict"


class NullReason(StrEnum):
    """Why one joint's erosion or narrowing is null."""

    ABSENT = "absent"
    IMPLANT = "implant"
    OUT_OF_FIELD = "out_of_field"
    OCCLUDED = "occluded"
    COVERED = "covered"
    LOW_CONFIDENCE = "low_confidence"
    UNFAMILIAR = "unfamiliar"
    DOUBTFUL = "doubtful"
    LOW_RESOLUTION = "low_resolution"
    IMMATURE = "immature"
    NOT_IN_SVH = "not_in_svh"
    HELD = "held"
    NO_SCORER = "no_scorer"


class SpaceReason(StrEnum):
    """Why a joint space has no width."""

    LOW_RESOLUTION = "low_resolution"
    HIDDEN = "hidden"
    OVERLAPPING = "overlapping"
    FUSED = "fused"
    BLURRED = "blurred"
    INTERRUPTED = "interrupted"
    UNEVEN = "uneven"


@dataclass(frozen=True)
class ReasonText:
    """What one reason code means and what to do about it."""

    status: Status
    meaning: str
    advice: str


_R, _H = Status.REJECTED, Status.HELD

REASONS: dict[Reason, ReasonText] = {
    Reason.EMPTY_FILE: ReasonText(_R, "the file holds no bytes", "export the film again"),
    Reason.NOT_AN_IMAGE: ReasonText(
        _R, "the bytes are no image that is known", "send JPEG, PNG, BMP, TIFF or DICOM"
    ),
    Reason.NOT_A_REGULAR_FILE: ReasonText(
        _R, "a link, pipe, device or folder lies where a film was expected", "copy the file itself"
    ),
    Reason.TRUNCATED: ReasonText(_R, "the file ends early", "export the film again"),
    Reason.CORRUPT: ReasonText(_R, "the image data are damaged", "export the film again"),
    Reason.TOO_LARGE: ReasonText(
        _R,
        "the film has more pixels than the limit",
        "export it smaller; or raise the limit, then sharpedge retry",
    ),
    Reason.TOO_SMALL: ReasonText(
        _R, "the film is under 64 pixels wide or high", "send the full film, not a preview"
    ),
    Reason.UNSUPPORTED_FORMAT: ReasonText(
        _R, "an image, but of a kind that is not read", "send JPEG, PNG, BMP, TIFF or DICOM"
    ),
    Reason.PACKED: ReasonText(
        _R,
        "an archive (ZIP and the like), in which films may lie",
        "unpack it, and copy the films themselves into the drop folder",
    ),
    Reason.VIDEO: ReasonText(_R, "a video", "send each radiograph as a file of its own"),
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: ReasonText(
        _R,
        "the DICOM transfer syntax cannot be decoded here",
        "have the sender use Explicit VR Little Endian or JPEG Lossless",
    ),
    Reason.UNSUPPORTED_PIXELS: ReasonText(
        _R, "the pixel format is not read (float, signed colour, CMYK)", "send 8 or 16 bit grey"
    ),
    Reason.MULTI_FRAME: ReasonText(
        _R, "the file holds several frames or pages", "send one film a file"
    ),
    Reason.NO_PIXELS: ReasonText(_R, "the DICOM object holds no image", "send the image object"),
    Reason.WORKER_DIED: ReasonText(
        _R,
        "the film ended the decoder's process twice",
        "report it; after an update: sharpedge retry",
    ),
    Reason.WORKER_TIMEOUT: ReasonText(
        _R,
        "the film took longer than its time limit twice",
        "report it; after an update: sharpedge retry",
    ),
    Reason.INTERNAL: ReasonText(
        _R, "a fault in the software", "report it; after an update: sharpedge retry"
    ),
    Reason.OTHER_MODALITY: ReasonText(
        _R,
        "the tags name another kind of image than a plain radiograph",
        "send the CR or DX object; or have the sender correct the tag",
    ),
    Reason.NOT_A_PATIENT: ReasonText(
        _R,
        "the tags name an animal or a test object",
        "only patients' films belong in this folder; or have the sender correct the tag",
    ),
    Reason.NOT_HAND_OR_FOOT: ReasonText(
        _R, "no hand and no foot was found", "only hand and foot films belong in this folder"
    ),
    Reason.SIDE_NOT_KNOWN: ReasonText(
        _H,
        "neither tags nor file name say left or right",
        "sharpedge release with its --side, or set accept_side_from_geometry",
    ),
    Reason.SIDE_CONFLICT: ReasonText(
        _H,
        "two sources disagree about the side",
        "look at the film, then sharpedge release with its --side",
    ),
    Reason.MIRRORED_FILM: ReasonText(
        _H,
        "the marker is mirrored, and so is the limb: the film was turned over",
        "look at the film, then sharpedge release with its --side; correct the mirroring",
    ),
    Reason.LIMB_CONFLICT: ReasonText(
        _H,
        "tags or name say hand, the film shows a foot, or the reverse",
        "sharpedge release with its --limb",
    ),
    Reason.TWO_LIMBS: ReasonText(
        _H, "two limbs on one film could not be told apart", "send one limb a film"
    ),
    Reason.OBLIQUE_VIEW: ReasonText(
        _H, "an oblique view, which SvH does not score", "send the PA (hand) or AP (foot) view"
    ),
    Reason.LATERAL_VIEW: ReasonText(
        _H, "a lateral view, which SvH does not score", "send the PA (hand) or AP (foot) view"
    ),
    Reason.JOINTS_NOT_FOUND: ReasonText(
        _H, "too few joints were found to score the limb", "check positioning, cast and exposure"
    ),
    Reason.SHAPE_IMPLAUSIBLE: ReasonText(
        _H,
        "the joints found do not lie like those of one hand or foot",
        "check view and positioning; release it if it is one plain PA or AP limb",
    ),
    Reason.IMMATURE: ReasonText(
        _H,
        "the patient is under 18, or the joints show growth plates",
        "SvH is defined for adults; release the film if the patient is one",
    ),
    Reason.OTHER_BODY_PART: ReasonText(
        _H,
        "the tags name another body part than hand or foot",
        "look at the film; if it is a hand or foot, sharpedge release with --limb and --side",
    ),
    Reason.LIMB_DOUBTFUL: ReasonText(
        _H,
        "two looks at the film do not agree on a hand or foot",
        "look at the film; if it is a hand or foot, sharpedge release with --limb and --side",
    ),
    Reason.GRADES_DOUBTFUL: ReasonText(
        _H,
        "fewer than half of the joints can be graded without doubt",
        "look at the film; sharpedge release publishes the grades that are left",
    ),
    Reason.FEW_GREY_LEVELS: ReasonText(
        _H,
        "the film shows too few grey levels to grade joints",
        "export it again with its full depth (8 bits at least) and without a preset window",
    ),
    Reason.DUPLICATE_CONFLICT: ReasonText(
        _H,
        "the same bytes came before under another patient, limb or side, or the same DICOM "
        "instance came before with other bytes",
        "find out which film is right, then sharpedge release or dismiss this one",
    ),
}


NULL_REASONS: dict[NullReason, str] = {
    NullReason.ABSENT: "no part of the limb lies where the others say that the joint must be",
    NullReason.IMPLANT: "metal in the joint: a prosthesis, plate or screw",
    NullReason.OUT_OF_FIELD: "the joint lies outside the film",
    NullReason.OCCLUDED: "metal lies across the joint: a ring, bangle or wire",
    NullReason.COVERED: "the bones cover the joint space: an oblique or end-on view of the joint",
    NullReason.LOW_CONFIDENCE: "the joint must lie on this part of the limb, but was not seen",
    NullReason.UNFAMILIAR: "the joint looks like nothing that the scorer learnt from",
    NullReason.DOUBTFUL: "the scorer itself doubts its grade: it may be off by more than one",
    NullReason.LOW_RESOLUTION: "the joint has too few pixels to be graded",
    NullReason.IMMATURE: "growth plates: SvH is defined for adults",
    NullReason.NOT_IN_SVH: "SvH gives this joint no such grade (narrowing of the thumb's IP)",
    NullReason.HELD: "the film is held: a person must decide first",
    NullReason.NO_SCORER: "no scorer is installed: run sharpedge export",
}
"""What each `NullReason` means."""


SPACE_REASONS: dict[SpaceReason, str] = {
    SpaceReason.LOW_RESOLUTION: "the pixels are too coarse for edges: over .25 mm on a usual limb",
    SpaceReason.HIDDEN: "metal in the joint or across it",
    SpaceReason.OVERLAPPING: "the bones lie over each other: there is no dark space, or a second "
    "contour beside an edge",
    SpaceReason.FUSED: "no space: the bone runs on from one side to the other",
    SpaceReason.BLURRED: "the edges are too soft to be read",
    SpaceReason.INTERRUPTED: "edges that belong together are seen on too short a part, or one of "
    "them is an erosion's",
    SpaceReason.UNEVEN: "the width changes too much along the joint: displaced bones, or edges "
    "that do not belong together",
}
"""What each `SpaceReason` means."""


class EdgeError(Exception):
    """Base of every error that `edge` raises on purpose."""


class ConfigError(EdgeError):
    """The configuration cannot be used; the message names file, line and key."""


class EngineError(EdgeError):
    """An engine is missing, refused or failed while running.

    ``engine`` is its name; ``fix`` is the command that puts it right.
    """

    def __init__(self, message: str, *, engine: str, fix: str) -> None:
        super().__init__(f"{message} (fix: {fix})")
        self.engine = engine
        self.fix = fix


class OutputError(EngineError):
    """An engine returned what no grade may be made from: not finite, out of range, or constant.

    ``sha256`` is that of the engine file, so that this very engine can be left out.
    """

    def __init__(self, message: str, *, engine: str, fix: str, sha256: str) -> None:
        super().__init__(message, engine=engine, fix=fix)
        self.sha256 = sha256


class FilmError(EdgeError):
    """A film cannot be scored: carries the reason code and the detail for the log and message."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        text = REASONS[reason]
        super().__init__(f"{text.meaning}{': ' + detail if detail else ''}; {text.advice}")
        self.reason = reason
        self.detail = detail

    @property
    def status(self) -> Status:
        """Whether the film is held for a person or rejected."""
        return REASONS[self.reason].status

    def __reduce__(self) -> tuple[type[FilmError], tuple[Reason, str]]:
        return (FilmError, (self.reason, self.detail))


def place_of(error: BaseException) -> str:
    """Kind and place of a fault, without its text: that may hold a film's name or tags."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    file = last.filename.rpartition("/")[2]
    return f"{type(error).__name__} in {last.name}, {file}:{last.lineno}"


def fields_of(error: ValidationError) -> str:
    """Fields of a message that are wrong, as one line of at most 200 characters."""
    names = {".".join(map(str, it["loc"])) or "no JSON object" for it in error.errors()}
    return ", ".join(sorted(names))[:_LONGEST_FIELDS]


def rejected(reason: Reason, file: str, versions: Versions, *, detail: str = "") -> LimbResult:
    """Give the result of a film that never reached the pipeline or never left it."""
    return LimbResult(
        file=file,
        limb_index=0,
        status=REASONS[reason].status,
        reason=str(reason),
        advice=REASONS[reason].advice,
        flags=(detail,) if detail else (),
        versions=versions,
    )
