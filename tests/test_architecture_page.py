"""The page on the architecture names code that is there."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
NAMES = sorted(
    set(
        re.findall(
            r"`((?:edge|dashboard|export|phantom|training|benchmarks|sharpedge)[.\w]*)`",
            PAGE.read_text("utf-8"),
        )
    )
)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_can_be_imported(name):
    assert pkgutil.resolve_name(name) is not None


def test_the_page_names_every_package_of_the_appliance():
    folders = (PAGE.parents[1] / "edge").iterdir()
    packages = {f"edge.{path.name}" for path in folders if (path / "__init__.py").is_file()}
    assert packages <= set(NAMES)
