"""Opening: migrations under a lock, errors that name cause and fix, transactions."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text

from dashboard.errors import DashboardError
from dashboard.store.database import open_database
from dashboard.store.tables import NOTE


def test_several_dashboards_may_open_one_database_at_once(tmp_path, postgres):
    for url in (f"sqlite:///{tmp_path / 'new' / 'd.sqlite'}", postgres.new_database("template0")):
        faults = []

        def open_it(url=url, faults=faults):
            try:
                open_database(url).close()
            except Exception as error:  # noqa: BLE001 - shown below
                faults.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert faults == []


def test_a_database_of_a_later_release_is_refused(any_database):
    with any_database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    url = any_database.engine.url.render_as_string(hide_password=False)
    with pytest.raises(DashboardError, match=r"later release.*fix:"):
        open_database(url)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "sqlite://", "oracle://secret@host/x", "postgresql+psycopg://u:secret@127.0.0.1:1/x",
     "sqlite:////proc/none/d.sqlite"],
)  # fmt: skip
def test_a_database_that_cannot_be_opened_is_named_with_a_fix_and_no_password(url):
    with pytest.raises(DashboardError, match="fix:") as error:
        open_database(url)
    assert "secret@" not in str(error.value).replace("***", "")


def test_a_transaction_that_fails_leaves_nothing(any_database):
    def fails():
        with any_database.writing() as connection:
            connection.execute(NOTE.insert().values(name="a", value="b"))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with any_database.reading() as connection:
        assert connection.execute(select(NOTE)).all() == []
