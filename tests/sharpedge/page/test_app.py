"""The local page: who may see it, what it shows, what its buttons do."""

from __future__ import annotations

import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from held_films import LIVE

from edge.errors import Reason
from edge.model import Laterality

TOKEN = "ABCD-EFGH-JKLM-NPQR-STUV"  # noqa: S105 - of this test
PAGE = Path(__file__).resolve().parents[3] / "sharpedge" / "page"
NOTICE = "Research use only, not a medical device."


def csrf(client, path="/"):
    return re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)[1]


def test_without_sign_in_nothing_is_shown_and_nothing_done(desk, client):
    job = desk.films.held("MUELLER_ANNA.jpg")
    for path in ("/", "/?wall", f"/film/{job}", "/result/00000000-0000-5000-8000-000000000000"):
        done = client.get(path)
        assert (done.status_code, done.headers["location"]) == (303, "/sign-in")
        assert "MUELLER" not in done.text
    for path in (f"/picture/film/{job}", "/pulse"):
        assert client.get(path).status_code == 401
    assert client.post(f"/film/{job}/dismiss", data={"csrf": ""}).status_code == 401
    assert desk.films.states() == {job: "held"}


def test_a_wrong_token_is_refused_and_after_a_few_the_right_one_too(client):
    for _ in range(10):
        done = client.post("/sign-in", data={"name": "Anna", "token": "AAAA"})
        assert done.status_code == 403
        assert "set-cookie" not in done.headers
    done = client.post("/sign-in", data={"name": "Anna", "token": TOKEN})
    assert (done.status_code, "set-cookie" in done.headers) == (429, False)


def test_the_token_is_read_as_people_type_it(client):
    done = client.post("/sign-in", data={"name": "A", "token": TOKEN.lower().replace("-", " ")})
    assert done.status_code == 303


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, 'a"b', "a\x00b", "a\\b"])
def test_a_name_is_wanted_that_can_be_recorded(client, name):
    done = client.post("/sign-in", data={"name": name, "token": TOKEN})
    assert (done.status_code, "set-cookie" in done.headers) == (400, False)


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client):
    done = client.post("/sign-in", data={"name": "A", "token": TOKEN})
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize(
    "path",
    ["/", "/?wall", "/sign-in", "/static/page.css", "/nowhere", "/film/1", "/picture/film/9"],
)
def test_every_answer_forbids_frames_inline_script_and_caching(anna, path):
    headers = anna.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.x:8480"])
def test_another_host_name_is_refused(anna, host):
    assert anna.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:1",
        "http://localhost:8480.x",
        "http://[",
    ],
)
def test_a_form_of_another_page_does_nothing(desk, anna, origin):
    job = desk.films.held()
    form = {"csrf": csrf(anna)}
    done = anna.post(f"/film/{job}/dismiss", data=form, headers={"origin": origin})
    assert done.status_code == 403
    assert desk.films.states() == {job: "held"}


@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "guessed"}, {"csrf": "ü"}])
def test_a_form_without_the_sessions_secret_does_nothing(desk, anna, form):
    job = desk.films.held()
    assert anna.post(f"/film/{job}/dismiss", data=form).status_code == 403
    assert desk.films.states() == {job: "held"}


def test_a_long_form_or_one_of_many_fields_does_nothing(desk, anna):
    job = desk.films.held()
    secret = csrf(anna)
    for extra in ({"more": "x" * 5000}, {f"k{i}": "v" for i in range(50)}):
        assert anna.post(f"/film/{job}/dismiss", data={"csrf": secret, **extra}).status_code == 403
    assert desk.films.states() == {job: "held"}


def test_no_get_changes_anything(desk, anna):
    job = desk.films.held()
    for order in ("release", "dismiss", "retry"):
        assert anna.get(f"/film/{job}/{order}").status_code == 405
    assert desk.films.states() == {job: "held"}


def test_a_release_is_recorded_under_the_persons_name(desk, anna):
    job = desk.films.held()
    form = {"csrf": csrf(anna), "side": "L", "limb": "hand"}
    done = anna.post(f"/film/{job}/release", data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    new_job = max(desk.films.states())
    (operator,) = desk.films.said_by(new_job)
    assert operator.startswith("Anna Müller (via ")
    page = anna.get("/").text
    assert f"Film {job} is scored as left hand (job {new_job})." in page
    assert "released as L hand by Anna Müller" in page
    # Said once.
    assert "is scored as" not in anna.get("/").text


@pytest.mark.parametrize(
    "form", [{}, {"side": "L"}, {"limb": "hand"}, {"side": "X", "limb": "hand"}]
)
def test_a_release_wants_side_and_limb(desk, anna, form):
    job = desk.films.held()
    done = anna.post(f"/film/{job}/release", data={"csrf": csrf(anna), **form})
    assert done.headers["location"] == f"/film/{job}"
    assert "Choose left or right" in anna.get(f"/film/{job}").text
    assert desk.films.states() == {job: "held"}


def test_dismiss_retry_and_a_film_that_is_gone(desk, anna):
    one, two = desk.films.held("a.jpg"), desk.films.held("b.jpg")
    secret = csrf(anna)
    anna.post(f"/film/{one}/dismiss", data={"csrf": secret})
    anna.post(f"/film/{two}/retry", data={"csrf": secret})
    assert desk.films.states() == {one: "dismissed", two: "set_aside", 3: "claimed"}
    anna.post(f"/film/{one}/dismiss", data={"csrf": secret})
    assert "nothing to dismiss" in anna.get("/").text
    assert anna.get(f"/film/{one}").headers["location"] == "/"
    assert anna.post(f"/film/{two}/explode", data={"csrf": secret}).status_code == 404


def test_no_address_on_the_page_holds_a_file_name(desk, anna):
    desk.films.held("MUELLER_ANNA.jpg")
    desk.films.add("SCHMIDT_BEN.jpg", side=Laterality.LEFT)
    page = anna.get("/").text
    assert "MUELLER_ANNA.jpg" in page
    addresses = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert len(addresses) > 8
    assert not [it for it in addresses if "MUELLER" in it or "SCHMIDT" in it]


def test_a_name_that_is_markup_stays_text(desk, anna):
    desk.films.held('<img src=x onerror="alert(1)">.jpg')
    page = anna.get("/").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_the_wall_shows_no_file_name(desk, anna):
    desk.films.held("MUELLER_ANNA.jpg")
    desk.films.add("SCHMIDT_BEN.jpg")
    page = anna.get("/?wall").text
    assert "1 film held" in page
    assert "MUELLER" not in page
    assert "SCHMIDT" not in page


def test_nothing_is_loaded_from_elsewhere_and_every_page_says_what_it_is_for(desk, anna):
    job = desk.films.held()
    result_id = _with_picture(desk)
    for path in ("/", "/?wall", f"/film/{job}", f"/result/{result_id}", "/sign-in"):
        text = anna.get(path).text
        assert NOTICE in text
        assert not re.findall(r"<(?:script|style)>|style=|onclick=|https?://", text)
    for file in (PAGE / "static").iterdir():
        assert not re.search(
            r"(?:https?:)?//[a-z]", re.sub(r"xmlns=\S+|// .*", "", file.read_text())
        )


def _with_picture(desk):
    desk.films.add("r.jpg", side=Laterality.LEFT)
    (result,) = desk.ask().answer.status.results
    (desk.films.places.pictures / f"{result.id}.jpg").write_bytes(b"\xff\xd8picture")
    time.sleep(0.6)
    return result.id


def test_the_pictures_of_a_held_film_and_of_a_result_are_served(desk, anna):
    _, png = cv2.imencode(".png", np.full((120, 100), 77, np.uint8))
    job = desk.films.add("a.png", reason=Reason.SIDE_NOT_KNOWN, data=png.tobytes())
    shown = anna.get(f"/picture/film/{job}")
    assert shown.headers["content-type"] == "image/jpeg"
    pixels = cv2.imdecode(np.frombuffer(shown.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels.shape == (120, 100)
    result_id = _with_picture(desk)
    assert anna.get(f"/picture/result/{result_id}").content == b"\xff\xd8picture"
    assert f'href="/result/{result_id}"' in anna.get("/").text
    broken = desk.films.add("b.jpg", reason=Reason.SIDE_NOT_KNOWN, data=b"\xff\xd8\xff\xd9")
    assert anna.get(f"/picture/film/{broken}").status_code == 503


def test_an_appliance_that_does_not_answer_is_told_calmly(desk, anna):
    desk.server.stop(10)
    page = anna.get("/")
    assert page.status_code == 503
    assert "The appliance does not answer" in page.text
    assert NOTICE in page.text
    assert anna.get("/pulse").status_code == 503


def test_the_pulse_changes_when_the_page_would(desk, anna):
    before = anna.get("/pulse").json()
    desk.films.held()
    time.sleep(0.6)
    after = anna.get("/pulse").json()
    assert before != after
    assert f'data-pulse="{after["pulse"]}"' in anna.get("/").text
    assert LIVE.alerts


def test_signing_out_ends_the_session_for_good(anna):
    cookie = anna.cookies["sharpedge_session"]
    done = anna.post("/sign-out", data={"csrf": csrf(anna)})
    assert done.headers["location"] == "/sign-in"
    anna.cookies.set("sharpedge_session", cookie)
    assert anna.get("/").status_code == 303


def test_colours_follow_the_switch_and_nothing_else(anna):
    assert 'data-theme="auto"' in anna.get("/").text
    anna.post("/theme", data={"theme": "dark"})
    assert 'data-theme="dark"' in anna.get("/").text
    anna.post("/theme", data={"theme": '"><script>'})
    assert 'data-theme="auto"' in anna.get("/").text
