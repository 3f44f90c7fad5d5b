"""``docs/add-importer.md``: a reader's weights format goes from a recipe to a checked engine."""

import numpy as np
import pytest
from add_pages import Page

import export.importer_table
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import open_engine
from export.errors import ExportError, RecipeError, WeightsError
from export.exporter import export_engine
from export.importers.filekind import kind_of
from export.recipe import read_recipe
from export.template import write_template

KERNEL = "-6\n1 1 1\n1 4 1\n1 1 1\n"


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARPEDGE_HOME", str(tmp_path / "home"))
    page = Page("add-importer.md", tmp_path, monkeypatch)
    page.add_row(export.importer_table, "IMPORTERS")
    return page


@pytest.fixture
def recipe(page, tmp_path):
    (tmp_path / "hand.kernel").write_text(KERNEL)
    path = tmp_path / "hand-mask.toml"
    path.write_text(page.code("hand-mask.toml"))
    return path


def test_a_recipe_becomes_a_checked_engine(recipe, tmp_path):
    exported = export_engine(recipe, tmp_path / "built")
    verified = open_engine(exported.passport, device_key())
    assert verified.passport.settings["source"] == "kernel"
    assert [source.file for source in verified.passport.sources] == ["hand.kernel"]
    assert verified.passport.agreement["mask"] < 1e-5
    assert verified.passport.half is not None
    engine = open_backend(verified)
    bright = engine.run({"image": np.ones((1, 1, 128, 96), np.float32)})["mask"]
    assert bright[0, 0, 64, 48] == pytest.approx(1 / (1 + np.exp(-6.0)), abs=1e-5)
    assert export_engine(recipe, tmp_path / "built").cached


def test_a_reference_that_disagrees_is_refused(recipe, tmp_path, monkeypatch):
    import export_importers_kernel as own

    pad = np.pad
    monkeypatch.setattr(own.np, "pad", lambda image, sides: pad(image + 0.1, sides))
    with pytest.raises(ExportError, match="mask"):
        export_engine(recipe, tmp_path / "built")


def test_another_role_and_another_file_are_refused_with_the_fix(recipe, tmp_path):
    other = tmp_path / "other.toml"
    text = recipe.read_text()
    other.write_text(text.replace('"NCHW"', '"NHWC"').replace('role = "mask"', 'role = "score"'))
    with pytest.raises(RecipeError, match="a kernel gives a mask"):
        read_recipe(other)
    (tmp_path / "hand.kernel").write_text("1 2 3")
    with pytest.raises(WeightsError, match=r"ten numbers.*\(fix: give the bias"):
        export_engine(recipe, tmp_path / "built")
    (tmp_path / "hand.kernel").write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 600)
    with pytest.raises(WeightsError, match='set kind = "keras"'):
        export_engine(recipe, tmp_path / "built")


@pytest.mark.usefixtures("page")
def test_init_writes_a_recipe_for_its_file(tmp_path):
    file = tmp_path / "hand.kernel"
    file.write_text(KERNEL)
    assert kind_of(file).key == "kernel"
    recipe = read_recipe(write_template([file]))
    assert recipe.source.kind == "kernel"
    assert (recipe.role, recipe.source.file) == ("mask", "hand.kernel")
    with pytest.raises(RecipeError, match=r"an \.onnx, or a \.kernel"):
        write_template([file, file])


def test_without_its_row_the_kind_is_unknown(recipe, monkeypatch):
    monkeypatch.delitem(export.importer_table.IMPORTERS, "kernel")
    with pytest.raises(RecipeError, match=r"'kernel' found using 'kind' does not match"):
        read_recipe(recipe)
