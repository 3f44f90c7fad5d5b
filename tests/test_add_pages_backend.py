"""``docs/add-backend.md``: a reader's back end is built, accepted, served and offered."""

import numpy as np
import pytest
from add_pages import Page
from typer.testing import CliRunner

import edge.engine.backend_table
import export.builders
from edge.anatomy import Limb
from edge.config import Config
from edge.engine.installed import activate
from edge.engine.key import device_key
from edge.engine.loader import load_engines, open_backend
from edge.engine.passport import Role, open_engine, read_passport
from edge.errors import EngineError
from edge.system.paths import engines_home
from export.acceptance.golden import phantom_set, reference_engines
from export.acceptance.install import Gate, build_and_install
from export.builders.build import build_candidate, installed_backends
from export.errors import ExportError
from export.exporter import export_engine
from sharpedge.cli import app

KINDS = {"compiled when loaded": 0, "written by a builder": 1}
"""The page's two rows of BUILDERS."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Engines of the hand that the mask is judged with, and the films of one patient."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARPEDGE_HOME", str(home))
        try:
            for name in ("hand-detect", "hand-mask"):
                export_engine(engines_home() / f"{name}.toml", home / "built")
        except ExportError as error:
            pytest.skip(str(error))
        yield home


@pytest.fixture
def page(tmp_path, monkeypatch):
    page = Page("add-backend.md", tmp_path, monkeypatch)
    page.add_row(edge.engine.backend_table, "BACKENDS")
    return page


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def added(page, request):
    page.add_row(export.builders, "BUILDERS", request.param)
    return request.param


def silent(*_step):
    """Progress that nobody watches."""


def test_it_is_built_accepted_and_serves(home, added, tmp_path):
    built = tmp_path / "built"
    built.mkdir()
    for path in (home / "built").iterdir():
        (built / path.name).write_bytes(path.read_bytes())
    golden = phantom_set(home / "golden", [Limb.HAND], patients=1)
    gate = Gate(golden, home / "golden", reference_engines(built, threads=1))
    (done,) = build_and_install("hand-mask", built, ["opencv"], gate, silent)
    assert done.passport.acceptance.accepted
    assert done.passport.acceptance.figures["masks"] > 0
    assert (done.passport.build is not None) == bool(added)
    activate(built, done.stem, device_key())
    engines = load_engines(built, threads=1)
    engine = engines.require(Role.MASK, Limb.HAND)
    assert engine.passport["backend"] == "opencv"
    assert not engines.degraded
    assert type(engine).__name__ == "OpenCvEngine"


@pytest.mark.usefixtures("added")
def test_its_outputs_are_those_of_onnx_runtime(home):
    found = build_candidate("hand-mask", home / "built", "opencv")
    assert build_candidate("hand-mask", home / "built", "opencv").cached
    engine = open_backend(open_engine(found.path, device_key()))
    reference = open_backend(open_engine(home / "built" / "hand-mask.json", device_key()))
    image = np.random.default_rng(0).random((1, 1, 256, 208), np.float32)
    np.testing.assert_allclose(
        engine.run({"image": image})["mask"], reference.run({"image": image})["mask"], atol=1e-4
    )
    assert engine.timings.compute_ms > 0
    with pytest.raises(EngineError, match="input image"):
        engine.run({"image": image[..., 1:]})


def test_the_command_line_the_configuration_and_passports_know_it(home, page):
    page.add_row(export.builders, "BUILDERS")
    assert "opencv" in installed_backends()
    assert "opencv" in CliRunner().invoke(app, ["build", "--help"]).output
    same = CliRunner().invoke(app, ["agree", "opencv", "opencv", "films"])
    assert "both are opencv" in str(same.exception)
    assert (
        Config.model_validate(
            {"folders": {"watch": "/"}, "worker": {"backend": "opencv"}}
        ).worker.backend
        == "opencv"
    )
    found = build_candidate("hand-mask", home / "built", "opencv")
    assert read_passport(found.path).fix == "sharpedge build hand-mask --backend opencv"


def test_without_its_row_none_of_them_knows_it(home, page, monkeypatch):
    page.add_row(export.builders, "BUILDERS")
    found = build_candidate("hand-mask", home / "built", "opencv")
    monkeypatch.delitem(edge.engine.backend_table.BACKENDS, "opencv")
    assert "opencv" not in CliRunner().invoke(app, ["build", "--help"]).output
    with pytest.raises(ValueError, match=r"'tensorrt', .*'openvino' or 'onnxruntime'"):
        Config.model_validate({"folders": {"watch": "/"}, "worker": {"backend": "opencv"}})
    with pytest.raises(EngineError, match="backend: Input should be 'tensorrt'"):
        read_passport(found.path)
