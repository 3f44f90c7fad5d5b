"""Signing in, the pace of attempts, the first set-up on the page."""

from __future__ import annotations

import re

from clinic import PASSWORD, QUICK, post, sign_in

from dashboard.people.accounts import Accounts
from dashboard.store.tables import PERSON


def test_after_ten_wrong_passwords_the_right_one_waits_too(clinic):
    client = clinic.client()
    for _ in range(10):
        assert sign_in(client, "reader R", "wrong").status_code == 403
    assert sign_in(client, "reader R").status_code == 429
    # From the same address, for another name too.
    assert sign_in(client, "admin R").status_code == 429


def test_a_name_that_is_not_known_is_answered_as_a_wrong_password(clinic):
    client = clinic.client()
    one, other = sign_in(client, "nobody"), sign_in(client, "reader R", "wrong")
    texts = [re.sub(r'value="[^"]*"', "", it.text) for it in (one, other)]
    assert texts[0] == texts[1]


def test_a_sign_in_needs_the_form_that_this_browser_was_shown(clinic):
    client = clinic.client()
    form = {"name": "reader R", "password": PASSWORD, "before": "x"}
    assert client.post("/sign-in", data=form).status_code == 400
    client.get("/sign-in")
    assert client.post("/sign-in", data=form).status_code == 400


def test_signing_out_ends_the_session(clinic):
    client = clinic.client("reader")
    cookie = client.cookies["sharpedge_dashboard"]
    assert post(client, "/sign-out").headers["location"] == "/sign-in"
    client.cookies["sharpedge_dashboard"] = cookie
    assert client.get("/").status_code == 303


def test_the_first_set_up_is_closed_once_there_is_an_admin(clinic):
    assert clinic.client().get("/setup").status_code == 404
    assert clinic.client().post("/setup", data={"name": "M"}).status_code == 404


def test_the_first_admin_is_made_on_the_page(clinic):
    with clinic.database.writing() as connection:
        connection.execute(PERSON.delete())
    token = Accounts(clinic.database, QUICK).setup_token()
    client = clinic.client()
    assert client.get("/sign-in").headers["location"] == "/setup"
    text = client.get("/setup").text
    before = re.search(r'name="before" value="([^"]+)"', text)[1]
    form = {"token": "x", "name": "Anna", "password": PASSWORD, "before": before}
    assert client.post("/setup", data=form).status_code == 400
    before = client.cookies["sharpedge_dashboard_form"]
    form |= {"token": token, "before": before}
    assert client.post("/setup", data=form).headers["location"] == "/sign-in"
    assert sign_in(client, "Anna").status_code == 303


def test_ones_own_password_is_changed_and_the_sessions_end(clinic):
    client = clinic.client("reader")
    assert post(client, "/account", old="wrong", new="another battery").status_code == 400
    assert post(client, "/account", old=PASSWORD, new="another battery").status_code == 303
    assert client.get("/").status_code == 303
    assert sign_in(client, "reader R", "another battery").status_code == 303
