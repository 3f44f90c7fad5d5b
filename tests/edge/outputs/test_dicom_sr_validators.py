"""Documents judged by dciodvfy, dsrdump, PixelMed's SR validator and dicom-validator.

Warnings are allowed and listed in docs/dicom_outputs.md; errors are not. Each skips where its
program is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dicom_films import NAMES, a_film, a_film_of, a_report, every_kind
from film_files import DATA, jpeg, ramp
from many_documents import COUNT, many, sources

from edge.imaging.decode import decode_film
from edge.model import SrClass
from edge.outputs.dicom_sc import sc_of
from edge.outputs.dicom_source import NoSourceError, read_source
from edge.outputs.dicom_sr import sr_of
from edge.pipeline.overlay import draw_film
from edge.scoring.drawing import as_jpeg
from phantom.command import patient_film, patient_grades

FULL = os.environ.get("SHARPEDGE_DOCUMENTS") == "full"
ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "dicom_outputs.md"
PIXELMED = Path("/usr/share/java/pixelmed.jar")
MANY_AT_ONCE = ROOT / "tests" / "pixelmed" / "ValidateReports.java"
STANDARD = "SHARPEDGE_DICOM_STANDARD"
"""Variable with the folder that dicom-validator keeps the DICOM standard in."""
# The validator's stylesheets are larger than the limits of newer Java releases.
_JAVA = " ".join(
    f"-Djdk.xml.{limit}=0"
    for limit in ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")
)
_SPACING = {"PixelSpacing": ["0.1", "0.1"], "PixelSpacingCalibrationType": "GEOMETRY"}
_PROCESSES = 2


def program(name):
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lines_of(*command, timeout_s=120):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s,
        errors="replace", env=os.environ | {"JAVA_TOOL_OPTIONS": _JAVA},
    )  # fmt: skip
    return (done.stdout + done.stderr).splitlines()


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A folder of documents: all kinds, both classes, all names, a phantom film.

    In full 200 results, each as a report and as a picture.
    """
    folder = tmp_path_factory.mktemp("documents")
    if FULL:
        films = sources()
        for made in many():
            source = films[made.name]
            report = sr_of(made.report, source, made.sr_class)
            (folder / f"sr-{made.stem}.dcm").write_bytes(report)
            picture = sc_of(made.report, source, jpeg(ramp(61, 45)))
            (folder / f"sc-{made.stem}.dcm").write_bytes(picture)
    else:
        _short(folder)
    _calibrated(folder)
    _phantom(folder)
    return folder


def _short(folder):
    for name in NAMES:
        source = read_source(a_film(name, size=(2000, 1600)))
        for kind, report in every_kind().items():
            if name == "empty" or kind == "superseding":
                for sr_class in SrClass:
                    path = folder / f"sr-{name}-{kind}-{sr_class}.dcm".replace(" ", "_")
                    path.write_bytes(sr_of(report, source, sr_class))
            if kind == "superseding":
                picture = sc_of(report, source, jpeg(ramp(61, 45)))
                (folder / f"sc-{name}-{kind}.dcm".replace(" ", "_")).write_bytes(picture)


def _calibrated(folder):
    source = read_source(a_film(WindowCenter="120", WindowWidth="200", **_SPACING))
    (folder / "sr-calibrated.dcm").write_bytes(sr_of(a_report(), source))


def _phantom(folder):
    """Film and picture of a simulated patient in a CR data set."""
    one = patient_film(patient_grades(31, 1, "flat"), 31, 1, 0, "eval", mirrored=False)

    film = a_film_of(one.film.pixels)
    source, report = read_source(film), a_report()
    picture = as_jpeg(draw_film(decode_film(film, "f.dcm", 80), report.result, (1024, 1024)))
    (folder / "sr-phantom.dcm").write_bytes(sr_of(report, source))
    (folder / "sc-phantom.dcm").write_bytes(sc_of(report, source, picture))


@pytest.fixture(scope="module")
def real_documents(tmp_path_factory):
    """Documents of the real radiographs; what their own tags lack is their makers' fault."""
    folder = tmp_path_factory.mktemp("real")
    for path in sorted((DATA / "dicom").rglob("*.dcm")):
        try:
            source = read_source(path.read_bytes())
        except NoSourceError:
            continue
        # One film's own UIDs are none that the standard allows; they are referred to as they are.
        if source.modality in {"CR", "DX"} and not source.sop_instance.startswith("999."):
            (folder / f"sr-{path.name}").write_bytes(sr_of(a_report(), source))
    if not list(folder.iterdir()):
        pytest.skip("no real DICOM films: ../shared/data/dicom is missing")
    return folder


def said_by_dciodvfy(folder):
    """What it says of each document of a folder."""
    name, paths = program("dciodvfy"), sorted(folder.iterdir())
    with ThreadPoolExecutor(_PROCESSES) as pool:
        said = dict(
            zip(paths, pool.map(lambda path: lines_of(name, str(path)), paths), strict=True)
        )
    assert all(said.values())
    return said


def errors_in(said):
    return {path.name: faults for path, lines in said.items()
            if (faults := [line for line in lines if line.startswith("Error")])}  # fmt: skip


@pytest.fixture(scope="module")
def judged(documents):
    return said_by_dciodvfy(documents)


def test_dciodvfy_finds_no_error(judged, figures):
    assert len(judged) >= (2 * COUNT if FULL else 40)
    faults = errors_in(judged)
    figures["dciodvfy (dicom3tools)"] = (
        len(judged), len(faults), "modules and values of every SR and Secondary Capture",
    )  # fmt: skip
    assert not faults


def test_dciodvfy_finds_no_error_in_documents_of_real_films(real_documents):
    assert not errors_in(said_by_dciodvfy(real_documents))


def test_dciodvfy_warns_of_what_the_page_lists_and_nothing_else(judged):
    page = PAGE.read_text()
    for path, lines in judged.items():
        for line in lines:
            if line.startswith("Warning"):
                words = re.sub(r"<[^>]*>", "<...>", line.removeprefix("Warning - "))
                assert words in page, (path.name, line)


def test_dsrdump_reads_every_report(documents, figures):
    paths = sorted(documents.glob("sr-*.dcm"))
    faults = []
    for path in paths:
        done = subprocess.run(
            [program("dsrdump"), str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            errors="replace",
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        if done.returncode or said or "not a medical device" not in done.stdout:
            faults.append((path.name, done.stderr))
    figures["dsrdump (DCMTK)"] = (len(paths), len(faults), "reads and prints every SR")
    assert not faults


def said_by_pixelmed(paths):
    """Lines of its SR validator for each report.

    One start of Java takes seconds, most of them to compile its rules: many reports are judged in
    one process where Java's compiler is there, a few one by one elsewhere.
    """
    if shutil.which("javac") is None or not PIXELMED.is_file():
        if FULL:
            pytest.skip("no javac (Debian package default-jdk-headless): too slow one by one")
        name = program("DicomSRValidator")
        return {path: lines_of(name, str(path)) for path in paths}
    groups = [paths[n::_PROCESSES] for n in range(min(_PROCESSES, len(paths)))]
    with ThreadPoolExecutor(_PROCESSES) as pool:
        found = pool.map(_judged_together, groups)
        return {path: lines for group in found for path, lines in group.items()}


def _judged_together(paths):
    lines = lines_of(
        "java", "-cp", str(PIXELMED), str(MANY_AT_ONCE), *map(str, paths), timeout_s=3000
    )
    found, at = {}, None
    for line in lines:
        if line.startswith("== "):
            at = found.setdefault(Path(line[3:]), [])
        elif at is not None:
            at.append(line)
    return found


def test_pixelmed_finds_no_error_and_warns_of_items_outside_the_template_only(documents, figures):
    few = [documents / "sr-empty-partly_scored_hand-3d.dcm"]
    paths = sorted(documents.glob("sr-*.dcm")) if FULL else few
    said = said_by_pixelmed(paths)
    assert sorted(said) == paths
    faults = errors_in(said)
    figures["DicomSRValidator (PixelMed)"] = (
        len(paths), len(faults), "module and template (TID 1500) of every SR",
    )  # fmt: skip
    assert not faults
    for lines in said.values():
        assert "IOD validation complete" in lines, lines
        assert "Root Template Validation Complete" in lines, lines
        warnings = [line for line in lines if line.startswith("Warning")]
        assert warnings
        assert all(line.endswith("Content Item not in template") for line in warnings)


def test_dicom_validator_finds_no_error(documents, figures):
    standard = os.environ.get(STANDARD)
    if not standard or not Path(standard).is_dir():
        pytest.skip(f"{STANDARD} names no folder with the DICOM standard for dicom-validator")
    paths = sorted(documents.iterdir())
    command = [program("validate_iods"), "--standard-path", standard, "--edition", "local"]
    done = subprocess.run(
        [*command, *map(str, paths)], capture_output=True, text=True, check=False, timeout=1800
    )
    figures["dicom-validator"] = (len(paths), done.returncode, "modules of every document")
    assert done.returncode == 0, done.stdout
