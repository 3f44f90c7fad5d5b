"""The Python interface scores paths, bytes and arrays alike, and says what it cannot score."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import sharpedge
from edge.pipeline.settings import PipelineSettings
from edge.scoring.reference_film import FILM_NAME, golden_film
from edge.system.paths import built_engines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engines():
    if not built_engines().is_dir():
        pytest.skip("no engines are built: sharpedge export")
    return sharpedge.load_engines(threads=1)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / FILM_NAME
    path.write_bytes(golden_film())
    return path


def grades(limbs):
    return [[(one.name, one.erosion, one.narrowing) for one in limb.joints] for limb in limbs]


def test_a_path_is_scored_as_the_command_scores_it(engines, film):
    (limb,) = sharpedge.score(film, engines=engines)
    assert (limb.status, limb.limb, limb.laterality) == ("scored", "hand", "L")
    assert limb.file == FILM_NAME
    assert limb.n_scored == 10


def test_bytes_and_arrays_give_the_grades_of_the_file(engines, film):
    named = grades(sharpedge.score(film, engines=engines))
    assert grades(sharpedge.score(film.read_bytes(), limb="hand", side="L", engines=engines)) == (
        named
    )
    pixels = cv2.imdecode(np.fromfile(film, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grades(sharpedge.score(pixels, limb="hand", side="L", engines=engines)) == named


def test_without_a_side_a_film_is_held_with_its_reason(engines):
    silent = PipelineSettings(read_markers=False)
    (limb,) = sharpedge.score(golden_film(), engines=engines, settings=silent)
    assert (limb.status, limb.reason) == ("held", "side_not_known")
    assert limb.advice
    (marked,) = sharpedge.score(golden_film(), engines=engines)
    assert (marked.status, marked.laterality_source) == ("scored", "marker")


@pytest.mark.parametrize("data", [b"", b"no film at all"])
def test_what_is_no_film_is_rejected_and_raises_nothing(engines, data):
    (limb,) = sharpedge.score(data, engines=engines)
    assert limb.status == "rejected"
    assert limb.reason


def test_a_missing_file_is_an_os_error(engines, tmp_path):
    with pytest.raises(FileNotFoundError):
        sharpedge.score(tmp_path / "none.jpg", engines=engines)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)],
)
def test_an_array_that_is_no_film_is_a_value_error_with_its_fix(engines, pixels):
    with pytest.raises(ValueError, match="fix: give grey values"):
        sharpedge.score(pixels, engines=engines)


@pytest.mark.parametrize("words", [{"limb": "knee"}, {"side": "left"}])
def test_an_unknown_limb_or_side_is_a_value_error(engines, words):
    with pytest.raises(ValueError, match="is not a valid"):
        sharpedge.score(golden_film(), engines=engines, **words)


def test_a_folder_without_engines_says_what_to_run(tmp_path):
    with pytest.raises(sharpedge.EngineError, match="sharpedge export"):
        sharpedge.load_engines(tmp_path)


def test_every_public_name_can_be_loaded_and_no_other():
    for name in sharpedge.__all__:
        assert getattr(sharpedge, name) is not None
    assert dir(sharpedge) == sharpedge.__all__
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = sharpedge.scores


def test_importing_the_package_loads_no_library():
    code = "import sys, sharpedge; print({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_example_writes_a_line_for_each_joint(engines, film):
    assert engines
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "score_folder.py", film.parent],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "file,status,reason,limb,side,joint,erosion,narrowing"
    assert len(lines) == 11
