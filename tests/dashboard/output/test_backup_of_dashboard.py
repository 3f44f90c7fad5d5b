"""Backup and restore of the dashboard's database."""

from __future__ import annotations

import sqlite3
import stat

import pytest
from rooms import arrived, result
from sqlalchemy import select, text

from dashboard.errors import DashboardError
from dashboard.intake.arrivals import save
from dashboard.output.backup import back_up, restore
from dashboard.store.database import open_database
from dashboard.store.tables import MESSAGE


@pytest.fixture
def url(database, tmp_path):
    with database.writing() as connection:
        save(connection, [arrived(result(1))], 1e9, 10)
    return f"sqlite:///{tmp_path / 'dashboard.sqlite'}"


def test_what_was_stored_comes_back_and_the_file_is_its_owners_alone(url, database, tmp_path):
    # It is in use meanwhile.
    with database.reading() as connection:
        connection.execute(select(MESSAGE)).all()
        back_up(url, tmp_path / "b.sqlite")
    assert stat.S_IMODE((tmp_path / "b.sqlite").stat().st_mode) == 0o600
    elsewhere = f"sqlite:///{tmp_path / 'new' / 'd.sqlite'}"
    restore(elsewhere, tmp_path / "b.sqlite")
    again = open_database(elsewhere)
    with again.reading() as connection:
        assert [it.id for it in connection.execute(select(MESSAGE))] == [result(1).id]
    again.close()
    assert sorted(it.name for it in (tmp_path / "new").iterdir() if "restored" in it.name) == []


def test_nothing_is_written_over(url, tmp_path):
    back_up(url, tmp_path / "b.sqlite")
    with pytest.raises(DashboardError, match="exists"):
        back_up(url, tmp_path / "b.sqlite")
    with pytest.raises(DashboardError, match="exists"):
        restore(url, tmp_path / "b.sqlite")


def test_what_is_no_backup_is_refused_and_leaves_nothing(tmp_path):
    target = tmp_path / "new" / "d.sqlite"
    (tmp_path / "text").write_text("no database")
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE t (x)").connection.close()
    for name in ("text", "other", "missing"):
        with pytest.raises(DashboardError, match="no backup"):
            restore(f"sqlite:///{target}", tmp_path / name)
    assert not target.exists()


def test_a_backup_of_a_later_release_is_refused(url, database, tmp_path):
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    back_up(url, tmp_path / "b.sqlite")
    with pytest.raises(DashboardError, match="later release"):
        restore(f"sqlite:///{tmp_path / 'n.sqlite'}", tmp_path / "b.sqlite")
    assert not (tmp_path / "n.sqlite").exists()


def test_postgresql_has_tools_of_its_own(tmp_path):
    with pytest.raises(DashboardError, match="pg_dump"):
        back_up("postgresql+psycopg://u@h/n", tmp_path / "b")
