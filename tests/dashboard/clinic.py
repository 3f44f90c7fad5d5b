"""The pages over a store with films, and people of each role."""

from __future__ import annotations

import re
import time

from argon2 import PasswordHasher
from sqlalchemy import select
from starlette.testclient import TestClient

from dashboard.intake.arrivals import save
from dashboard.people.accounts import Accounts
from dashboard.people.pace import Pace
from dashboard.people.sessions import Sessions
from dashboard.settings import Settings
from dashboard.store.tables import MESSAGE
from dashboard.web.app import application
from dashboard.web.changes import Changes
from dashboard.web.guard import LOCAL_NAMES
from dashboard.web.site import Site

PASSWORD = "correct horse battery"  # noqa: S105 - of these tests
BASE = "http://localhost:8490"
# As quick as Argon2 can be: what is tested is who gets in, not how long it takes.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Orders:
    """Stands for the broker: keeps what was sent."""

    def __init__(self):
        self.is_connected = True
        self.sent = []

    def order(self, device, message, correlation):
        if self.is_connected:
            self.sent.append((device, message, correlation))
        return self.is_connected

    def ask_picture(self, device, result_id):
        return self.order(device, "picture", result_id)


class Clinic:
    """A store, its pages and its people."""

    def __init__(self, database, settings=None, provider=None):
        self.database = database
        self.orders = Orders()
        self.settings = settings or Settings()
        self.accounts = Accounts(database, QUICK)
        self.sessions = Sessions(database, self.settings.web.idle_s)
        self.changes = Changes()
        self.site = Site(
            database, self.settings, self.accounts, self.sessions, Pace(), self.changes,
            self.orders, provider,
        )  # fmt: skip
        self.app = application(self.site, LOCAL_NAMES)
        for role in ("reader", "operator", "admin"):
            self.accounts.add(f"{role} R", PASSWORD, role)

    def client(self, role=None):
        """A browser; one that has signed in as a person of ``role``."""
        it = TestClient(self.app, base_url=BASE, follow_redirects=False)
        it.headers["origin"] = BASE
        if role is not None:
            assert sign_in(it, f"{role} R").status_code == 303
        return it

    def keep(self, *arrived, now_s=None):
        """Store what arrived."""
        with self.database.writing() as connection:
            save(connection, arrived, time.time() if now_s is None else now_s, 100)

    def key(self, message):
        """Key of a message's row."""
        with self.database.reading() as connection:
            found = select(MESSAGE.c.pk).where(MESSAGE.c.id == message.id)
            return connection.execute(found).scalar_one()

    def rows(self, table):
        with self.database.reading() as connection:
            return connection.execute(select(table).order_by(*table.primary_key)).all()


def sign_in(client, name, password=PASSWORD):
    before = re.search(r'name="before" value="([^"]+)"', client.get("/sign-in").text)[1]
    return client.post("/sign-in", data={"name": name, "password": password, "before": before})


def csrf(client):
    return re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)[1]


def post(client, path, **fields):
    return client.post(path, data={"csrf": csrf(client), **fields})
