"""Names (site, room, device) under which messages were made and topics are retained.

Layer: journal; reads and writes the tables ``outbox``, ``name`` and ``meta``.

A message keeps the name at the time of its scoring. After a site or room was renamed, messages that
still wait are sent under their own name, and the retained topics of the old name are cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.ids import DeviceName
from edge.errors import ConfigError
from edge.journal.kinds import MQTT
from edge.journal.schema import OPEN

if TYPE_CHECKING:
    from edge.journal.store import Store

_UNNAMED = "unnamed"
"""Key of ``meta``: the name under which rows of a schema without names were made."""


class Names:
    """Names in one journal; ``device`` is the appliance's present name."""

    def __init__(self, store: Store, device: DeviceName) -> None:
        self._store = store
        self._device = device
        self._unnamed = self._settle_unnamed()

    def _settle_unnamed(self) -> DeviceName:
        """Name of rows that have none: the device's at the first start that stores names."""
        found = self._store.note(_UNNAMED)
        name = None if found is None else DeviceName.parse(found)
        if name is None:
            name = self._device
            with self._store.transaction():
                self._store.set_note(_UNNAMED, str(name))
        return name

    def of(self, text: str) -> DeviceName:
        """Parse a row's name; where it is empty or damaged, the name before names were stored."""
        return DeviceName.parse(text) or self._unnamed

    def open(self) -> set[DeviceName]:
        """Names of the messages that wait to be sent over MQTT."""
        query = f"SELECT DISTINCT name FROM outbox WHERE destination = ? AND {OPEN}"  # noqa: S608
        return {self.of(str(row["name"])) for row in self._store.db.execute(query, (MQTT,))}

    def refuse_other_device(self) -> None:
        """Raise `ConfigError` where messages wait that carry another device's name.

        The device is the user at the broker, who may not publish on another device's topics.
        """
        others = sorted({it.device for it in self.open()} - {self._device.device})
        if others:
            was = others[0]
            raise ConfigError(
                f'site.device: messages of device "{was}" wait to be delivered, and only it may '
                f'send them: set site.device to "{was}" until `sharpedge audit` finds nothing '
                "undelivered, then change it; or move the state folder away to begin a new "
                "appliance, which does not send them"
            )

    def to_clear(self) -> list[DeviceName]:
        """Other names that may have retained topics; stores the present name for later starts."""
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO name VALUES (?)", (str(self._device),))
        found = self._store.db.execute("SELECT name FROM name ORDER BY name").fetchall()
        names = [DeviceName.parse(str(row["name"])) for row in found]
        return [name for name in names if name is not None and name != self._device]

    def cleared(self, name: DeviceName) -> None:
        """Record that a name has no retained topics any more."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM name WHERE name = ?", (str(name),))
