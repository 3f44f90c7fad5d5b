"""The bytes of a film that was worked on before are found wherever a copy of them is."""

from __future__ import annotations

import hashlib

import pytest

from edge.journal.copies import keep_copy, kept_film

FILM = b"a film"
SHA = hashlib.sha256(FILM).hexdigest()


@pytest.fixture
def find(tmp_path):
    quarantine, archive, drop = (tmp_path / name for name in ("quarantine", "archive", "drop"))
    for folder in (quarantine, archive, drop):
        folder.mkdir()

    def find(*jobs):
        path = str(drop / "a.dcm").encode()
        return kept_film((quarantine, archive), drop, jobs, path, SHA, 1 << 20)

    find.quarantine, find.archive, find.drop = quarantine, archive, drop
    return find


def test_a_released_film_is_found_under_the_number_that_it_was_held_as(find):
    keep_copy(find.quarantine, 1, b"/drop/a.dcm", "side_not_known", FILM)
    assert find(1, 2) == FILM
    assert find(2) is None


def test_a_released_film_is_found_in_the_archive_under_its_own_number(find):
    keep_copy(find.quarantine, 1, b"/drop/a.dcm", "side_not_known", b"damaged")
    (find.archive / "00000002.dcm").write_bytes(FILM)
    assert find(1, 2) == FILM


def test_the_scanners_file_is_the_last_that_is_read_and_must_hold_the_same_bytes(find):
    (find.drop / "a.dcm").write_bytes(b"another film")
    assert find(1, 2) is None
    (find.drop / "a.dcm").write_bytes(FILM)
    assert find(1, 2) == FILM
