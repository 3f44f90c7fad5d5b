"""The layout of the code: sizes, what each module says of itself, tests beside their code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sharpedge", "dashboard", "edge", "export", "training", "benchmarks", "phantom")
MODULE_LINES = TEST_LINES = 400
CLASS_LINES = 250
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
)
TESTS = sorted(
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / "tests" / package).rglob("test_*.py")
)
WRITTEN_FOR_TESTS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")
)


def test_a_file_of_the_tests_is_short():
    lines = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in WRITTEN_FOR_TESTS}
    assert lines
    assert {path: count for path, count in lines.items() if count > TEST_LINES} == {}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_and_says_its_layer(module):
    text = (ROOT / module).read_text("utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MODULE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno - node.lineno < CLASS_LINES, node.name
    if not module.endswith("__init__.py"):
        assert "\nLayer: " in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("test", TESTS)
def test_a_test_file_is_named_after_the_module_or_package_beside_it(test):
    """``tests/edge/journal/test_store_seals.py`` is about ``edge/journal/store.py``."""
    folder, name = Path(test).parent.relative_to("tests"), Path(test).stem.removeprefix("test_")
    words = name.split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    found = [one for one in names if (ROOT / folder / f"{one}.py").is_file()]
    found += [one for one in names if (ROOT / folder / one).is_dir()]
    assert found, f"no module {folder}/{names[0]}.py"
