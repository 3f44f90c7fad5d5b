from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def make_box(tmp_path, monkeypatch):
    """Boxes on one folder."""
    from box import Box

    made = []

    def make(**options):
        made.append(Box(tmp_path, monkeypatch, **options))
        return made[-1]

    yield make
    for it in made:
        it.close()
