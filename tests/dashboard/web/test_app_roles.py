"""Who may open what: every URL with every role, forms of others, hostile words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clinic import BASE, PASSWORD, Clinic, csrf, post, sign_in
from rooms import OTHER, ROOM, arrived, film, jpeg, result
from starlette.routing import Mount

from dashboard.intake.parse import parse
from dashboard.people.roles import ROLES, Need
from dashboard.settings import Settings, WebSettings
from dashboard.simulated import simulated_health, simulated_state
from dashboard.store.tables import AUDIT, CORRECTION, MESSAGE, ORDER, PERSON
from dashboard.web.routes import EVENTS, PAGES
from edge.contract.payloads import Alert, Presence
from edge.contract.vocabulary import Reason

TEMPLATES = Path(__file__).resolve().parents[3] / "dashboard" / "templates"
SCRIPT = "<script>alert(1)</script>"
_MAY = {
    None: {Need.NOTHING}, "reader": {Need.NOTHING, Need.SIGNED_IN, Need.CORRECT},
    "operator": {Need.NOTHING, Need.SIGNED_IN, Need.DECIDE}, "admin": set(Need),
}  # fmt: skip


def filled(clinic):
    """One film of each kind, a picture, and devices."""
    held = film(2).reject(Reason.SIDE_NOT_KNOWN)
    clinic.keep(
        arrived(result(1)), arrived(held),
        arrived(film(3).reject(Reason.NOT_AN_IMAGE)),
        parse(ROOM.topic("image"), jpeg(result(1).id, "1 0 0 0 1 0"), None, 1 << 20),
        arrived(simulated_state(ROOM, 1.0, Presence.DEGRADED, Alert(code="a_b", detail=SCRIPT))),
        arrived(simulated_health(ROOM, 1.0, 3, 1)),
        arrived(simulated_state(OTHER, 1.0), OTHER),
    )  # fmt: skip
    return held


def concrete(clinic, path):
    """A path of the table with the words of what is there."""
    words = {"{pk:int}": "1", "{kind}": "csv", "{command}": "dismiss"}
    for placeholder, word in words.items():
        path = path.replace(placeholder, word)
    column = "patient" if path.startswith("/patient") else "study"
    return path.replace("{name}", getattr(clinic.rows(MESSAGE)[0], column))


def test_every_url_of_the_application_is_in_the_table(clinic):
    paths = {route.path for route in clinic.app.routes if not isinstance(route, Mount)}
    assert paths == {page.path for page in PAGES} | {EVENTS}


@pytest.mark.parametrize("role", [None, "reader", "operator", "admin"])
def test_every_url_is_open_to_its_roles_alone(clinic, role):
    filled(clinic)
    for page in PAGES:
        client = clinic.client(role)
        path = concrete(clinic, page.path)
        if page.method == "GET":
            done = client.get(path)
        else:
            form = {} if role is None else {"csrf": csrf(client)}
            done = client.post(path, data=form)
        refused = done.status_code in {401, 403} or done.headers.get("location") == "/sign-in"
        if page.need is Need.NOTHING or page.path in {"/sign-out", "/account"}:
            continue
        if page.path.endswith("/close") and done.status_code == 404:
            # Nothing was refused, so that there is nothing to close: the role was enough.
            refused = False
        assert refused == (page.need not in _MAY[role]), (page, role, done.status_code)
        assert done.status_code < 500


def test_every_role_of_the_table_is_tested():
    assert set(ROLES) == set(_MAY) - {None}
    assert all(_MAY[role] - {Need.NOTHING} == needs for role, needs in ROLES.items())


@pytest.mark.parametrize(
    "page", [it for it in PAGES if it.method == "POST"], ids=lambda it: it.path
)
def test_no_form_of_another_session_or_page_does_anything(clinic, page):
    filled(clinic)
    mine, theirs = clinic.client("admin"), clinic.client("admin")
    path = concrete(clinic, page.path)
    before = (clinic.rows(ORDER), clinic.rows(CORRECTION), clinic.rows(PERSON))
    if page.path != "/theme":
        for token in ("", "x", csrf(theirs)):
            done = mine.post(path, data={"csrf": token, "name": "M", "role": "admin"})
            assert done.status_code in {400, 403, 404}, done.status_code
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://["}):
        done = mine.post(path, data={"csrf": csrf(mine)}, headers=headers)
        assert done.status_code == 403
    assert (clinic.rows(ORDER), clinic.rows(CORRECTION), clinic.rows(PERSON)) == before


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/dashboard.css", "/none", "/film/99"])
def test_every_answer_forbids_frames_inline_script_and_caching(clinic, path):
    headers = clinic.client("reader").get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.x:1"])
def test_another_host_name_is_refused(clinic, host):
    assert clinic.client("reader").get("/", headers={"host": host}).status_code == 403


def test_a_session_is_for_tls_alone_where_the_dashboard_is(database):
    clinic = Clinic(database, Settings(web=WebSettings(public_url="https://localhost")))
    client = clinic.client()
    done = sign_in(client, "reader R")
    cookies = done.headers.get_list("set-cookie")
    assert all("Secure" in it and "HttpOnly" in it and "SameSite=strict" in it for it in cookies)
    assert "strict-transport-security" in done.headers


def test_the_notice_stands_on_every_page(clinic):
    filled(clinic)
    client = clinic.client("admin")
    for page in PAGES:
        if page.method == "GET" and "." not in page.path and page.path != "/setup":
            text = client.get(concrete(clinic, page.path)).text
            assert "Research use only, not a medical device." in text, page.path


def test_no_template_holds_script_style_or_an_address_outside():
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|https?://|\|\s*safe", text), (
            path
        )
        assert "<script>" not in text


def test_words_of_films_and_people_are_never_markup(clinic):
    body = json.loads(result(1).model_dump_json())
    body |= {"flags": [SCRIPT], "reason": SCRIPT, "advice": SCRIPT}
    body["joints"][0] |= {"erosion": None, "erosion_reason": SCRIPT, "name": None,
                          "name_candidate": SCRIPT[:20]}  # fmt: skip
    body["versions"] = {"software": SCRIPT, "engines": {SCRIPT: SCRIPT}}
    clinic.keep(parse(ROOM.topic("result"), json.dumps(body).encode(), None, 1 << 20))
    filled(clinic)
    name = "<img src=x onerror=alert(1)>"
    clinic.accounts.add(name, PASSWORD, "admin")
    client = clinic.client()
    sign_in(client, name)
    pk = clinic.key(result(1))
    post(client, f"/film/{pk}/grades", **{"erosion-PIP2": "3", "note": SCRIPT})
    for path in ("/", f"/film/{pk}", f"/study/{body['study']}", f"/patient/{body['patient']}",
                 "/devices", "/corrections", "/people", "/audit", f"/?q={SCRIPT}",
                 f"/?device={SCRIPT}"):  # fmt: skip
        text = client.get(path).text
        assert SCRIPT not in text, path
        assert "<img src=x" not in text, path


@pytest.mark.parametrize(
    "words",
    ["' OR 1=1 --", '"; DROP TABLE message; --', "%", "_", "\\", "\x00", "a" * 5000, "ü", "(" * 50],
)
def test_a_search_is_words_and_never_a_statement(clinic, words):
    filled(clinic)
    client = clinic.client("reader")
    done = client.get("/", params={"q": words, "device": words, "after": words, "show": words})
    assert done.status_code == 200
    if words != "\x00":
        assert "/film/" not in done.text
    assert len(clinic.rows(MESSAGE)) == 3


@pytest.mark.parametrize(
    "path",
    ["/film/99", f"/film/{10**30}", "/film/99/picture.jpg", "/film/-1", "/film/x",
     "/study/" + "0" * 32, "/study/..%2f..%2fetc", "/patient/x", "/patient/x/films.csv",
     "/worklist.exe", "/devices.exe", "/static/../settings.py", "/static/..%2fsettings.py",
     "/audit?before=x", f"/audit?before={10**9}9"],
)  # fmt: skip
def test_what_is_not_there_is_said_whatever_the_id(clinic, path):
    filled(clinic)
    done = clinic.client("admin").get(path)
    assert done.status_code == (200 if path.startswith("/audit") else 404)
    assert "Traceback" not in done.text


def test_forged_forms_of_films_do_nothing(clinic):
    filled(clinic)
    client = clinic.client("admin")
    for path in ("/film/99/order/dismiss", f"/film/{10**20}/read", "/film/99/grades",
                 "/film/2/order/explode"):  # fmt: skip
        assert post(client, path).status_code == 404
    for fields in ({"erosion-PIP2": "6"}, {"erosion-PIP2": "-1"}, {"erosion-PIP2": "1e3"},
                   {"narrowing-MCP2": "5"}, {"erosion-PIP2": "9" * 400}):  # fmt: skip
        post(client, "/film/1/grades", **fields)
    assert clinic.rows(CORRECTION) == []
    post(client, "/film/2/order/release", side="X", limb="hand")
    post(client, "/film/1/order/dismiss")
    assert clinic.rows(ORDER) == []
    assert clinic.orders.sent == []


def test_what_people_do_is_in_the_audit_log(clinic):
    filled(clinic)
    client = clinic.client("admin")
    post(client, "/film/1/read")
    post(client, "/film/2/order/dismiss")
    client.get("/worklist.csv")
    sign_in(clinic.client(), "admin R", "wrong password")
    found = [(it.person, it.action) for it in clinic.rows(AUDIT)]
    assert found == [
        ("admin R", "sign-in"), ("admin R", "read"), ("admin R", "dismiss"),
        ("admin R", "export"), ("admin R", "sign-in refused"),
    ]  # fmt: skip
    assert "dismiss" in client.get("/audit").text


def test_an_admin_ends_somebodys_sessions_at_once(clinic):
    reader, admin = clinic.client("reader"), clinic.client("admin")
    pk = next(it.pk for it in clinic.rows(PERSON) if it.role == "reader")
    assert post(admin, f"/people/{pk}", role="reader").status_code == 303
    assert reader.get("/").headers["location"] == "/sign-in"
    assert sign_in(reader, "reader R").status_code == 403


def test_the_last_admin_stays_one(clinic):
    admin = clinic.client("admin")
    pk = next(it.pk for it in clinic.rows(PERSON) if it.role == "admin")
    post(admin, f"/people/{pk}", role="reader", active="1")
    assert {it.role for it in clinic.rows(PERSON)} == {"reader", "operator", "admin"}


def test_the_theme_leads_back_to_a_page_of_ours_only(clinic):
    client = clinic.client("reader")
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"):
        done = client.post("/theme", data={"theme": "dark", "back": back})
        assert done.headers["location"] == "/"
    done = client.post("/theme", data={"theme": "dark", "back": "/devices"})
    assert done.headers["location"] == "/devices"


def test_forwarded_headers_of_browsers_mean_nothing(clinic):
    client = clinic.client()
    client.headers["x-forwarded-for"] = "203.0.113.9"
    sign_in(client, "reader R", "wrong password")
    assert clinic.rows(AUDIT)[-1].address == "testclient"
    assert BASE.startswith("http://localhost")
