"""The options of ``score``: tables, pictures, an operator's word, and what cannot be done."""

from __future__ import annotations

import csv
import shutil

import cv2
import openpyxl
import pytest
from typer.testing import CliRunner

from edge.engine.loader import load_engines
from edge.errors import EngineError
from edge.system.paths import built_engines
from phantom.command import write_patients
from sharpedge.cli import app
from sharpedge.tables import cells


def score(*arguments):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Both hands of a simulated patient, in a folder inside the folder."""
    try:
        load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    drawn, folder = tmp_path_factory.mktemp("drawn"), tmp_path_factory.mktemp("films")
    write_patients(drawn, 1, 31)
    (folder / "below").mkdir()
    for side in ("LH", "RH"):
        shutil.copy(drawn / f"P0001-{side}.jpg", folder / "below")
    return folder


@pytest.fixture(scope="module")
def scored(films, tmp_path_factory):
    """What one call writes that asks for everything."""
    out = tmp_path_factory.mktemp("out")
    tables = ("--csv", out / "t.csv", "--xlsx", out / "t.xlsx")
    done = score(films, "--out", out / "pictures", "--overlay", *tables)
    assert done.exit_code in {0, 3}, done.output
    assert "Research use only, not a medical device." in done.stdout
    return out


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_a_limb_with_path_study_and_date(scored, films):
    rows = rows_of(scored / "t.csv")
    assert [row["path"] for row in rows] == [
        str(films / "below" / f"P0001-{side}.jpg") for side in ("LH", "RH")
    ]
    assert [(row["study"], row["date"], row["side"]) for row in rows] == [
        ("P0001", "", "L"), ("P0001", "", "R"),
    ]  # fmt: skip
    assert all(row["erosion_MCP2"].isdigit() or row["not_scored"] for row in rows)


def test_the_workbook_says_the_same(scored):
    sheet = openpyxl.load_workbook(scored / "t.xlsx")["results"]
    cells_of = [["" if it.value is None else str(it.value) for it in row] for row in sheet.rows]
    with (scored / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        assert cells_of == list(csv.reader(file))


def test_each_limb_has_picture_mask_and_overlay_and_both_hands_one_of_both(scored):
    names = {path.name for path in (scored / "pictures").iterdir()}
    one = {f"P0001-{s}_0{e}" for s in ("LH", "RH") for e in (".jpg", "_mask.png", "_overlay.png")}
    assert names == one | {"P0001-LH_0+P0001-RH_0_hands.jpg"}
    film = cv2.imread(str(scored / "pictures" / "P0001-LH_0_mask.png"), cv2.IMREAD_UNCHANGED)
    overlay = cv2.imread(str(scored / "pictures" / "P0001-LH_0_overlay.png"), cv2.IMREAD_UNCHANGED)
    assert overlay.shape == (*film.shape, 4)
    both = cv2.imread(str(scored / "pictures" / "P0001-LH_0+P0001-RH_0_hands.jpg"))
    assert both.shape[1] > both.shape[0]


def test_folders_inside_are_left_out_when_asked(films):
    done = score(films, "--no-recursive")
    assert done.exit_code == 2
    assert "no film was found" in done.stderr


@pytest.mark.parametrize("word", ["r", "Right"])
def test_a_side_in_any_case_or_spelt_out_is_taken_as_the_operator_s_word(films, tmp_path, word):
    film = shutil.copy(films / "below" / "P0001-RH.jpg", tmp_path / "film.jpg")
    done = score(film, "--side", word, "--limb", "Hand", "--csv", tmp_path / "t.csv")
    assert done.exit_code in {0, 3}, done.output
    (row,) = rows_of(tmp_path / "t.csv")
    assert (row["side"], row["side_source"]) == ("R", "operator")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--out", "{file}"], "is a file; --out takes a folder (fix: --out film-scored)"),
        (["--overlay"], "--overlay has nowhere to write to (fix: add --out FOLDER)"),
        (["--csv", "{folder}"], "is a folder; a table is a file (fix: "),
        (["--xlsx", "{folder}/none/t.xlsx"], "there is no folder "),
    ],
)
def test_what_cannot_be_written_is_said_before_a_film_is_scored(tmp_path, options, wanted):
    film = tmp_path / "film.jpg"
    film.touch()
    options = [option.format(file=film, folder=tmp_path) for option in options]
    done = score(film, *options)
    assert done.exit_code == 2
    assert wanted in done.stderr
    assert done.stdout == ""


def test_without_the_package_for_workbooks_no_film_is_scored(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "find_spec", lambda _name: None)
    film = tmp_path / "film.jpg"
    film.touch()
    done = score(film, "--xlsx", tmp_path / "t.xlsx")
    assert isinstance(done.exception, cells.TableError)
    assert done.stdout == ""


@pytest.mark.parametrize("option", ["--csv-identifiers", "--fhir-identifiers", "--hl7-identifiers"])
def test_an_identifier_that_there_is_not_ends_the_command(tmp_path, option):
    (tmp_path / "film.jpg").write_bytes(b"film")
    done = CliRunner().invoke(app, ["score", str(tmp_path), option, "patient_name"])
    assert done.exit_code == 2
    assert f"{option} patient_name: takes all, none" in done.output
