"""Films as DICOM objects with patient and study, and what their documents say, for tests."""

from __future__ import annotations

from datetime import datetime, timezone
from io import BytesIO
from warnings import catch_warnings, simplefilter

from film_files import CR_CLASS, EXPLICIT_LITTLE, film, item, ramp
from hypothesis import strategies as st
from limb_results import VERSIONS, a_result
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from edge.anatomy import Limb, has_narrowing
from edge.errors import REASONS, NullReason, Reason, SpaceReason, rejected
from edge.model import (
    JointScore,
    JointSpace,
    Laterality,
    LateralitySource,
    LimbResult,
    SpacePart,
    SrClass,
    Status,
)
from edge.outputs.report import LimbReport, Predecessor
from edge.totals import limb_subtotals

MOMENT = datetime(2026, 3, 4, 10, 31, 5, 250000, tzinfo=timezone.utc)
RESULT_ID = "0e3b6ab2-43d5-5c55-8a9f-0f6de70a1d11"
EARLIER_ID = "5a2d5f94-4f59-5f2e-9f6e-62dbd2cf5a90"
STUDY, SERIES, INSTANCE = "1.2.840.99999.7", "1.2.840.99999.7.1", "1.2.840.99999.7.1.1"
NAMES = {
    "ascii": (None, "Doe^Jane"),
    "empty": (None, ""),
    "latin": ("ISO_IR 100", "Müller^Jürgen"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "arabic": ("ISO_IR 127", "قباني^لنزار"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "unicode": ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
}
"""Specific Character Set and Patient's Name."""


def a_film(name="ascii", *, size=(400, 320), syntax=EXPLICIT_LITTLE, **tags):
    """A CR film (rows, columns) of a patient; a tag set to None is left out."""
    return a_film_of(ramp(*size), name, syntax=syntax, **tags)


def a_film_of(pixels, name="ascii", *, syntax=EXPLICIT_LITTLE, **tags):
    """The same of 8-bit pixels [h, w]."""
    charset, person = NAMES[name]
    given = {
        "SpecificCharacterSet": charset,
        "SOPClassUID": CR_CLASS,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "Modality": "CR",
        "PatientName": person,
        "PatientID": "P-77",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "StudyDate": "20260304",
        "StudyTime": "1029",
        "AccessionNumber": "A-4711",
        "ReferringPhysicianName": person,
        "StudyID": "S1",
        "StudyDescription": "Hand",
        "IssuerOfPatientID": "Clinic",
        "PatientAge": "076Y",
        "ProcedureCodeSequence": [
            item(CodeValue="HAND2", CodingSchemeDesignator="99LOCAL", CodeMeaning="Hand, PA")
        ],
    } | tags
    present = {keyword: value for keyword, value in given.items() if value is not None}
    return film(pixels.astype("uint16"), bits=8, syntax=syntax, **present)


def a_report(result=None, **changes):
    values = {"result": result or a_result(), "result_id": RESULT_ID, "moment": MOMENT}
    return LimbReport(**(values | changes))


def held(limb=Limb.HAND):
    """A limb whose joints were found and that a person must decide about."""
    reasons = {"erosion": None, "erosion_reason": "held", "narrowing": None,
               "narrowing_reason": "held"}  # fmt: skip
    return a_result(
        limb,
        grades=dict.fromkeys(limb.joints, reasons),
        status=Status.HELD,
        reason="side_conflict",
        advice=REASONS[Reason.SIDE_CONFLICT].advice,
        subtotals=None,
        n_scored=0,
    )


def partly_scored(limb=Limb.HAND):
    """A limb with grades, reasons, an uncertain name and a joint without a place."""
    first, second, third, *_ = reversed(limb.joints)
    return a_result(
        limb,
        grades={
            first: {"erosion": None, "erosion_reason": "implant", "erosion_expected": None},
            second: {"name": None, "name_candidate": second, "erosion_expected": 1.23456789},
            third: {"box": None, "centre": None, "erosion": None, "erosion_reason": "absent",
                    "narrowing": None, "narrowing_reason": "absent"},
        },
        laterality=Laterality.RIGHT,
    )  # fmt: skip


def with_spaces(mm=True):
    """A hand with joint spaces: measured, measured beside the middle, and not measured."""
    whole = {"mean": 1.52, "minimum": 1.21, "medial": 1.6, "lateral": 1.4}
    widths = {f"{what}_px": round(value * 8, 2) for what, value in whole.items()}
    if mm:
        widths |= {f"{what}_mm": value for what, value in whole.items()}
    space = JointSpace(part=SpacePart.MIDDLE, **widths)
    part = space.model_copy(update={"part": SpacePart.MARGIN, "medial_px": None, "medial_mm": None})
    spaces = {"MCP2": space, "MCP3": part, "PIP4": JointSpace(reason=SpaceReason.BLURRED)}
    return a_result(grades={joint: {"space": found} for joint, found in spaces.items()})


def every_kind():
    """Reports of all kinds by name."""
    superseding = Predecessor(EARLIER_ID, SrClass.COMPREHENSIVE_3D)
    kinds = {"superseding": a_report(supersedes=superseding)}
    for limb in Limb:
        kinds[f"scored {limb}"] = a_report(a_result(limb))
        kinds[f"partly scored {limb}"] = a_report(partly_scored(limb))
        kinds[f"held {limb}"] = a_report(held(limb))
    ungraded = {"erosion": None, "erosion_reason": "no_scorer", "narrowing": None,
                "narrowing_reason": "no_scorer"}  # fmt: skip
    nothing = a_result(
        grades=dict.fromkeys(Limb.HAND.joints, ungraded),
        status=Status.NOT_GRADED,
        reason="no_scorer",
        laterality=None,
        laterality_source=None,
    )  # fmt: skip
    for what, mm in (("mm", True), ("pixels", False)):
        kinds[f"joint spaces in {what}"] = a_report(with_spaces(mm=mm))
    kinds["not graded"] = a_report(nothing)
    kinds["rejected"] = a_report(rejected(Reason.NOT_HAND_OR_FOOT, "film-7.dcm", VERSIONS))
    return kinds


def raw_value(data, keyword):
    """Bytes of an element as they lie in a file."""
    with catch_warnings():
        simplefilter("ignore")
        dataset = dcmread(BytesIO(data), stop_before_pixels=True)
    return dataset.get_item(tag_for_keyword(keyword)).value


@st.composite
def results(draw):
    """Results of limbs: scored, partly scored, not graded, held."""
    limb = draw(st.sampled_from(list(Limb)))
    status = draw(st.sampled_from([Status.SCORED, Status.SCORED, Status.NOT_GRADED, Status.HELD]))
    names = draw(st.lists(st.sampled_from(limb.joints), unique=True))
    joints = tuple(draw(_joint(limb, name, status)) for name in names)
    scored = status is Status.SCORED
    reason = draw(st.sampled_from([str(code) for code in Reason]))
    return LimbResult(
        file="film-7.dcm",
        limb_index=draw(st.integers(0, 3)),
        status=status,
        reason=None if scored else reason,
        advice=None if scored else REASONS[Reason(reason)].advice,
        limb=limb,
        laterality=draw(st.sampled_from([None, *Laterality])),
        laterality_source=LateralitySource.DICOM,
        joints=joints,
        subtotals=None if status is Status.HELD else limb_subtotals(limb, joints),
        versions=VERSIONS,
    )


@st.composite
def _joint(draw, limb, name, status):
    numbers = st.floats(0, 10, allow_nan=False)
    places = st.floats(-50, 2100, allow_nan=False)
    fields = {}
    for task, maximum in (("erosion", limb.erosion_maximum), ("narrowing", 4)):
        graded = status is Status.SCORED and draw(st.booleans())
        if task == "narrowing" and not has_narrowing(limb, name):
            fields["narrowing_reason"] = "not_in_svh"
        elif graded:
            fields[task] = draw(st.integers(0, maximum))
            fields[f"{task}_expected"] = draw(st.none() | numbers)
        else:
            fields[f"{task}_reason"] = draw(st.sampled_from([str(code) for code in NullReason]))
    certain = draw(st.booleans())
    fields |= {"name": name} if certain else {"name_candidate": name}
    fields["box"] = draw(st.none() | st.tuples(places, places, places, places))
    fields["centre"] = draw(st.none() | st.tuples(places, places))
    return JointScore(**fields)
