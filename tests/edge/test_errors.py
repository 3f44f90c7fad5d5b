"""Every reason code can be reached, or is known not to be.

Codes of films that cannot be decoded are reached in tests/edge/imaging, those of folder, worker and
journal in the tests named in `ELSEWHERE`. The others are reached here through the whole pipeline,
with an engine that finds bright dots in place of a trained one: so each test says what is odd.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_markers import with_text
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from edge.anatomy import Limb, has_narrowing, shape_template
from edge.engine.loader import EngineSet
from edge.engine.passport import Role
from edge.errors import NullReason, Reason
from edge.model import Laterality, OperatorStatement, Status
from edge.pipeline.plausibility import STATISTICS
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer

ROOT = Path(__file__).resolve().parents[2]
HAND = shape_template(Limb.HAND)
SIZE = 1200
ELSEWHERE = {
    Reason.NOT_A_REGULAR_FILE: "tests/edge/intake/test_intake.py",
    Reason.WORKER_DIED: "tests/edge/daemon/test_appliance.py",
    Reason.WORKER_TIMEOUT: "tests/edge/daemon/test_appliance.py",
    Reason.INTERNAL: "tests/edge/daemon/test_appliance.py",
    Reason.DUPLICATE_CONFLICT: "tests/edge/daemon/test_appliance.py",
    Reason.LIMB_DOUBTFUL: "tests/edge/pipeline/test_evidence.py",
    Reason.GRADES_DOUBTFUL: "tests/edge/pipeline/test_evidence.py",
}
DECODING = frozenset(
    {
        Reason.EMPTY_FILE, Reason.NOT_AN_IMAGE, Reason.TRUNCATED, Reason.CORRUPT, Reason.TOO_LARGE,
        Reason.TOO_SMALL, Reason.UNSUPPORTED_FORMAT, Reason.UNSUPPORTED_TRANSFER_SYNTAX,
        Reason.UNSUPPORTED_PIXELS, Reason.MULTI_FRAME, Reason.NO_PIXELS, Reason.OTHER_MODALITY,
        Reason.NOT_A_PATIENT, Reason.PACKED, Reason.VIDEO,
    }
)  # fmt: skip
HERE = frozenset(
    {
        Reason.NOT_HAND_OR_FOOT, Reason.SIDE_NOT_KNOWN, Reason.SIDE_CONFLICT, Reason.LIMB_CONFLICT,
        Reason.MIRRORED_FILM, Reason.TWO_LIMBS, Reason.OBLIQUE_VIEW, Reason.LATERAL_VIEW,
        Reason.JOINTS_NOT_FOUND,
        Reason.SHAPE_IMPLAUSIBLE, Reason.IMMATURE, Reason.FEW_GREY_LEVELS,
        Reason.OTHER_BODY_PART,
    }
)  # fmt: skip


def passport_of(height_px, scale, width_px=None):
    size = {"height": height_px, "width": width_px or height_px}
    return {"input": {"name": "image", **size, "scale": scale, "mean": [0.0], "std": [1.0]}}


class Dots:
    """Finds bright dots: small ones are PIP joints, large ones MCP joints."""

    name, sha256, input_shapes = "hand-detect", "0" * 64, {"image": (None, 1, 416, 416)}
    passport = passport_of(416, 1 / 255)

    def run(self, inputs):
        [image] = inputs.values()
        bright = (image[0, 0] > 0.85).astype(np.uint8)
        count, _, stats, centres = cv2.connectedComponentsWithStats(bright)
        areas = stats[1:, cv2.CC_STAT_AREA]
        rows = np.zeros((max(count - 1, 1), 7), np.float32)
        if count > 1:
            large = areas > np.sqrt(float(areas.min()) * float(areas.max()))
            rows[:, :2] = centres[1:]
            rows[:, 2:4] = 2 * np.sqrt(areas)[:, None]
            rows[:, 4], rows[:, 5], rows[:, 6] = 0.9, ~large, large
        return {"rows": rows[None]}


def for_each(crops, outputs):
    """The same outputs for every crop, but for a trace of the crop: a constant is suspected."""
    trace = crops.reshape(len(crops), -1).mean(axis=1, keepdims=True) % 1 * 1e-3
    return (np.float32(outputs) * (1 - trace)).astype(np.float32)


class Grader:
    """Gives every joint erosion 2 and narrowing 1."""

    name, sha256, input_shapes = "hand-score", "1" * 64, {"image": (None, 3, 96, 96)}
    passport = passport_of(96, 1.0)

    def run(self, inputs):
        [crops] = inputs.values()
        return {
            "erosion": for_each(crops, [0.9, 0.9, 0.9, 0.1, 0.0, 0.0]),
            "narrowing": for_each(crops, [0.9, 0.9, 0.1, 0.0, 0.0]),
        }


class Doubter(Grader):
    """Cannot tell grade 1 from grade 5, nor no narrowing from ankylosis."""

    def run(self, inputs):
        [crops] = inputs.values()
        return {
            "erosion": for_each(crops, [0.9, 0.9, 0.45, 0.45, 0.45, 0.45]),
            "narrowing": for_each(crops, [0.9, 0.45, 0.45, 0.45, 0.45]),
        }


ONE_GREY = {
    "statistics": STATISTICS,
    "mean": [128.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    "precision": np.eye(6).tolist(),
    "limit": 50.0,
}


class Stranger(Grader):
    """Has learnt from crops of one grey alone."""

    passport = Grader.passport | {"training": {"familiar_crops": ONE_GREY}}


class Excluder(Grader):
    """Sees in every joint what forbids its grade, with the given probabilities."""

    def __init__(self, covered=0.0, growth_plates=0.0, unfamiliar=0.0):
        self.found = (covered, growth_plates, unfamiliar)

    def run(self, inputs):
        [crops] = inputs.values()
        return super().run(inputs) | {"exclusion": for_each(crops, self.found)}


class Outline:
    """Takes whatever is not black for the limb, in the middle of the canvas."""

    name, sha256, input_shapes = "hand-mask", "2" * 64, {"image": (None, 1, 250, 200)}
    passport = passport_of(250, 1 / 255, 200)

    def run(self, inputs):
        [image] = inputs.values()
        limb = (image > 0.08).astype(np.float32)
        limb[..., :40, :] = limb[..., 220:, :] = 0
        return {"mask": limb}


def hand(unit_px=200.0, *, left_out=(), moved=(), centre=(0.5, 0.5), size=SIZE, level=255):
    """A left hand in dots, uint8 [size, size]. ``moved`` maps joints to template coordinates."""
    # Uneven ground: a film of few grey levels is held for that.
    y, x = np.mgrid[:size, :size]
    film = (25 + (x + 2 * y) % 40).astype(np.uint8)
    places = dict(zip(HAND.joints, HAND.mean, strict=True)) | dict(moved)
    for joint, place in places.items():
        if joint not in left_out:
            x, y = (np.array(centre) * size + np.array(place) * unit_px).round().astype(int)
            share = 0.11 if joint.startswith("MCP") else 0.07
            cv2.circle(film, (int(x), int(y)), max(round(share * unit_px), 2), level, -1)
    return film


def png(film):
    ok, data = cv2.imencode(".png", film)
    assert ok
    return data.tobytes()


def dicom(film, **tags):
    """A film in a DICOM object that says what ``tags`` say."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("film", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = film.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = film.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def score(data, name="P1-LH.png", *, grader=Grader, outline=False):
    engines = {(Role.DETECT, Limb.HAND): Dots()}
    if outline:
        engines[Role.MASK, Limb.HAND] = Outline()
    if grader:
        engines[Role.SCORE, Limb.HAND] = grader() if isinstance(grader, type) else grader
    outcome = FilmScorer(EngineSet(engines), PipelineSettings()).score(data, name)
    return outcome.limbs[0].result


def test_a_plain_hand_is_scored():
    result = score(png(hand()))
    assert (result.status, result.reason) == (Status.SCORED, None)
    assert [joint.erosion for joint in result.joints] == [2] * 10
    assert all(
        joint.narrowing == (1 if has_narrowing(Limb.HAND, joint.name) else None)
        for joint in result.joints
    )


SCATTERED = {
    joint: np.array([np.cos(2.4 * i + 2), np.sin(2.4 * i + 2)]) * (0.4 + 0.13 * i)
    for i, joint in enumerate(HAND.joints)
}
# Ten joints that can be named, but not for certain: what two hands that touch look like.
CROSSED = {
    "IP1": HAND.mean[HAND.joints.index("IP1")] + (0.0, 0.8),
    "PIP5": HAND.mean[HAND.joints.index("PIP5")] - (0.0, 0.8),
}
ODD = {
    Reason.NOT_HAND_OR_FOOT: (png(hand(left_out=HAND.joints)), "P1-LH.png"),
    Reason.SIDE_NOT_KNOWN: (png(hand()), "film.png"),
    Reason.SIDE_CONFLICT: (png(hand()[:, ::-1]), "P1-LH.png"),
    Reason.MIRRORED_FILM: (
        png(with_text(hand(), "L", (120, 120), 60, level=200)[:, ::-1]), "film.png",
    ),
    Reason.LIMB_CONFLICT: (png(hand()), "P1-LF.png"),
    Reason.OBLIQUE_VIEW: (dicom(hand(), ViewPosition="LLO"), "P1-LH.dcm"),
    Reason.LATERAL_VIEW: (dicom(hand(), ViewPosition="LL"), "P1-LH.dcm"),
    Reason.IMMATURE: (dicom(hand(), PatientAge="009Y"), "P1-LH.dcm"),
    Reason.JOINTS_NOT_FOUND: (
        png(hand(left_out=("IP1", "MCP1", "PIP5", "MCP5"))), "P1-LH.png",
    ),
    Reason.TWO_LIMBS: (
        png(np.maximum(*(hand(130, centre=(x, 0.5), moved=CROSSED) for x in (0.25, 0.75)))),
        "P1-LH.png",
    ),
    Reason.SHAPE_IMPLAUSIBLE: (png(hand(moved=SCATTERED)), "P1-LH.png"),
    Reason.OTHER_BODY_PART: (dicom(hand(), BodyPartExamined="CHEST"), "P1-LH.dcm"),
    Reason.FEW_GREY_LEVELS: (png(hand() // 17 * 17), "P1-LH.png"),
}  # fmt: skip


@pytest.mark.parametrize("reason", sorted(HERE))
def test_an_odd_film_ends_with_its_reason(reason):
    data, name = ODD[reason]
    result = score(data, name)
    assert result.reason == reason
    assert all(joint.erosion is None and joint.narrowing is None for joint in result.joints)
    assert result.advice


def test_a_film_that_a_person_released_is_not_held_again_for_its_shape():
    engines = EngineSet({(Role.DETECT, Limb.HAND): Dots(), (Role.SCORE, Limb.HAND): Grader()})
    data, name = ODD[Reason.SHAPE_IMPLAUSIBLE]
    word = OperatorStatement(Limb.HAND, Laterality.LEFT)
    outcome = FilmScorer(engines, PipelineSettings()).score(data, name, word)
    result = outcome.limbs[0].result
    assert (result.status, result.laterality) == (Status.SCORED, Laterality.LEFT)
    assert all(joint.name is None for joint in result.joints)


def null_reasons(result):
    return {
        joint.name or joint.name_candidate: (joint.erosion_reason, joint.narrowing_reason)
        for joint in result.joints
        if joint.erosion_reason or joint.narrowing_reason
    }


def torn(film, joint, unit_px=200.0):
    """The film with nothing at all where one joint and what comes after it would lie."""
    x, y = (SIZE / 2 + HAND.mean[HAND.joints.index(joint)] * unit_px).round().astype(int)
    half = round(0.25 * unit_px)
    film[: int(y) + half, int(x) - half : int(x) + half] = 0
    return film


def with_metal(joint, shape):
    """A hand of bones less than white, and metal in or across one joint."""
    film = hand(level=225)
    x, y = (SIZE / 2 + HAND.mean[HAND.joints.index(joint)] * 200).round().astype(int)
    half_w, half_h = shape
    film[y - half_h : y + half_h, x - half_w : x + half_w] = 255
    return png(film)


NULL = {
    NullReason.ABSENT: (
        lambda: score(png(torn(hand(left_out=("PIP3",)), "PIP3")), outline=True), "PIP3",
    ),
    NullReason.LOW_CONFIDENCE: (
        lambda: score(png(hand(left_out=("PIP3", "PIP4", "PIP2"))), outline=True), "PIP3",
    ),
    NullReason.UNFAMILIAR: (lambda: score(png(hand()), grader=Stranger), "MCP2"),
    NullReason.COVERED: (lambda: score(png(hand()), grader=Excluder(covered=0.9)), "MCP2"),
    NullReason.DOUBTFUL: (lambda: score(png(hand()), grader=Doubter), "MCP2"),
    NullReason.IMPLANT: (lambda: score(with_metal("MCP3", (14, 14))), "MCP3"),
    NullReason.OCCLUDED: (lambda: score(with_metal("MCP3", (56, 4))), "MCP3"),
    NullReason.IMMATURE: (
        lambda: score(dicom(hand(), PatientAge="009Y"), "P1-LH.dcm"), "MCP2",
    ),
    NullReason.OUT_OF_FIELD: (lambda: score(png(hand(centre=(0.5, 0.06), size=1500))), "PIP3"),
    NullReason.LOW_RESOLUTION: (lambda: score(png(hand(60, size=400))), "MCP2"),
    NullReason.HELD: (lambda: score(png(hand()), "film.png"), "MCP2"),
    NullReason.NO_SCORER: (lambda: score(png(hand()), grader=None), "MCP2"),
}  # fmt: skip


@pytest.mark.parametrize("reason", sorted(NULL))
def test_a_joint_without_a_grade_says_why(reason):
    make, joint = NULL[reason]
    assert null_reasons(make())[joint] == (reason, reason)


def test_what_the_scorer_does_not_know_is_left_out_as_what_its_statistics_do_not():
    reasons = null_reasons(score(png(hand()), grader=Excluder(unfamiliar=0.9)))
    assert reasons["MCP2"] == (NullReason.UNFAMILIAR, NullReason.UNFAMILIAR)


GROWING = Excluder(growth_plates=0.8)


class Calibrated(Grader):
    """A site lets this scorer's outputs count from .08."""

    passport = Grader.passport | {"site_calibration": {"erosion": {"threshold": 0.08}}}


def test_a_sites_threshold_moves_the_grades_and_the_result_says_so():
    result = score(png(hand()), grader=Calibrated)
    assert [joint.erosion for joint in result.joints] == [3] * 10
    assert {joint.narrowing for joint in result.joints} == {1, None}
    assert "site_calibrated" in result.flags
    assert "site_calibrated" not in score(png(hand())).flags


def test_growth_plates_hold_a_film_without_a_stated_age():
    result = score(png(hand()), grader=GROWING)
    assert (result.status, result.reason) == (Status.HELD, Reason.IMMATURE)
    assert null_reasons(result)["MCP2"] == (NullReason.IMMATURE, NullReason.IMMATURE)
    assert result.joints[0].erosion is None


def test_growth_plates_do_not_hold_a_film_of_a_stated_adult():
    result = score(dicom(hand(), PatientAge="040Y"), "P1-LH.dcm", grader=GROWING)
    assert result.status is Status.SCORED


def test_growth_plates_do_not_hold_what_a_person_has_released():
    engines = EngineSet({(Role.DETECT, Limb.HAND): Dots(), (Role.SCORE, Limb.HAND): GROWING})
    word = OperatorStatement(Limb.HAND, Laterality.LEFT)
    outcome = FilmScorer(engines, PipelineSettings()).score(png(hand()), "P1-LH.png", word)
    assert outcome.limbs[0].result.status is Status.SCORED


def test_a_scorer_that_sees_nothing_amiss_grades_every_joint():
    result = score(png(hand()), grader=Excluder(0.4, 0.4, 0.4))
    assert [joint.erosion for joint in result.joints] == [2] * 10


def test_the_thumbs_missing_narrowing_has_its_own_reason():
    assert null_reasons(score(png(hand()))) == {"IP1": (None, NullReason.NOT_IN_SVH)}


def test_every_code_is_reached_by_a_test():
    reached = [set(ELSEWHERE), set(DECODING), set(HERE)]
    assert set.union(*reached) == set(Reason)
    assert sum(map(len, reached)) == len(Reason)
    assert set(ODD) == HERE
    assert set(NULL) | {NullReason.NOT_IN_SVH} == set(NullReason)


@pytest.mark.parametrize("reason", sorted(set(ELSEWHERE) | DECODING))
def test_codes_of_other_rooms_are_asserted_by_their_tests(reason):
    places = [ELSEWHERE[reason]] if reason in ELSEWHERE else ["tests/edge/imaging"]
    files = [
        file
        for place in places
        for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).glob("test_*.py"))
    ]
    asserted = re.compile(rf"Reason\.{reason.name}\b|[\"']{reason.value}[\"']")
    assert any(asserted.search(line) for file in files for line in file.read_text().splitlines()), (
        f"no test in {places} names {reason}"
    )
