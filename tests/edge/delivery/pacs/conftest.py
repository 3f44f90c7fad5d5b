from __future__ import annotations

import pytest
from pacs_peers import KEY, Pacs, PacsBox

from edge.delivery.pacs.sender import PacsSender
from edge.journal.states import State


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


@pytest.fixture
def make_sender(tmp_path):
    made = []

    def make(box, **changes):
        woken = []
        sender = PacsSender(
            box.settings.model_copy(update=changes), journal=tmp_path / "journal.sqlite", key=KEY,
            folder=box.folder, delivered=State.RECEIPTED, alert_s=0.2,
            wake_daemon=lambda: woken.append(1),
        )  # fmt: skip
        made.append(sender)
        sender.woken = woken
        sender.start()
        return sender

    yield make
    for it in made:
        it.stop(5)
        assert not it._thread.is_alive()
