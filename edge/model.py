"""The vocabulary: the types that packages hand to each other.

Types that carry arrays are frozen dataclasses. What leaves the appliance (the lines of
``sharpedge score --json``, the MQTT ``result``, the simulator's ``truth.jsonl``) is one frozen
pydantic model, `LimbResult`.

Layer: vocabulary; imported by every package, imports no package of ours.
"""

from __future__ import annotations

from collections.abc import Collection  # noqa: TC003 - documented with the public types
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from edge.anatomy import JointClass, Limb, View
from edge.enums import StrEnum

DISCLAIMER: Final = "research use only, not a medical device"
PARTIAL_SVH_NAME = "partial SvH (no wrist), of 340"

GreyImage = npt.NDArray[np.uint8]
"""[height, width] uint8, bones bright."""
Points = npt.NDArray[np.float64]
"""[n, 2] float64, x then y, in pixels; the centre of the top-left pixel is (0, 0)."""
Transform = npt.NDArray[np.float64]
"""[3, 3] float64 acting on column vectors (x, y, 1)."""


class Laterality(StrEnum):
    """Side of the patient, in DICOM's letters."""

    LEFT = "L"
    RIGHT = "R"


class LateralitySource(StrEnum):
    """Where the side came from, strongest first."""

    OPERATOR = "operator"
    DICOM = "dicom"
    FILENAME = "filename"
    MARKER = "marker"
    GEOMETRY = "geometry"


class Status(StrEnum):
    """How one limb of one film ended."""

    SCORED = "scored"
    NOT_GRADED = "not_graded"
    """Limb and joints were found, and no joint could be graded."""
    HELD = "held"
    REJECTED = "rejected"


class PictureForm(StrEnum):
    """What a labelled picture that leaves the appliance shows of the film."""

    MASKED = "masked"
    """The limb alone, with equalised contrast."""
    FRAMED = "framed"
    """The limb in the film's own grey levels, with one marker of at most two letters."""


class SrClass(StrEnum):
    """Which kind of structured report is made; older archives take the second only."""

    COMPREHENSIVE_3D = "3d"
    COMPREHENSIVE = "2d"


class Record(BaseModel):
    """Base of all that is written out: frozen, a misspelt key is an error, and so is NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Identifier(StrEnum):
    """What a DICOM film states that leads to its patient in other systems."""

    ACCESSION_NUMBER = "accession_number"
    STUDY_INSTANCE_UID = "study_instance_uid"
    PATIENT_ID = "patient_id"


IdentifierText = Annotated[str, Field(min_length=1, max_length=64)]


class Identifiers(Record):
    """Values of `Identifier` that a DICOM film states; null where it states none."""

    accession_number: IdentifierText | None = None
    study_instance_uid: IdentifierText | None = None
    patient_id: IdentifierText | None = None

    def only(self, wanted: Collection[Identifier]) -> Identifiers | None:
        """Those that are wanted; None where none of them is stated."""
        kept = {str(one): value for one in wanted if (value := getattr(self, one)) is not None}
        return Identifiers(**kept) if kept else None


@dataclass(frozen=True)
class StatedIdentity:
    """What metadata, file name and operator state of a film, before the pixels are read.

    ``conflict`` says which two sources disagree, e.g. ``"dicom L hand, filename R hand"``.
    ``other_part`` names a tag that states another body part, e.g. ``"BodyPartExamined CHEST"``.
    ``taken`` is the day of the exposure, and its time where stated (``"2026-03-04 10:31"``).
    ``identifiers`` are None where nothing states any.
    """

    limb: Limb | None = None
    limb_source: LateralitySource | None = None
    laterality: Laterality | None = None
    laterality_source: LateralitySource | None = None
    view: View = View.UNKNOWN
    age_years: float | None = None
    conflict: str | None = None
    other_part: str | None = None
    study_key: str | None = None
    patient_key: str | None = None
    burned_in_annotation: bool = False
    taken: str | None = None
    identifiers: Identifiers | None = None


@dataclass(frozen=True)
class OperatorStatement:
    """What an operator stated of a film that was held; final."""

    limb: Limb | None = None
    laterality: Laterality | None = None


@dataclass(frozen=True)
class Radiograph:
    """One decoded film: 8-bit grey, bones bright, turned as its orientation tag says.

    ``stored_to_upright`` maps pixels of the film as stored to pixels of ``pixels``.
    ``stored_size`` is (width, height) of the film as stored. ``pixel_size`` is that of the film as
    stored; None where its file states none.
    """

    pixels: GreyImage
    stored_size: tuple[int, int]
    stored_to_upright: Transform
    stated: StatedIdentity
    flags: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None


@dataclass(frozen=True)
class Detection:
    """One joint found by the detector, in pixels of the image it was given."""

    joint_class: JointClass
    confidence: float
    box: tuple[float, float, float, float]
    """x, y (top left), width, height."""

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, x and y in pixels."""
        x, y, w, h = self.box
        return x + w / 2, y + h / 2


@dataclass(frozen=True)
class Mask:
    """Foreground of the canvas: [height, width] bool, and why it was not used, if so."""

    foreground: npt.NDArray[np.bool_]
    flags: tuple[str, ...] = field(default=())


class PixelSource(StrEnum):
    """What a film's tags state the size of a pixel by."""

    CALIBRATED = "calibrated"
    """Pixel Spacing: at the patient."""
    MAGNIFICATION_CORRECTED = "magnification_corrected"
    """Imager Pixel Spacing over the magnification that the tags state: at the patient."""
    DETECTOR = "detector"
    """Imager Pixel Spacing alone: at the detector, a few per cent too large for the patient."""


class PixelSize(Record):
    """Size of a pixel of the film as stored, and how far it holds for the patient."""

    row_mm: float = Field(gt=0, description="distance of two rows")
    column_mm: float = Field(gt=0, description="distance of two columns")
    source: PixelSource
    calibration_type: Literal["GEOMETRY", "FIDUCIAL"] | None = Field(
        default=None, description="Pixel Spacing Calibration Type, where stated"
    )


class SpacePart(StrEnum):
    """Which part of the joint line a joint space was measured on."""

    MIDDLE = "middle"
    """The middle half of the bone's width."""
    MARGIN = "margin"
    """What is left beside it, where the middle has no edges."""


Width = Annotated[float, Field(ge=0)]
EdgePoints = tuple[tuple[float, float], ...]


class JointSpace(Record):
    """The joint space of one joint: a measurement beside the grades, never a part of them.

    Widths are distances of the two bone edges along normals of the joint line: in pixels of the
    film as stored, and in mm where the film states the size of a pixel. ``medial`` and ``lateral``
    are means over the outer thirds of the middle part; null where that third has no edges.
    """

    reason: str | None = Field(default=None, description="why there is no width")
    part: SpacePart | None = None
    mean_px: Width | None = None
    minimum_px: Width | None = None
    medial_px: Width | None = None
    lateral_px: Width | None = None
    mean_mm: Width | None = None
    minimum_mm: Width | None = None
    medial_mm: Width | None = None
    lateral_mm: Width | None = None
    proximal_edge: EdgePoints = Field(default=(), description="x, y in px, line by line")
    distal_edge: EdgePoints = ()


Box = Annotated[tuple[float, float, float, float], Field(description="x, y, width, height in px")]
Grade = Annotated[int, Field(ge=0, le=10)]


class JointScore(Record):
    """One joint of a limb, in pixels of the film as stored (EXIF ignored)."""

    name: str | None = Field(default=None, description="set only when the identity is certain")
    name_candidate: str | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    box: Box | None = None
    centre: tuple[float, float] | None = None
    erosion: Grade | None = None
    erosion_expected: float | None = None
    erosion_reason: str | None = Field(default=None, description="why erosion is null")
    narrowing: Grade | None = None
    narrowing_expected: float | None = None
    narrowing_reason: str | None = Field(default=None, description="why narrowing is null")
    space: JointSpace | None = Field(
        default=None, description="measured joint space; null where it is not measured"
    )
    flags: tuple[str, ...] = ()


class Subtotal(Record):
    """A sum over the joints that were scored; a missing joint is never a zero."""

    score: int | None
    n_scored: int
    n_expected: int
    maximum: int = Field(description="highest sum with every joint scored")
    attainable: int = Field(description="highest sum of the joints that were scored")


class Subtotals(Record):
    """Erosion and narrowing of one limb or of one patient's hands or feet."""

    erosion: Subtotal
    narrowing: Subtotal


class Versions(Record):
    """What made a result; engines as role -> SHA-256 (first 16 hex digits)."""

    software: str
    engines: dict[str, str] = {}


class LimbResult(Record):
    """One limb of one film: a line of ``score --json``, the body of an MQTT ``result``."""

    file: str
    limb_index: int = Field(ge=0)
    status: Status
    reason: str | None = Field(default=None, description="reason code; null when scored")
    advice: str | None = None
    limb: Limb | None = None
    laterality: Laterality | None = None
    laterality_source: LateralitySource | None = None
    view: View = View.UNKNOWN
    transform: list[list[float]] | None = Field(
        default=None, description="3 x 3, film as stored to canvas"
    )
    pixel_size: PixelSize | None = Field(
        default=None, description="as the film's tags state it; null where they do not"
    )
    joints: tuple[JointScore, ...] = ()
    subtotals: Subtotals | None = None
    n_scored: int = 0
    n_expected: int = 0
    flags: tuple[str, ...] = ()
    versions: Versions
    notice: Literal["research use only, not a medical device"] = DISCLAIMER


class Signature(NamedTuple):
    """Identity of a file's contents as far as `os.stat` gives it; times in nanoseconds.

    ``ctime_ns`` changes with the contents even where a writer sets the modification time back; it
    is 0 where an earlier release did not note it.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int = 0

    def is_of(self, other: Signature) -> bool:
        """Whether both are of one file that nobody has changed.

        The device number is left out: that of a share changes when it is mounted again.
        """
        same_ctime = self.ctime_ns == other.ctime_ns or not (self.ctime_ns and other.ctime_ns)
        return self[1:4] == other[1:4] and same_ctime


class Recheck(Record):
    """What scoring films a second time, with other engines and when idle, has shown so far."""

    films: int = 0
    grades: int = 0
    grades_differ: int = 0
    fates_differ: int = Field(default=0, description="limbs that one of both did not score")
    largest_expected: float = Field(
        default=0.0, description="largest difference of an expected value"
    )


class Outcome(Record):
    """A film is scored. ``pictured`` says of which of ``limbs`` a labelled picture follows.

    ``figures`` are for the drift watch, one of each limb or none at all. ``second_waits`` says that
    the child kept the film to score it a second time when it is asked to.
    """

    limbs: tuple[LimbResult, ...] = Field(max_length=64)
    stage_ms: dict[str, float]
    study_key: str | None
    patient_key: str | None
    burned_in_annotation: bool
    at_s: float
    figures: tuple[dict[str, float], ...] = ()
    second_waits: bool = False
    pictured: tuple[bool, ...] = Field(default=(), max_length=64)
    identifiers: Identifiers | None = None


class After(StrEnum):
    """What happens to the scanner's own file once it has reached its end state."""

    LEAVE = "leave"
    MOVE = "move"
    DELETE = "delete"
