"""A dashboard without pages at a broker, and its database."""

from __future__ import annotations

from sqlalchemy import select

from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.store.database import open_database
from dashboard.store.tables import MESSAGE


class Clinic:
    """Stores and answers what comes, as `sharpedge dashboard` does."""

    def __init__(self, folder, port, receiver="dashboard-1", protocol="3.1.1"):
        self.database = open_database(f"sqlite:///{folder / f'{receiver}.sqlite'}")
        self.writer = Writer(self.database, DatabaseSettings(), lambda: None)
        settings = BrokerSettings(port=port, receiver=receiver, protocol=protocol)
        self.subscriber = Subscriber(settings, self.writer)
        self.writer.start()
        self.subscriber.start()

    def rows(self, table=MESSAGE):
        with self.database.reading() as connection:
            return connection.execute(select(table).order_by(table.c.pk)).all()

    def close(self):
        self.subscriber.stop()
        self.writer.stop()
        self.database.close()
