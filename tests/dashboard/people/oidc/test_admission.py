"""Accounts by issuer and subject: names change, clash and are never merged."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from clinic import PASSWORD, QUICK
from oidc_clinic import ROLES
from sqlalchemy import select

from dashboard.people.accounts import AccountError, Accounts
from dashboard.people.oidc.admission import admit
from dashboard.people.oidc.errors import SignInError
from dashboard.people.oidc.identity import Identity
from dashboard.people.sessions import Sessions
from dashboard.settings import OidcSettings
from dashboard.store.tables import AUDIT, PERSON

SETTINGS = OidcSettings(
    issuer="https://sso.clinic", client_id="d", client_secret_file=Path("s"), roles=ROLES
)
ANNA = Identity("https://sso.clinic", "s-1", "Anna Roth", "reader")


@pytest.fixture
def accounts(any_database):
    it = Accounts(any_database, QUICK)
    it.add("Root", PASSWORD, "admin")
    return it


def people(database):
    with database.reading() as connection:
        return {it.pk: it for it in connection.execute(select(PERSON))}


def notes(database):
    with database.reading() as connection:
        return [(it.person, it.action) for it in connection.execute(select(AUDIT))]


def test_the_same_subject_has_one_account_whose_name_and_role_follow(any_database, accounts):
    pk = admit(any_database, ANNA, SETTINGS, "a")
    married = replace(ANNA, name="Anna Blau", role="operator")
    assert admit(any_database, married, SETTINGS, "a") == pk
    one = people(any_database)[pk]
    assert (one.name, one.role, one.password) == ("Anna Blau", "operator", "")
    assert notes(any_database) == [
        ("Anna Roth", "account added"), ("Anna Roth", "sign-in"), ("Anna Blau", "account renamed"),
        ("Anna Blau", "role changed"), ("Anna Blau", "sign-in"),
    ]  # fmt: skip
    assert len(accounts.everyone()) == 2


def test_people_of_one_name_are_told_apart_and_a_local_account_is_never_taken(
    any_database, accounts
):
    accounts.add("Anna Roth", PASSWORD, "admin")
    local = accounts.verify("Anna Roth", PASSWORD).pk
    others = [replace(ANNA, subject="s-2", name="anna roth"), replace(ANNA, issuer="https://b.x")]
    keys = [admit(any_database, it, SETTINGS, "a") for it in (ANNA, *others)]
    assert len({local, *keys}) == 4
    names = [people(any_database)[it].name for it in keys]
    assert names == ["Anna Roth (2)", "anna roth (3)", "Anna Roth (4)"]
    # The next sign-in renames nobody.
    assert [admit(any_database, it, SETTINGS, "a") for it in (ANNA, *others)] == keys
    assert [people(any_database)[it].name for it in keys] == names
    renamed = admit(any_database, replace(ANNA, name="Root"), SETTINGS, "a")
    assert people(any_database)[renamed].name == "Root (2)"
    assert people(any_database)[local].role == "admin"


def test_it_has_no_password_and_gets_none(any_database, accounts):
    pk = admit(any_database, replace(ANNA, role="admin"), SETTINGS, "a")
    for password in ("", PASSWORD):
        assert accounts.verify("Anna Roth", password) is None
    with pytest.raises(AccountError, match="OpenID Connect"):
        accounts.change(pk, "admin", active=True, password=PASSWORD)
    accounts.change(pk, "reader", active=True)
    assert [it.role for it in accounts.everyone() if it.pk == pk] == ["admin"]
    with pytest.raises(AccountError, match="no password"):
        accounts.change_password(pk, "", PASSWORD)
    root = accounts.verify("Root", PASSWORD).pk
    # An admin of the provider's is not the one who is left when the provider is gone.
    with pytest.raises(AccountError, match="last admin"):
        accounts.change(root, "reader", active=True)


def test_a_disabled_account_stays_disabled_and_without_sessions(any_database, accounts):
    sessions = Sessions(any_database, 3600)
    pk = admit(any_database, ANNA, SETTINGS, "a")
    accounts.change(pk, "reader", active=False)
    with pytest.raises(SignInError, match=r"disabled here; fix:"):
        admit(any_database, replace(ANNA, role="admin", name="Other"), SETTINGS, "a")
    one = people(any_database)[pk]
    assert (one.active, one.role, one.name) == (False, "reader", "Anna Roth")
    assert sessions.find(sessions.begin(pk)) is None


def test_who_has_no_role_any_more_is_refused_and_loses_every_session(any_database, accounts):
    sessions = Sessions(any_database, 3600)
    secret = sessions.begin(admit(any_database, ANNA, SETTINGS, "a"))
    assert sessions.find(secret).issuer == ANNA.issuer
    with pytest.raises(SignInError, match=r"no role here.*groups.*fix:"):
        admit(any_database, replace(ANNA, role=None), SETTINGS, "a")
    assert sessions.find(secret) is None
    assert notes(any_database)[-1] == ("Anna Roth", "sign-in refused")
    with pytest.raises(SignInError):
        admit(any_database, replace(ANNA, subject="s-9", role=None), SETTINGS, "a")
    assert len(people(any_database)) == 2
    assert accounts.verify("Root", PASSWORD) is not None


def test_first_sign_ins_at_once_make_an_account_a_person(any_database):
    faults, keys = [], []

    def come(subject):
        try:
            keys.append(admit(any_database, replace(ANNA, subject=subject), SETTINGS, "a"))
        except Exception as error:  # noqa: BLE001 - shown below
            faults.append(error)

    threads = [threading.Thread(target=come, args=(f"s-{it % 3}",)) for it in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert faults == []
    found = people(any_database)
    assert len(set(keys)) == len(found) == 3
    assert len({it.name for it in found.values()}) == 3
    added = [name for name, what in notes(any_database) if what == "account added"]
    assert sorted(added) == sorted(it.name for it in found.values())
