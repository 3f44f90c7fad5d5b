"""Signing in by OpenID Connect on the pages, over HTTP with a provider of our own."""

from __future__ import annotations

import re

import pytest
from clinic import BASE, PASSWORD, QUICK, Clinic, csrf, post, sign_in
from oidc_clinic import begin, come_back, fault_of, lead, oidc_clinic, oidc_settings, way_back
from oidc_provider import words_of
from starlette.testclient import TestClient

from dashboard.people.accounts import Accounts
from dashboard.people.oidc.provider import Provider
from dashboard.settings import Settings, WebSettings
from dashboard.store.tables import AUDIT, PERSON, SESSION, SIGN_IN

SCRIPT = "<script>alert(1)</script>"
DONE = "/sign-in/oidc/done"


@pytest.fixture
def clinic(database, sso, tmp_path):
    return oidc_clinic(database, oidc_settings(tmp_path, sso.issuer))


@pytest.fixture
def strict(database, sso, tmp_path):
    """One where only the provider signs in."""
    return oidc_clinic(database, oidc_settings(tmp_path, sso.issuer, only=True))


def audited(clinic):
    return [(it.person, it.action) for it in clinic.rows(AUDIT)]


def test_a_person_signs_in_at_the_provider_and_has_the_role_that_it_gives(clinic, sso):
    client = clinic.client()
    assert "Sign in with Clinic SSO" in client.get("/sign-in").text
    done = come_back(client, sso)
    assert (done.status_code, lead(done)) == (200, "/")
    page = client.get("/account")
    assert "Anna Roth" in page.text
    assert "Your role is reader" in page.text
    assert 'type="password"' not in page.text
    assert audited(clinic) == [("Anna Roth", "account added"), ("Anna Roth", "sign-in")]
    assert "subject s-1" in clinic.rows(AUDIT)[-1].object
    assert client.get("/people").status_code == 403


def test_cookies_are_as_the_others_but_the_one_that_must_come_back_with_a_link(clinic, sso):
    client = clinic.client()
    asked = begin(client)
    (flow,) = asked.headers.get_list("set-cookie")
    for word in ("HttpOnly", "SameSite=lax", "Path=/sign-in/oidc", "Max-Age=600"):
        assert word in flow
    done = client.get(sso.log_in(lead(asked)).removeprefix(BASE))
    cookies = done.headers.get_list("set-cookie")
    assert all("HttpOnly" in it for it in cookies)
    session = next(it for it in cookies if it.startswith("sharpedge_dashboard="))
    assert "SameSite=strict" in session
    assert any(it.startswith('sharpedge_dashboard_oidc=""') for it in cookies)
    assert clinic.rows(SIGN_IN) == []


def test_cookies_are_for_tls_alone_where_the_dashboard_is(database, sso, tmp_path):
    oidc = oidc_settings(tmp_path, sso.issuer)
    settings = Settings(web=WebSettings(public_url="https://localhost:8490"), oidc=oidc)
    clinic = Clinic(database, settings, Provider(oidc, settings.web.address))
    client = TestClient(clinic.app, base_url="https://localhost:8490")
    client.headers["origin"] = "https://localhost:8490"
    asked = begin(client)
    assert all("Secure" in it for it in asked.headers.get_list("set-cookie"))
    # Whatever name the request was sent to.
    back = words_of(lead(asked))["redirect_uri"]
    assert back == f"https://localhost:8490{DONE}"


def test_the_way_back_is_good_once_and_in_the_browser_that_began(clinic, sso):
    client, other = clinic.client(), clinic.client()
    begin(other)
    back = way_back(client, sso)
    done = other.get(back)
    assert done.status_code == 400
    assert "not begun in this browser" in fault_of(done)
    assert BASE in fault_of(done)
    cookie = client.cookies["sharpedge_dashboard_oidc"]
    forged = re.sub(r"state=[^&]+", "state=forged", back)
    assert clinic.client().get(forged).status_code == 400
    assert client.get(back).status_code == 200
    client.cookies.set("sharpedge_dashboard_oidc", cookie, path="/sign-in/oidc")
    again = client.get(back)
    assert again.status_code == 400
    assert "used before" in fault_of(again)
    assert [it for it in audited(clinic) if it[1] == "sign-in"] == [("Anna Roth", "sign-in")]
    assert ("-", "sign-in refused") not in audited(clinic)


def test_a_sign_in_begins_with_the_form_that_this_browser_was_shown(clinic):
    client = clinic.client()
    client.get("/sign-in")
    for before in ("", "x"):
        assert client.post("/sign-in/oidc", data={"before": before}).status_code == 400
    done = client.post("/sign-in/oidc", headers={"origin": "https://evil.example"})
    assert done.status_code == 403
    assert clinic.rows(SIGN_IN) == []


@pytest.mark.parametrize("word", ["back", "next", "redirect_uri", "url", "to", "iss"])
def test_nothing_in_an_address_leads_out_of_the_dashboard(clinic, sso, word):
    client = clinic.client()
    before = re.search(r'name="before" value="([^"]+)"', client.get("/sign-in").text)[1]
    form = {"before": before, word: "//evil.example"}
    asked = client.post(f"/sign-in/oidc?{word}=//evil.example", data=form)
    assert words_of(lead(asked))["redirect_uri"] == f"{BASE}{DONE}"
    back = sso.log_in(lead(asked)).removeprefix(BASE)
    done = client.get(f"{back}&{word}=https://evil.example")
    assert "evil.example" not in done.text
    if word == "iss":
        # The provider's name, where it states one, must be its own.
        assert done.status_code == 403
    else:
        assert lead(done) == "/"


def test_another_host_name_gives_no_other_way_back(clinic):
    client = clinic.client()
    before = re.search(r'name="before" value="([^"]+)"', client.get("/sign-in").text)[1]
    for headers in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        done = client.post("/sign-in/oidc", data={"before": before}, headers=headers)
        assert "//evil.example" not in done.text
        assert "evil.example%2F" not in done.text


def test_who_has_no_role_is_told_so_and_gets_no_account(clinic, sso):
    sso.says = {"sub": "s-2", "name": "Max Blau", "groups": ["visitors"]}
    client = clinic.client()
    done = come_back(client, sso)
    assert done.status_code == 403
    assert re.search(r"Clinic SSO: Max Blau has no role here.*groups.*fix:", fault_of(done))
    assert client.get("/").status_code == 303
    assert audited(clinic) == [("Max Blau", "sign-in refused")]
    assert "no role; OpenID Connect, subject s-2" in clinic.rows(AUDIT)[-1].object
    assert len(clinic.rows(PERSON)) == 3


def test_a_role_that_was_withdrawn_ends_every_session_at_the_next_sign_in(clinic, sso):
    sso.says["groups"] = ["it"]
    first = clinic.client()
    come_back(first, sso)
    assert first.get("/people").status_code == 200
    sso.says["groups"] = ["readers"]
    come_back(clinic.client(), sso)
    assert first.get("/people").status_code == 403
    sso.says["groups"] = []
    assert come_back(clinic.client(), sso).status_code == 403
    assert first.get("/").headers["location"] == "/sign-in"


def test_a_name_from_the_provider_is_never_markup_and_never_somebody_else(clinic, sso):
    sso.says["name"] = SCRIPT + "x" * 500
    client = clinic.client()
    come_back(client, sso)
    sso.says |= {"sub": "s-2", "name": "admin R", "groups": ["readers"]}
    other = clinic.client()
    come_back(other, sso)
    assert "admin R (2)" in other.get("/account").text
    admin = clinic.client("admin")
    for page in (client.get("/"), admin.get("/people"), admin.get("/audit")):
        assert SCRIPT not in page.text
        assert "&lt;script&gt;" in page.text
    people = admin.get("/people").text
    assert f"{sso.issuer}, subject s-2" in people
    assert people.count("OpenID Connect") == 2
    assert {it.name: it.role for it in clinic.rows(PERSON)}["admin R"] == "admin"
    assert max(len(it.name) for it in clinic.rows(PERSON)) <= 64
    sso.says["name"] = {"a": SCRIPT}
    done = come_back(clinic.client(), sso)
    assert "claim name" in fault_of(done)
    assert SCRIPT not in done.text


def test_an_admin_disables_such_an_account_and_changes_nothing_else(clinic, sso):
    client, admin = clinic.client(), clinic.client("admin")
    come_back(client, sso)
    pk = clinic.rows(PERSON)[-1].pk
    assert client.get("/").status_code == 200
    post(admin, f"/people/{pk}", role="reader", active="1", password=PASSWORD)
    assert "the password is the provider" in admin.get("/people").text
    assert client.get("/").status_code == 200
    # A page that was shown before the role changed states the old one: nothing comes of it.
    post(admin, f"/people/{pk}", role="admin", active="1")
    assert clinic.rows(PERSON)[-1].role == "reader"
    assert come_back(client, sso).status_code == 200
    post(admin, f"/people/{pk}", role="reader")
    assert client.get("/").status_code == 303
    done = come_back(client, sso)
    assert (done.status_code, "disabled here" in fault_of(done)) == (403, True)
    assert sign_in(clinic.client(), "Anna Roth").status_code == 403
    post(admin, f"/people/{pk}", role="reader", active="1")
    assert come_back(client, sso).status_code == 200
    assert post(client, "/account", old="", new=PASSWORD).status_code == 400


def test_signing_out_leads_to_the_providers_own_sign_out(clinic, sso):
    client = clinic.client()
    come_back(client, sso)
    assert post(client, "/sign-out").headers["location"] == "/sign-in/oidc/out"
    text = client.get("/sign-in/oidc/out").text
    assert f'href="{sso.issuer}/log-out?client_id=dashboard&amp;post_logout' in text
    assert clinic.rows(SESSION) == []
    assert post(clinic.client("reader"), "/sign-out").headers["location"] == "/sign-in"


def test_a_provider_that_is_gone_is_said_and_passwords_go_on(clinic, sso):
    client = clinic.client()
    back = way_back(client, sso)
    sso.close()
    done = client.get(back)
    assert done.status_code == 502
    assert re.search(r"Clinic SSO: does not answer.*fix:", fault_of(done))
    clinic.site.provider._offer = None
    for _ in range(11):
        assert begin(client).status_code == 502
    # Its absence is nobody's wrong attempt.
    assert sign_in(client, "reader R").status_code == 303
    assert "Sign out there too" in clinic.client().get("/sign-in/oidc/out").text


def test_what_the_provider_refuses_is_said_without_its_words(clinic, sso):
    client = clinic.client()
    state = words_of(way_back(client, sso))["state"]
    done = client.get(DONE, params={"error": SCRIPT, "error_description": SCRIPT, "state": state})
    assert done.status_code == 403
    assert "did not sign you in" in fault_of(done)
    assert SCRIPT not in done.text
    assert SCRIPT not in clinic.client("admin").get("/audit").text


def test_a_page_of_the_web_that_sends_browsers_here_locks_nobody_out(clinic, sso):
    client = clinic.client()
    for number in range(15):
        assert client.get(f"{DONE}?state={number}&code=x").status_code == 400
    assert clinic.rows(AUDIT) == []
    assert sso.asked == []
    assert come_back(client, sso).status_code == 200
    assert sign_in(clinic.client(), "reader R").status_code == 303


def test_after_ten_refused_sign_ins_an_address_waits(clinic, sso):
    client = clinic.client()
    sso.says = {"sub": "s-2", "name": "Max Blau", "groups": ["visitors"]}
    for _ in range(10):
        assert come_back(client, sso).status_code == 403
    assert begin(client).status_code == 429
    assert client.get(f"{DONE}?state=x").status_code == 429
    assert sign_in(client, "reader R").status_code == 429


def test_one_address_begins_thirty_sign_ins_a_minute(clinic):
    client = clinic.client()
    assert [begin(client).status_code for _ in range(31)] == [200] * 30 + [429]
    assert sign_in(client, "reader R").status_code == 303


def test_the_address_of_a_failed_attempt_shows_the_form(clinic):
    assert "Sign in with Clinic SSO" in clinic.client().get("/sign-in/oidc").text


@pytest.mark.parametrize(
    "query", ["", "?", "?state=", "?code=x&state=%00", "?state=" + "x" * 4000, "?state=%ff%fe",
              "?state=a&state=b&code=c", "?error=x"],
)  # fmt: skip
def test_forged_ways_back_sign_nobody_in(clinic, query):
    client = clinic.client()
    begin(client)
    done = client.get(f"{DONE}{query}")
    assert done.status_code == 400
    assert client.get("/").status_code == 303


def test_with_the_provider_alone_passwords_are_for_admins(strict, sso):
    client = strict.client()
    text = client.get("/sign-in").text
    assert 'id="oidc"' in text
    assert 'type="password"' not in text
    assert "/sign-in/password" in text
    assert 'type="password"' in client.get("/sign-in/password").text
    for name in ("reader R", "operator R", "nobody"):
        done = sign_in(client, name)
        assert done.status_code == 403
        assert "no admin" in fault_of(done)
    assert come_back(strict.client(), sso).status_code == 200
    sso.close()
    assert sign_in(client, "admin R").status_code == 303
    assert "Only an admin signs in with a password" in client.get("/people").text


def test_the_first_admin_is_made_with_a_password_before_anybody_comes_from_the_provider(strict):
    with strict.database.writing() as connection:
        connection.execute(PERSON.delete())
    token = Accounts(strict.database, QUICK).setup_token()
    client = strict.client()
    for path in ("/sign-in", "/sign-in/password"):
        assert client.get(path).headers["location"] == "/setup"
    assert client.post("/sign-in/oidc").headers["location"] == "/setup"
    before = re.search(r'name="before" value="([^"]+)"', client.get("/setup").text)[1]
    form = {"token": token, "name": "Root", "password": PASSWORD, "before": before}
    assert client.post("/setup", data=form).headers["location"] == "/sign-in"
    assert sign_in(client, "Root").status_code == 303
    assert csrf(client)


def test_without_a_provider_there_is_no_way_to_one(database):
    client = Clinic(database).client()
    assert 'id="oidc"' not in client.get("/sign-in").text
    assert client.post("/sign-in/oidc").status_code == 404
    for path in (DONE, "/sign-in/oidc/out"):
        assert client.get(path).status_code == 404
