"""Decides by the tags whether a DICOM film is a plain radiograph of a person's hand or foot.

Layer: imaging; pure functions over a data set. Coded tags are judged by table, text by whole words.
Details name the tag and a word of the tables, because free text may hold patient data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.uid import UID

from edge.anatomy import Limb
from edge.errors import FilmError, Reason
from edge.imaging.tags import items, text, value
from edge.imaging.words import fold, limb_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


def _terms(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_OTHER_MODALITIES = _terms(
    "ANN AR AS ASMT AU BDUS BI BMD CD CF CP CS CT CTPROTOCOL DD DF DG DM DMS DOC DS EC ECG EEG",
    "EMG EOG EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM",
    "OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS PA PLAN POS PR PT PX REG RESP RF RTDOSE",
    "RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN",
    "TEXTUREMAP TG US VA VF XA XAPROTOCOL XC",
)
"""Terms of the standard, retired ones included, but CR, DX, RG, OT. A term that the standard does
not have (XR) is not judged."""
_RADIOGRAPH_CLASSES = frozenset(
    "1.2.840.10008.5.1.4.1.1." + end
    for end in ("1", "1.1", "1.1.1", "7", "7.1", "7.2", "7.3", "7.4")
)
"""Computed and digital radiography (for presentation and for processing), secondary capture."""
_OTHER_IMAGE_TYPES = _terms(
    "LOCALIZER SCOUT TOPOGRAM SURVIEW AXIAL MPR MIP MINIP REFORMATTED PROJECTION_IMAGE",
    "TOMOSYNTHESIS TOMO SUBTRACTION DOSE DOSE_INFO DOSE_REPORT REPORT PATIENT_PROTOCOL",
    "SCREEN_SAVE SCREENSAVE SCREENSHOT SCREEN_CAPTURE CALIBRATION FLAT_FIELD FLATFIELD",
    "DARK_FIELD TEST_PATTERN QC QA QC_IMAGE QA_IMAGE PHANTOM",
)
_OTHER_CONVERSIONS = frozenset({"DV", "SD", "DRW", "SYN"})
"""Video, scanned document, drawing, synthetic image."""

_HUMAN_SPECIES = frozenset({"337915000", "L-85B00"})
_HUMAN_WORDS = _terms(
    "human humans homo sapiens person man mensch menschlich humain humano humana umano umana",
    "umani menneske manniska czlowiek mens h hs",
)
_NO_WORDS = _terms(
    "none no na n a unknown unspecified other not applicable",
)

_TEST_TEXT = (
    "PatientID", "PatientName", "PatientComments", "ImageComments", "StudyDescription",
    "SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription",
    "RequestedProcedureDescription", "AcquisitionDeviceProcessingDescription", "BodyPartExamined",
)  # fmt: skip
_TEST_OBJECT = re.compile(
    r"\b(?:phantoms?|fantome?s?|fantomas?|fantoom)\b(?!\W*(?:limb|pain|schmerz|sensation))"
    r"|\b(?:qc|qa)\W*(?:test|image|film|check|control|object|exposure|patient)s?\b"
    r"|\b(?:test|prue?f|konstanz)\W?(?:objects?|korper|koerper|prufung|pruefung|bild|pattern)\b"
    r"|\bquality\W(?:control|assurance)\b|\bqualitats(?:kontrolle|sicherung)\b"
    r"|\bcontrole (?:de (?:la )?)?qual\w+|\bcontrollo (?:di )?qual\w+|\bcontrol de calidad\b"
    r"|\bkwaliteits?controle\b|\bkvalitets?(?:kontroll?|sikring)\b"
    r"|\b(?:constancy|acceptance|uniformity)\W(?:test|check|image)s?\b"
    r"|\bflat\W?field\b|\bstep\W?wedge\b|\bcdrad\b|\bcalibration (?:image|film|exposure)\b"
)
_WHOLE_ID = re.compile(r"(?:qc|qa)\Z")

LIMB_CODES = {
    "85562004": Limb.HAND,
    "7569003": Limb.HAND,
    "76505004": Limb.HAND,
    "8205005": Limb.HAND,
    "74670003": Limb.HAND,
    "36455000": Limb.HAND,
    "24097009": Limb.HAND,
    "T-D8700": Limb.HAND,
    "T-D8800": Limb.HAND,
    "T-D8810": Limb.HAND,
    "T-D8600": Limb.HAND,
    "T-15460": Limb.HAND,
    "56459004": Limb.FOOT,
    "29707007": Limb.FOOT,
    "419176008": Limb.FOOT,
    "70258002": Limb.FOOT,
    "344001": Limb.FOOT,
    "80144004": Limb.FOOT,
    "280711000": Limb.FOOT,
    "108371006": Limb.FOOT,
    "T-D9700": Limb.FOOT,
    "T-D9800": Limb.FOOT,
    "T-D9500": Limb.FOOT,
    "T-15750": Limb.FOOT,
    "T-12770": Limb.FOOT,
}
"""SNOMED CT and SRT: hand, finger, thumb, wrist, metacarpus; foot, toe, forefoot, ankle, heel bone,
metatarsus, tarsus."""
_NEUTRAL_REGIONS = frozenset({"53120007", "61685007", "66019005", "38266002", "82680008",
                              "T-D8000", "T-D9000", "T-D0300", "T-D0010", "T-D0310"})  # fmt: skip
"""Upper limb, lower limb, extremity, whole body, digit."""
_NEUTRAL_WORDS = _terms(
    "extremity extremities limb limbs member body digit unknown unspecified other misc",
)
_PART_WORDS = _terms(
    "rib ribs hip hips leg legs arm arms head neck face eye ear jaw nose teeth tooth kub hws",
    "bws lws tmj kopf tete cabeza testa hals collo cuello cou bras brazo braccio jambe pierna",
    "gamba anca hofte hoft colon lung lungs heart herz coeur brain liver kidney chin cheek",
    "ilium ischium pubis uterus bladder bauch ventre rucken dos espalda sein seno bark",
)
"""Words that count in coded tags only: in a sentence they mean other things (French "face")."""
_PART_STARTS = (
    "chest", "thora", "torac", "torax", "lunge", "pulm", "stern", "clavic", "schlussel", "scapul",
    "shoulder", "schulter", "epaule", "hombro", "spalla", "ombro", "humer", "oberarm", "elbow",
    "ellenbog", "ellbog", "coude", "codo", "gomito", "cotovel", "forearm", "unterarm", "avantbras",
    "antebra", "antebraz", "avambrac", "skull", "schadel", "schaedel", "crane", "crani", "spine",
    "cspine", "tspine", "lspine", "sspine", "ctspine", "tlspine", "lsspine", "spinal", "wirbel",
    "rachis", "column", "vertebr", "sacr", "coccy", "kreuzbein", "lumba", "lumbo", "cervic",
    "pelvi", "becken", "bassin", "huft", "hueft", "hanche", "cadera", "quadril",
    "femur", "femor", "thigh", "oberschenk", "cuisse", "muslo", "coscia", "knee", "knie", "genou",
    "rodilla", "ginocch", "joelho", "patell", "tibia", "fibula", "lowerleg", "upperleg", "upperarm",
    "unterschenk", "abdom", "stomach", "bowel", "breast", "brust", "mamma", "mammo", "mandib",
    "maxill", "kiefer", "zahn", "dental", "facial", "nasal", "orbit", "sinus", "tmjoint", "zygoma",
    "larynx", "pharynx", "esoph", "oesoph", "aorta", "carotid", "prostat", "scolio", "mediast",
    "diaphrag", "acromio", "pneumo", "heup", "schouder", "elleboog", "borst", "wervel", "bekken",
    "buik", "skulder", "albue", "bryst", "rygg", "kolano", "biodro", "lokiec", "klatka",
)  # fmt: skip
_PARTS_OF = (
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "StudyDescription",
    "RequestedProcedureDescription",
)
_TOKEN = re.compile(r"[^\W\d_]+")


def check_subject(data: Dataset) -> None:
    """Refuse what is no plain radiograph of a patient by its tags.

    Raises `FilmError` with ``other_modality`` or ``not_a_patient``; the detail names the tag.
    """
    for found in _other_kind(data):
        raise FilmError(Reason.OTHER_MODALITY, found)
    for found in _no_patient(data):
        raise FilmError(Reason.NOT_A_PATIENT, found)


def other_part(data: Dataset, limb: Limb | None) -> str | None:
    """Name the tag that states another body part than hand or foot, and the part.

    Parameters
    ----------
    data
        The film's data set.
    limb
        Limb that any tag names; without one, descriptions count too.

    Returns
    -------
    str or None
        E.g. ``"BodyPartExamined CHEST"``; None where no tag names another part. Wrist and finger
        count as hand, ankle and toe as foot, and an extremity may be either.
    """
    part = text(data, "BodyPartExamined")
    named = part_in(part)
    if named is not None:
        return f"BodyPartExamined {named.upper()}"
    for region in items(data, "AnatomicRegionSequence"):
        code, meaning = text(region, "CodeValue").upper(), text(region, "CodeMeaning")
        if _is_other_region(code, meaning):
            return f"AnatomicRegionSequence {code or part_in(meaning) or 'without a code'}"
    if limb is None:
        for keyword in _PARTS_OF:
            named = part_in(text(data, keyword), coded=False)
            if named is not None:
                return f"{keyword} {named.upper()}"
    return None


def part_in(words: str, *, coded: bool = True) -> str | None:
    """Word for a body part other than hand or foot in a text that names neither; else None."""
    tokens = _TOKEN.findall(fold(words))
    if _names_limb(tokens):
        return None
    for token in map(str, tokens):
        if token.startswith(_PART_STARTS) or (coded and token in _PART_WORDS):
            return token
    return None


def _names_limb(tokens: list[str]) -> bool:
    return any(limb_in(token) is not None for token in tokens)


def _is_other_region(code: str, meaning: str) -> bool:
    tokens = _TOKEN.findall(fold(meaning))
    if code in LIMB_CODES or code in _NEUTRAL_REGIONS or _names_limb(tokens):
        return False
    return bool(code or tokens) and _NEUTRAL_WORDS.isdisjoint(tokens)


def _other_kind(data: Dataset) -> Iterator[str]:
    modality = text(data, "Modality").upper()
    if modality in _OTHER_MODALITIES:
        yield f"Modality {modality}"
    uid = text(data, "SOPClassUID")
    # A class that the standard does not have is a private one: not judged.
    if uid not in _RADIOGRAPH_CLASSES and "Storage" in UID(uid).name:
        yield f"SOPClassUID {UID(uid).name}"
    for part in _parts(data, "ImageType"):
        term = re.sub(r"\W+", "_", part.upper()).strip("_")
        if term in _OTHER_IMAGE_TYPES:
            yield f"ImageType {term}"
    conversion = text(data, "ConversionType").upper()
    if conversion in _OTHER_CONVERSIONS:
        yield f"ConversionType {conversion}"


def _no_patient(data: Dataset) -> Iterator[str]:
    for keyword in ("QualityControlImage", "QualityControlSubject"):
        if text(data, keyword).upper() == "YES":
            yield f"{keyword} YES"
    for keyword in _TEST_TEXT:
        words = re.sub(r"[_^]", " ", fold(text(data, keyword))).strip()
        if _TEST_OBJECT.search(words) or (keyword == "PatientID" and _WHOLE_ID.match(words)):
            yield f"{keyword} names a test object"
    for keyword in ("PatientSpeciesDescription", "PatientBreedDescription"):
        tokens = set(_TOKEN.findall(fold(text(data, keyword))))
        if tokens and not tokens <= _HUMAN_WORDS | _NO_WORDS and not tokens & _HUMAN_WORDS:
            yield f"{keyword} names an animal"
    for keyword in ("PatientSpeciesCodeSequence", "PatientBreedCodeSequence"):
        for code in items(data, keyword):
            tokens = set(_TOKEN.findall(fold(text(code, "CodeMeaning"))))
            human = text(code, "CodeValue").upper() in _HUMAN_SPECIES or tokens & _HUMAN_WORDS
            if not human and (tokens or text(code, "CodeValue")):
                yield f"{keyword} names an animal"
    if text(data, "PatientSexNeutered"):
        yield "PatientSexNeutered is for animals"


def _parts(data: Dataset, keyword: str) -> list[str]:
    found = value(data, keyword)
    if found is None:
        return []
    return [found] if isinstance(found, str) else [str(part) for part in found]
