"""No film that was not scored is ever moved or deleted, whatever arrives in between."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from edge.intake import originals
from edge.intake.originals import ArchiveError, Scored, part_with
from edge.intake.take import signature_of
from edge.model import After

OLD, NEW = b"old film", b"new film"


@pytest.fixture
def drop(tmp_path):
    (tmp_path / "drop").mkdir()
    (tmp_path / "archive").mkdir()
    return tmp_path / "drop"


def scored(path, data=OLD):
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Scored(os.fsencode(path), signature_of(path.stat()), digest)


def part(drop, film, after, job=7):
    return part_with(os.fsencode(drop), film, after, drop.parent / "archive", job)


def everything(drop):
    """Bytes of every film of drop folder and archive, by their base name."""
    places = [*drop.rglob("*"), *(drop.parent / "archive").rglob("*")]
    return {path.name: path.read_bytes() for path in places if path.is_file()}


@pytest.mark.parametrize(
    ("after", "became", "left"),
    [
        (After.LEAVE, "left", {"a.jpg": OLD}),
        (After.MOVE, "moved", {"00000007.jpg": OLD}),
        (After.DELETE, "deleted", {}),
    ],
)
def test_the_scored_film_is_treated_as_the_site_asks(drop, after, became, left):
    film = scored(drop / "a.jpg")
    assert part(drop, film, after) == became
    assert everything(drop) == left
    assert part(drop, film, after) == ("left" if after is After.LEAVE else "gone")


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
@pytest.mark.parametrize("how", ["renamed onto", "overwritten in place", "time set back"])
def test_another_film_under_the_same_name_is_never_touched(drop, after, how):
    film = scored(drop / "a.jpg")
    if how == "renamed onto":
        (drop / "b.jpg").write_bytes(NEW)
        (drop / "b.jpg").rename(drop / "a.jpg")
    else:
        (drop / "a.jpg").write_bytes(NEW)
    if how == "time set back":
        os.utime(drop / "a.jpg", ns=(film.signature.mtime_ns, film.signature.mtime_ns))
    assert part(drop, film, after) == "changed"
    assert everything(drop) == {"a.jpg": NEW}


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
def test_a_film_renamed_onto_the_name_between_look_and_claim_survives(drop, after, monkeypatch):
    film = scored(drop / "a.jpg")
    real = os.rename

    def rename_late(source, target, **folders):
        if source == b"a.jpg":
            (drop / "b.jpg").write_bytes(NEW)
            (drop / "b.jpg").replace(drop / "a.jpg")
        real(source, target, **folders)

    monkeypatch.setattr(originals.os, "rename", rename_late)
    assert part(drop, film, after) == "changed"
    assert everything(drop) == {"a.jpg": NEW}


def test_where_a_third_film_has_taken_the_name_the_second_is_laid_beside_it(drop, monkeypatch):
    film = scored(drop / "a-LH.jpg")
    (drop / "a-LH.jpg").write_bytes(NEW)
    real = os.rename

    def arrive(source, target, **folders):
        real(source, target, **folders)
        if source == b"a-LH.jpg":
            (drop / "a-LH.jpg").write_bytes(b"third")

    monkeypatch.setattr(originals.os, "rename", arrive)
    assert part(drop, film, After.DELETE) == "changed"
    assert (drop / "a-LH.jpg").read_bytes() == b"third"
    assert (drop / "put-back-00000007" / "a-LH.jpg").read_bytes() == NEW


def test_a_film_that_somebody_writes_to_is_left(drop):
    film = scored(drop / "a.jpg")
    with (drop / "a.jpg").open("r+b"):
        assert part(drop, film, After.DELETE) == "changed"
    assert everything(drop) == {"a.jpg": OLD}


def test_a_changed_mode_does_not_keep_a_film_for_ever(drop):
    film = scored(drop / "a.jpg")
    (drop / "a.jpg").chmod(0o600)
    assert part(drop, film, After.MOVE) == "moved"


def test_a_crash_after_the_claim_is_finished_at_the_next_try(drop):
    film = scored(drop / "a.jpg")
    (drop / "a.jpg").rename(drop / ".sharpedge-claimed-00000007")
    (drop / "a.jpg").write_bytes(NEW)
    assert part(drop, film, After.MOVE) == "moved"
    assert everything(drop) == {"a.jpg": NEW, "00000007.jpg": OLD}


def test_a_missing_archive_leaves_the_film_where_it_was_and_says_so(drop):
    film = scored(drop / "a.jpg")
    (drop.parent / "archive").rmdir()
    for _ in range(2):
        with pytest.raises(ArchiveError, match="No such file"):
            part(drop, film, After.MOVE)
        assert everything(drop) == {"a.jpg": OLD}
    (drop.parent / "archive").mkdir()
    assert part(drop, film, After.MOVE) == "moved"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_an_archive_that_takes_nothing_leaves_the_film_where_it_was(drop, monkeypatch, number):
    film = scored(drop / "a.jpg")

    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(originals, "_move", refuse)
    with pytest.raises(ArchiveError):
        part(drop, film, After.MOVE)
    assert everything(drop) == {"a.jpg": OLD}


def test_across_file_systems_a_full_archive_leaves_no_half_copy(drop, monkeypatch):
    film = scored(drop / "a.jpg")
    real = os.rename

    def refuse(source, target, **folders):
        if isinstance(target, os.PathLike):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target, **folders)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(originals.os, "rename", refuse)
    with monkeypatch.context() as patch:
        patch.setattr(originals.shutil, "copyfileobj", full)
        with pytest.raises(ArchiveError, match="No space left"):
            part(drop, film, After.MOVE)
    assert everything(drop) == {"a.jpg": OLD}
    assert part(drop, film, After.MOVE) == "moved"
    assert everything(drop) == {"00000007.jpg": OLD}


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
def test_a_folder_swapped_for_a_link_leads_nowhere(drop, after):
    (drop / "study").mkdir()
    film = scored(drop / "study" / "a.jpg")
    (drop / "study").rename(drop.parent / "outside")
    (drop / "study").symlink_to(drop.parent / "outside", target_is_directory=True)
    assert part(drop, film, after) == "gone"
    assert (drop.parent / "outside" / "a.jpg").read_bytes() == OLD


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_what_is_no_file_under_the_name_of_a_film_keeps_its_name(drop, after, what):
    film = scored(drop / "a.jpg")
    (drop / "a.jpg").unlink()
    if what == "folder":
        (drop / "a.jpg").mkdir()
        (drop / "a.jpg" / "b.jpg").write_bytes(NEW)
    elif what == "pipe":
        os.mkfifo(drop / "a.jpg")
    else:
        (drop / "a.jpg").symlink_to(drop.parent)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert part(drop, film, after) == "changed"
    assert [path.name for path in drop.iterdir()] == ["a.jpg"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
@pytest.mark.parametrize("another", [True, False])
def test_a_file_that_may_not_be_opened_keeps_its_name(drop, after, another, monkeypatch):
    film = scored(drop / "a.jpg")
    (drop / "a.jpg").chmod(0)
    if another:
        (drop / "a.jpg").write_bytes(NEW + NEW)
    real = os.open

    def denied(path, flags, *rest, **folders):
        if b"claimed" in os.fsencode(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *rest, **folders)

    monkeypatch.setattr(originals.os, "open", denied)
    assert part(drop, film, after) == ("changed" if another else "read_only")
    assert list(everything(drop)) == ["a.jpg"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_a_name_that_is_taken_is_never_overwritten_without_the_kernels_help(
    drop, monkeypatch, number
):
    film = scored(drop / "a-LH.jpg")
    (drop / "a-LH.jpg").write_bytes(NEW)
    real = os.rename

    def arrive(source, target, **folders):
        real(source, target, **folders)
        if source == b"a-LH.jpg":
            (drop / "a-LH.jpg").write_bytes(b"third")

    monkeypatch.setattr(originals.os, "rename", arrive)
    monkeypatch.setattr(originals, "_rename_exclusively", lambda *_: number)
    assert part(drop, film, After.DELETE) == "changed"
    assert (drop / "a-LH.jpg").read_bytes() == b"third"
    assert (drop / "put-back-00000007" / "a-LH.jpg").read_bytes() == NEW
