"""The operator socket: what it tells and does, and for whom."""

from __future__ import annotations

import ctypes
import grp
import json
import os
import platform
import pwd
import random
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest
from appliance import until
from held_films import DEVICE, listens, raw

from edge.anatomy import Limb
from edge.errors import Reason
from edge.model import Laterality
from edge.operator.client import NotRunningError, OperatorError, ask
from edge.operator.protocol import Ask, Request
from edge.operator.requests import Requests
from edge.operator.server import OperatorServer

ME = pwd.getpwuid(os.getuid()).pw_name


def test_the_status_names_held_films_with_reason_copy_and_commands(desk):
    job = desk.films.held("IMG0001234.jpg")
    status = desk.ask().answer.status
    (film,) = status.held
    assert (film.job, film.file, film.reason) == (job, "IMG0001234.jpg", "side_not_known")
    assert film.copy_path == str(desk.films.places.quarantine / f"{job:08d}-side_not_known.jpg")
    assert film.commands == {
        "left hand": f"sharpedge release {job} --side L --limb hand",
        "right hand": f"sharpedge release {job} --side R --limb hand",
        "no score": f"sharpedge dismiss {job}",
    }
    assert (status.running, status.state, status.held_total) == (True, "online", 1)
    assert {it.what: it.count for it in status.waiting} == {
        "in the folder": 2, "held": 1, "for the broker": 1,
    }  # fmt: skip
    assert status.waiting[0].why == "free disk is below min_free_mib"
    assert status.waiting[-1].why == "no connection to 127.0.0.1:1883"


def test_a_release_is_recorded_with_the_peers_name_and_the_daemon_is_woken(desk):
    job = desk.films.held()
    answer = desk.ask(Ask.RELEASE, film=str(job), side=Laterality.LEFT, limb=Limb.HAND).answer
    assert answer.job == job
    assert desk.films.said_by(answer.new_job) == [ME]
    assert desk.orders == [1]
    (decision,) = desk.ask().answer.status.decisions
    assert (decision.operator, decision.what) == (ME, "released as L hand")


def test_a_person_is_named_with_the_account_that_vouches_for_the_name(desk):
    job = desk.films.held()
    desk.ask(Ask.DISMISS, film=str(job), person="Anna Müller")
    assert desk.films.said_by(job) == [f"Anna Müller (via {ME})"]


@pytest.mark.parametrize(
    "person", ["", "a" * 65, "a\nb", 'a"b', "\x00", "a\\b"]
)  # fmt: skip
def test_a_name_that_could_be_taken_for_something_else_is_refused(desk, person):
    job = desk.films.held()
    desk.ask()
    body = {"ask": "dismiss", "film": str(job), "person": person}
    assert json.loads(raw(desk, json.dumps(body).encode() + b"\n"))["ok"] is False
    assert desk.films.states() == {job: "held"}


def test_a_second_release_and_an_unknown_film_are_answered_with_the_reason(desk):
    job = desk.films.held()
    desk.ask(Ask.RELEASE, film=str(job), side=Laterality.LEFT)
    with pytest.raises(OperatorError, match="not held: nothing to release"):
        desk.ask(Ask.RELEASE, film=str(job), side=Laterality.LEFT)
    with pytest.raises(OperatorError, match="knows no such film"):
        desk.ask(Ask.DISMISS, film="4711")
    with pytest.raises(OperatorError, match="state what the film shows"):
        desk.ask(Ask.RELEASE, film=str(desk.films.held("b.jpg")))
    with pytest.raises(OperatorError, match="name the film"):
        desk.ask(Ask.RETRY)


def test_a_film_is_found_by_a_name_that_is_no_utf8(desk):
    job = desk.films.held(b"M\xfcller.jpg")
    assert desk.ask(Ask.DISMISS, film="M%FCller.jpg").answer.job == job


def test_the_picture_of_a_held_film_comes_as_it_was_kept(desk):
    data = random.Random(1).randbytes(3 << 20)
    job = desk.films.add("a.jpg", reason=Reason.SIDE_NOT_KNOWN, data=data)
    told = desk.ask(Ask.PICTURE, job=job)
    assert (told.answer.kind, told.data) == ("film", data)
    assert [limb.reason for limb in told.answer.limbs] == ["side_not_known"]
    # What stands below the picture: where and when, and the pseudonyms.
    caption = told.answer.caption
    assert caption.site == str(DEVICE)
    assert caption.taken.startswith("arrived ")
    assert caption.study


def test_the_picture_of_a_result_comes_by_its_id_and_a_missing_one_is_told(desk):
    desk.films.add("a.jpg")
    (result,) = desk.ask(Ask.RESULTS).answer.results
    assert not result.has_picture
    with pytest.raises(OperatorError, match="not kept"):
        desk.ask(Ask.PICTURE, id=result.id)
    (desk.films.places.pictures / f"{result.id}.jpg").write_bytes(b"jpeg")
    assert desk.ask(Ask.PICTURE, id=result.id).data == b"jpeg"


def test_the_film_of_a_result_comes_from_the_archive_or_as_it_lies_unchanged(desk, tmp_path):
    place = tmp_path / "a.jpg"
    place.write_bytes(b"the film")
    job = desk.films.add("a.jpg")
    with desk.films.store.transaction() as db:
        db.execute("UPDATE job SET path = ? WHERE number = ?", (os.fsencode(place), job))
    (result,) = desk.ask(Ask.RESULTS).answer.results
    with pytest.raises(OperatorError, match="changed since it was scored"):
        desk.ask(Ask.FILM, id=result.id)
    now = place.stat()
    with desk.films.store.transaction() as db:
        db.execute(
            "UPDATE job SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE number = ?",
            (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns, job),
        )
    told = desk.ask(Ask.FILM, id=result.id)
    assert (told.data, [limb.status for limb in told.answer.limbs]) == (b"the film", ["scored"])
    place.unlink()
    with pytest.raises(OperatorError, match="not kept"):
        desk.ask(Ask.FILM, id=result.id)
    (desk.films.places.archive / f"{job:08d}.jpg").write_bytes(b"archived")
    assert desk.ask(Ask.FILM, id=result.id).data == b"archived"


@pytest.mark.parametrize("asked", [{}, {"id": "00000000-0000-0000-0000-000000000000"}, {"job": 1}])
def test_a_film_of_no_result_is_told(desk, asked):
    with pytest.raises(OperatorError, match="no result has this id"):
        desk.ask(Ask.FILM, **asked)


def test_no_picture_comes_from_a_link_a_pipe_or_beyond_the_limit(desk, monkeypatch):
    secret = desk.state / "device.key"
    secret.write_bytes(b"secret")
    folder = desk.films.places.quarantine
    (folder / "00000091-x.jpg").symlink_to(secret)
    os.mkfifo(folder / "00000092-x.jpg")
    (folder / "00000093-x.jpg").write_bytes(b"12345")
    monkeypatch.setattr("edge.operator.requests.PICTURE_BYTES", 4)
    for job in (91, 92, 93):
        with pytest.raises(OperatorError, match="picture"):
            desk.ask(Ask.PICTURE, job=job)


def test_a_changed_result_is_not_shown_as_a_score(desk):
    desk.films.add("a.jpg")
    desk.films.add("b.jpg")
    with desk.films.store.transaction() as db:
        db.execute("UPDATE outbox SET payload = replace(payload, 'hand', 'foot') WHERE row = 1")
    assert len(desk.ask(Ask.RESULTS).answer.results) == 1


def test_only_owner_and_group_may_use_the_socket(make_desk):
    own = grp.getgrgid(os.getgid()).gr_name
    desk = make_desk(group=own)
    desk.ask()
    found = desk.path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_gid == os.getgid()


def test_a_socket_that_a_killed_daemon_left_is_replaced_and_ours_is_taken_away(make_desk, tmp_path):
    path = tmp_path / "state" / "operator.sock"
    desk = make_desk()
    desk.ask()
    assert path.exists()
    desk.server.stop(10)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotRunningError):
        ask(path, Request(ask=Ask.STATUS), 1.0)
    again = OperatorServer(
        path, "none", lambda: Requests(desk.state, b"k" * 32, None, lambda: None, list), list
    )
    again.start()
    try:
        until(lambda: listens(path))
        assert b"release" in raw(path, b'{"ask": "nonsense"}\n')
    finally:
        again.stop(10)


@pytest.mark.skipif(
    os.geteuid() != 0 or platform.machine() != "x86_64",
    reason="only root may act as another user, by the system calls of x86-64",
)
def test_the_kernel_says_who_asks_and_a_stranger_is_told_what_to_do(make_desk):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        desk = make_desk(folder=Path(folder))
        job = desk.films.held()
        desk.wait()
        nobody = pwd.getpwnam("nobody")
        assert "usermod -aG sharpedge-operator" in _as_user(nobody, desk, job)
        assert desk.films.states() == {job: "held"}
        desk.path.chmod(0o666)
        assert _as_user(nobody, desk, job) == ""
        assert desk.films.said_by(job) == ["nobody"]
        desk.close()


def _as_user(user, desk, job):
    """Dismiss a film on a thread of its own that acts as another user; returns what went wrong."""
    said = []

    def act():
        # The system calls themselves: the C library's functions change every thread.
        call = ctypes.CDLL(None, use_errno=True).syscall
        for number, *values in (
            (116, 0, 0),
            (119, -1, user.pw_gid, -1),
            (117, -1, user.pw_uid, -1),
        ):
            assert call(number, *values) == 0
        try:
            ask(desk.path, Request(ask=Ask.DISMISS, film=str(job)))
        except OperatorError as error:
            said.append(str(error))

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    return "".join(said)


def test_a_path_longer_than_the_kernels_limit_serves(tmp_path, make_desk):
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    desk = make_desk()
    server = OperatorServer(folder / "s", "none", desk.server._make, list)
    server.start()
    try:
        until((folder / "s").exists)
        time.sleep(0.2)
        assert ask(folder / "s", Request(ask=Ask.ALERTS), 5.0).answer.alerts
    finally:
        server.stop(10)


def test_another_appliances_socket_is_not_taken_for_ours(desk):
    with pytest.raises(NotRunningError, match="another appliance"):
        desk.ask(state="/somewhere/else")
    assert desk.ask(state=str(desk.state)).answer.ok


def test_the_line_is_told_when_it_changes_and_not_else(desk, monkeypatch):
    monkeypatch.setattr("edge.operator.server._LINE_S", 0.05)
    until(lambda: desk.lines == ["alerts: disk_low"])
    desk.films.held()
    until(lambda: desk.lines[-1] == "alerts: disk_low; 1 film held: side not known")
    time.sleep(0.3)
    assert len(desk.lines) == 2
