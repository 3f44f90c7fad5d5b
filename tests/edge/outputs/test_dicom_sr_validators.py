"""Documents judged by others' programs: dciodvfy, dsrdump and PixelMed's SR validator.

Warnings are allowed and listed in docs/dicom_outputs.md; errors are not. Each skips where its
program is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_films import NAMES, a_film, a_film_of, a_report, every_kind
from film_files import DATA, jpeg, ramp

from edge.imaging.decode import decode_film
from edge.model import SrClass
from edge.outputs.dicom_sc import sc_of
from edge.outputs.dicom_source import NoSourceError, read_source
from edge.outputs.dicom_sr import sr_of
from edge.pipeline.overlay import draw_film
from edge.scoring.drawing import as_jpeg
from phantom.command import patient_film, patient_grades

FULL = os.environ.get("SHARPEDGE_DOCUMENTS") == "full"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "dicom_outputs.md"
# The validator's stylesheets are larger than the limits of newer Java releases.
_JAVA = " ".join(
    f"-Djdk.xml.{limit}=0"
    for limit in ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")
)
_SPACING = {"PixelSpacing": ["0.1", "0.1"], "PixelSpacingCalibrationType": "GEOMETRY"}


def program(name):
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lines_of(*command):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"JAVA_TOOL_OPTIONS": _JAVA},
    )  # fmt: skip
    return (done.stdout + done.stderr).splitlines()


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A folder of documents: all kinds in both classes, all names, real films, a phantom film."""
    folder = tmp_path_factory.mktemp("documents")
    for name in NAMES:
        source = read_source(a_film(name, size=(2000, 1600)))
        for kind, report in every_kind().items():
            if FULL or name == "empty" or kind == "superseding":
                for sr_class in SrClass:
                    path = folder / f"sr-{name}-{kind}-{sr_class}.dcm".replace(" ", "_")
                    path.write_bytes(sr_of(report, source, sr_class))
            if FULL or kind == "superseding":
                picture = sc_of(report, source, jpeg(ramp(61, 45)))
                (folder / f"sc-{name}-{kind}.dcm".replace(" ", "_")).write_bytes(picture)
    _calibrated(folder)
    _phantom(folder)
    return folder


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


def errors_of_dciodvfy(path):
    lines = lines_of(program("dciodvfy"), str(path))
    assert lines, path
    return [line for line in lines if line.startswith("Error")]


def test_dciodvfy_finds_no_error(documents):
    faults = {path.name: errors_of_dciodvfy(path) for path in documents.iterdir()}
    assert len(faults) >= (200 if FULL else 40)
    assert not {name: found for name, found in faults.items() if found}


def test_dciodvfy_finds_no_error_in_documents_of_real_films(real_documents):
    faults = {path.name: errors_of_dciodvfy(path) for path in real_documents.iterdir()}
    assert not {name: found for name, found in faults.items() if found}


def test_dciodvfy_warns_of_what_the_page_lists_and_nothing_else(documents):
    page = PAGE.read_text()
    for path in documents.iterdir():
        for line in lines_of(program("dciodvfy"), str(path)):
            if line.startswith("Warning"):
                words = re.sub(r"<[^>]*>", "<...>", line.removeprefix("Warning - "))
                assert words in page, (path.name, line)


def test_dsrdump_reads_every_report(documents):
    for path in documents.glob("sr-*.dcm"):
        done = subprocess.run(
            [program("dsrdump"), str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            errors="replace",
        )
        assert done.returncode == 0, (path.name, done.stderr)
        assert "not a medical device" in done.stdout
        assert not [line for line in done.stderr.splitlines() if line.startswith("E:")], done.stderr


def test_pixelmed_finds_no_error_and_warns_of_items_outside_the_template_only(documents):
    # One start of Java takes seconds.
    few = ("sr-empty-partly_scored_hand-3d.dcm",)
    names = [path.name for path in documents.glob("sr-empty-*.dcm")] if FULL else few
    for name in names:
        lines = lines_of(program("DicomSRValidator"), str(documents / name))
        assert "IOD validation complete" in lines, lines
        assert "Root Template Validation Complete" in lines, lines
        assert not [line for line in lines if line.startswith("Error")], name
        warnings = [line for line in lines if line.startswith("Warning")]
        assert warnings
        assert all(line.endswith("Content Item not in template") for line in warnings)
