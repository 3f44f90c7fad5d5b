"""Accounts, the first one, and sessions."""

from __future__ import annotations

import threading

import pytest
from clinic import PASSWORD, QUICK
from sqlalchemy import select

from dashboard.people.accounts import AccountError, Accounts
from dashboard.store.tables import NOTE, PERSON


@pytest.fixture
def accounts(any_database):
    return Accounts(any_database, QUICK)


def test_the_first_admin_is_made_once_with_the_token_that_was_printed(accounts):
    old, token = accounts.setup_token(), accounts.setup_token()
    for wrong in ("", "x", old):
        with pytest.raises(AccountError):
            accounts.set_up(wrong, "Anna", PASSWORD)
    accounts.set_up(token.lower().replace("-", " "), "Anna", PASSWORD)
    with pytest.raises(AccountError):
        accounts.set_up(token, "Bert", PASSWORD)
    assert accounts.setup_token() is None
    assert [(it.name, it.role) for it in accounts.everyone()] == [("Anna", "admin")]


def test_two_at_once_make_one_admin(accounts):
    token = accounts.setup_token()
    faults = []

    def set_up(name):
        try:
            accounts.set_up(token, name, PASSWORD)
        except AccountError as error:
            faults.append(error)

    threads = [threading.Thread(target=set_up, args=(f"N{it}",)) for it in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(accounts.everyone()), len(faults)) == (1, 3)


def test_neither_passwords_nor_the_token_are_kept_in_the_clear(accounts, any_database):
    token = accounts.setup_token()
    with any_database.reading() as connection:
        kept = str(connection.execute(select(NOTE)).all())
    assert token not in kept
    assert token.replace("-", "") not in kept
    accounts.set_up(token, "Anna", PASSWORD)
    with any_database.reading() as connection:
        (hashed,) = connection.execute(select(PERSON.c.password)).scalars()
    assert hashed.startswith("$argon2id$")
    assert PASSWORD not in hashed


def test_who_may_not_sign_in_is_nobody(accounts):
    accounts.add("Anna", PASSWORD, "reader")
    accounts.add("Root", PASSWORD, "admin")
    pk = accounts.verify("Anna", PASSWORD).pk
    assert accounts.verify("Anna", PASSWORD + "x") is None
    assert accounts.verify("anna' --", PASSWORD) is None
    assert accounts.verify("Anna", "") is None
    accounts.change(pk, "reader", active=False)
    assert accounts.verify("Anna", PASSWORD) is None


@pytest.mark.parametrize("password", ["", "short", "x" * 129, "Anna of the X-ray"])
def test_a_weak_password_is_refused(accounts, password):
    with pytest.raises(AccountError, match="12 to 128"):
        accounts.add("Anna of the X-ray", password, "reader")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, 'a"b', "a\\b", "a\x00b"])
def test_a_name_is_wanted_that_a_devices_journal_takes(accounts, name):
    with pytest.raises(AccountError, match="1 to 64"):
        accounts.add(name, PASSWORD, "reader")


def test_a_name_has_one_account_and_a_role_of_the_table(accounts):
    accounts.add("Anna", PASSWORD, "reader")
    with pytest.raises(AccountError, match="already"):
        accounts.add(" Anna ", PASSWORD, "admin")
    with pytest.raises(AccountError, match="role"):
        accounts.add("Bert", PASSWORD, "owner")


def test_a_password_is_changed_by_who_knows_the_old_one(accounts):
    accounts.add("Anna", PASSWORD, "reader")
    pk = accounts.verify("Anna", PASSWORD).pk
    with pytest.raises(AccountError, match="old password"):
        accounts.change_password(pk, "wrong", PASSWORD + "2")
    accounts.change_password(pk, PASSWORD, PASSWORD + "2")
    assert accounts.verify("Anna", PASSWORD) is None
    assert accounts.verify("Anna", PASSWORD + "2") is not None
