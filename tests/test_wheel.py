"""The wheel, installed outside the clone: what a user gets who never sees this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from export.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sharpedge", "dashboard", "edge", "export", "training", "benchmarks", "phantom")
SHIPPED = (*PACKAGES, "engines", "systemd", "packaging")
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def run(command, folder, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SHARPEDGE_"))}
    return subprocess.run(
        command,
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def recipes():
    return [read_recipe(path) for path in (ROOT / "engines").glob("*.toml")]


def trained(recipe):
    return all((ROOT / "engines" / name).is_file() for name in recipe.source.files)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        ignored = shutil.ignore_patterns("__pycache__", "built")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    done = run([sys.executable, "-c", _BUILD, out], tree)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder of commands of an environment that has the wheel, and our own dependencies."""
    home = tmp_path_factory.mktemp("environment")
    made = run([sys.executable, "-m", "venv", home], home)
    if made.returncode:
        pytest.skip(f"no environment can be made here: {made.stdout}{made.stderr}")
    python = home / "bin" / "python"
    place = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], home)
    paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (Path(place.stdout.strip()) / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    options = ["--no-deps", "--no-index", "--ignore-installed", "--quiet"]
    done = run([python, "-m", "pip", "install", *options, wheel], home)
    assert done.returncode == 0, done.stderr
    return home / "bin"


def test_the_wheel_carries_every_package_and_its_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"{wheel.name.split('-py3')[0]}.data/data/share/sharpedge"
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".typed", ".json", ".csv", ".jpg"}
        and "__pycache__" not in path.parts
    }
    for folder in ("engines", "systemd"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {".toml", ".cfg", ".npz", ".service", ".conf"}:
                wanted.add(f"{data}/{path.relative_to(ROOT)}")
    assert wanted <= names
    foreign = {name.split("/")[0] for name in names} - set(PACKAGES)
    assert all(name.startswith("sharpedge-") for name in foreign)


def test_an_installed_wheel_exports_and_scores_outside_the_clone(installed, tmp_path):
    if not any(trained(recipe) for recipe in recipes() if recipe.limb == "hand"):
        pytest.skip("engines/weights holds no trained weights for hands")
    home, empty = tmp_path / "home", tmp_path / "empty"
    empty.mkdir()
    command = installed / "sharpedge"
    complete = all(trained(recipe) for recipe in recipes())

    done = run([command, "export"], empty, SHARPEDGE_HOME=str(home))
    assert done.returncode == (0 if complete else 1), done.stderr
    built = {path.stem for path in (home / "engines" / "built").glob("*.json")}
    assert built == {recipe.name for recipe in recipes() if trained(recipe)}
    assert not list(empty.iterdir())

    done = run([command, "phantom", "--out", "films"], empty, SHARPEDGE_HOME=str(home))
    assert done.returncode == 0, done.stderr
    done = run([command, "score", "--json", "films/P0001-LH.jpg"], empty, SHARPEDGE_HOME=str(home))
    assert done.returncode == (0 if complete else 1), done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["limb"], result["laterality"]) == ("scored", "hand", "L")
    assert len([joint for joint in result["joints"] if joint["box"]]) == 10
    assert not complete or result["n_scored"] == 10
    where = run([installed / "python", "-c", "import edge; print(edge.__file__)"], empty)
    assert str(installed.parent) in where.stdout
