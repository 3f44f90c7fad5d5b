from __future__ import annotations

import pytest
from pacs_peers import Pacs, PacsBox


@pytest.fixture
def make_pacs():
    made = []

    def make(**options):
        made.append(Pacs(**options))
        return made[-1]

    yield make
    for it in made:
        it.stop()


@pytest.fixture
def pacs(make_pacs):
    return make_pacs()


@pytest.fixture
def make_pacs_box(tmp_path):
    made = []

    def make(port, **settings):
        made.append(PacsBox(tmp_path, port, **settings))
        return made[-1]

    yield make
    for it in made:
        it.close()
