"""The dashboard and a real appliance's daemon, with a stand-in for the method."""

from __future__ import annotations

import pytest
from appliance import until
from sqlalchemy import select
from stand_in import film_bytes

from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.store import films
from dashboard.store.tables import DEVICE, MESSAGE, ORDER, PICTURE
from edge.contract.ids import DeviceName
from edge.contract.payloads import OperatorMessage


@pytest.fixture
def dashboard(broker, database):
    writer = Writer(database, DatabaseSettings(), lambda: None)
    it = Subscriber(BrokerSettings(port=broker.port), writer)
    writer.start()
    it.start()
    until(lambda: it.is_connected)
    yield it
    it.stop()
    writer.stop()


def rows(database, table):
    with database.reading() as connection:
        return connection.execute(select(table).order_by(table.c.pk)).all()


def test_a_held_film_is_released_and_its_result_replaces_it(
    dashboard, database, broker, make_appliance
):
    appliance = make_appliance(broker.port).start()
    appliance.put("a.jpg", film_bytes("limb=LH"))
    appliance.put("b.jpg", film_bytes("reason=side_not_known"))
    until(lambda: len(rows(database, MESSAGE)) == 2, 60)
    held = next(it for it in rows(database, MESSAGE) if it.status == "held")
    device = DeviceName.parse(rows(database, DEVICE)[0].name)
    order = OperatorMessage(command="release", id=held.id, operator="Anna", limb="hand", side="R")
    with database.writing() as connection:
        values = {"command": "release", "person": "Anna", "correlation": "ab", "side": "R"}
        films.begin_order(connection, held.pk, values)
    assert dashboard.order(device, order, "ab")
    until(lambda: len(rows(database, MESSAGE)) == 3, 60)
    until(lambda: rows(database, ORDER)[0].answered_s is not None)
    assert rows(database, ORDER)[0].done is True
    found = {it.id: it for it in rows(database, MESSAGE)}
    (released,) = [it for it in found.values() if it.supersedes == held.id]
    assert (released.side, released.limb, released.status) == ("R", "hand", "scored")
    assert found[held.id].superseded_by == released.id
    # Every message was answered: the appliance waits for no receipt.
    waits = {"claimed", "scored", "queued", "sent", "held"}
    until(lambda: not waits & set(appliance.states().values()), 30)
    assert appliance.audit()["findings"] == []
    until(lambda: len(rows(database, PICTURE)) >= 2)
    assert '"online"' in rows(database, DEVICE)[0].state
