"""A database as an earlier release left it, with data, is brought up to date and goes on.

``frozen/`` holds one dump for each revision and kind of database, made with that release and never
changed: SQLite's ``iterdump``, and ``pg_dump --inserts --no-owner``. A new revision adds its own.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from clinic import PASSWORD, Clinic, sign_in
from rooms import OTHER, ROOM, arrived, film, result
from sqlalchemy import inspect, select, text

import dashboard.store.database as module
from dashboard.intake.arrivals import save
from dashboard.intake.parse import parse
from dashboard.people.oidc.admission import admit
from dashboard.people.oidc.identity import Identity
from dashboard.settings import OidcSettings
from dashboard.store import films
from dashboard.store.database import Database, engine_of, open_database
from dashboard.store.tables import DEVICE, MESSAGE, METADATA, ORDER, PERSON, PROBLEM
from edge.contract.vocabulary import Reason

FROZEN = Path(__file__).parent / "frozen"
REVISIONS = sorted(it.stem.partition("_")[0] for it in FROZEN.glob("v*_sqlite.sql"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Where a frozen database is put, by a function of its revision."""

    def restored(revision):
        dump = (FROZEN / f"{revision}_{request.param}.sql").read_text()
        if request.param == "sqlite":
            path = tmp_path / "old.sqlite"
            old = sqlite3.connect(path)
            old.executescript(dump)
            old.close()
            return f"sqlite:///{path}"
        found = request.getfixturevalue("postgres").new_database("template0")
        old = engine_of(found)
        with old.connect() as connection, connection.begin():
            connection.connection.driver_connection.execute(dump)
        old.dispose()
        return found

    return restored


@pytest.fixture
def upgraded(url):
    """A frozen database after it was opened by this release."""
    opened = []

    def upgrade(revision):
        opened.append(open_database(url(revision)))
        return opened[-1]

    yield upgrade
    for it in opened:
        it.close()


def test_every_revision_has_its_frozen_databases():
    script = ScriptDirectory(str(module._MIGRATIONS))
    known = {it.path.rpartition("/")[2].partition("_")[0] for it in script.walk_revisions()}
    assert set(REVISIONS) == known
    for revision in REVISIONS:
        assert (FROZEN / f"{revision}_postgresql.sql").is_file()


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_earlier_database_has_the_tables_of_this_release(upgraded, revision):
    database = upgraded(revision)
    head = ScriptDirectory(str(module._MIGRATIONS)).get_current_head()
    with database.reading() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == head
        found = inspect(connection)
        for table in METADATA.tables.values():
            columns = {it["name"] for it in found.get_columns(table.name)}
            assert columns == {it.name for it in table.columns}, table.name
            indexes = {it["name"] for it in found.get_indexes(table.name)}
            assert {it.name for it in table.indexes} <= indexes, table.name


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_was_stored_is_there_and_shows(upgraded, revision):
    database = upgraded(revision)
    held = film(5).reject(Reason.SIDE_NOT_KNOWN)
    wanted = {result(1).id, result(2).id, result(3).id, result(1, OTHER).id, held.id}
    clinic = Clinic(database)
    assert {row.id for row in clinic.rows(MESSAGE)} == wanted
    assert {row.name for row in clinic.rows(DEVICE)} == {str(ROOM), str(OTHER)}
    assert "Anna R" in {row.name for row in clinic.rows(PERSON)}
    assert [row.correlation for row in clinic.rows(ORDER)] == ["ab"]
    assert len(clinic.rows(PROBLEM)) == 1
    browser = clinic.client()
    assert sign_in(browser, "Anna R", PASSWORD).status_code == 303
    key = clinic.key(result(1))
    assert "MCP2" in browser.get(f"/film/{key}").text
    assert browser.get(f"/film/{key}/picture.jpg").status_code == 200
    for path in ("/", f"/patient/{result(1).patient}", f"/study/{result(1).study}", "/devices",
                 "/corrections"):  # fmt: skip
        assert browser.get(path).status_code == 200, path


@pytest.mark.parametrize("revision", REVISIONS)
def test_it_takes_repeats_and_new_messages(upgraded, revision):
    database = upgraded(revision)
    with database.reading() as connection:
        # A box of that release repeats the bytes that it has sent before.
        sent = connection.execute(
            select(MESSAGE.c.payload).where(MESSAGE.c.id == result(1).id)
        ).scalar_one()
    repeated = parse(ROOM.topic("result"), sent.encode(), None, 1 << 20)
    with database.writing() as connection:
        saved = save(connection, [repeated, arrived(result(9))], 2e9, 10)
    assert (saved.repeats, saved.new, saved.bad) == (1, 1, 0)
    with database.reading() as connection:
        row = films.film_of_id(connection, 1, result(1).id)
        assert row.read_by == "Anna R"
        keys = connection.execute(select(MESSAGE.c.pk)).scalars().all()
        assert len(keys) == len(set(keys)) == 6
        assert [it.joint for it in films.corrections_of(connection, row.pk)] == ["MCP2"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_person_of_a_provider_has_one_account_beside_the_local_one_of_that_name(
    upgraded, revision
):
    database = upgraded(revision)
    who = Identity("https://sso.clinic", "s-1", "Anna R", "reader")
    settings = OidcSettings(
        issuer=who.issuer, client_id="d", client_secret_file=Path("s"), roles={"a": "reader"}
    )
    keys = {admit(database, who, settings, "") for _ in range(2)}
    with database.reading() as connection:
        found = connection.execute(select(PERSON).order_by(PERSON.c.pk)).all()
    assert [(it.name, it.subject) for it in found] == [("Anna R", None), ("Anna R (2)", "s-1")]
    assert keys == {found[1].pk}


def test_a_second_opening_changes_nothing(url):
    place = url(REVISIONS[0])
    open_database(place).close()
    again = Database(engine_of(place))
    with again.reading() as connection:
        before = connection.execute(text("SELECT count(*) FROM message")).scalar()
    again.close()
    open_database(place).close()
    assert before == 5
