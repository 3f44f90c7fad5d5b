"""The appliance's own folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal.places import Places


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        (b"/state/inbox/1.dcm", "/state/inbox"),
        (b"/state/inboxes/1.dcm", "/drop"),
        (b"/drop/1.dcm", "/drop"),
        (b"/elsewhere/1.dcm", "/drop"),
    ],
)
def test_a_film_belongs_to_the_inbox_or_to_the_drop_folder(path, folder):
    assert Places.below(Path("/state")).folder_of(path, Path("/drop")) == Path(folder)


def test_all_folders_are_made(tmp_path):
    Places.below(tmp_path).make()
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["archive", "inbox", "pacs", "pictures", "quarantine"]


def test_the_folder_of_documents_is_open_to_the_service_alone(tmp_path):
    Places.below(tmp_path).make()
    assert (tmp_path / "pacs").stat().st_mode & 0o777 == 0o700
