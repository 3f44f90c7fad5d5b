"""Delivery: the names (site, room, device) under which messages were made and topics retained.

A message keeps the name at the time of its scoring. When a site or room is renamed, messages that
still wait go out under their own name, and the retained topics of the old one are cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.ids import DeviceName
from edge.errors import ConfigError
from edge.journal.schema import OPEN

if TYPE_CHECKING:
    from edge.journal.store import Store

_UNNAMED = "unnamed"
"""Key of ``meta``: the name that rows of a schema without names were made under."""


class Names:
    """Names in one journal, for an appliance that is now called ``device``."""

    def __init__(self, store: Store, device: DeviceName) -> None:
        self._store = store
        self._device = device
        self._unnamed = self._settle_unnamed()

    def _settle_unnamed(self) -> DeviceName:
        """Before names were kept there was one only: the one of the first start that keeps them."""
        found = self._store.note(_UNNAMED)
        name = None if found is None else DeviceName.parse(found)
        if name is None:
            name = self._device
            with self._store.transaction():
                self._store.set_note(_UNNAMED, str(name))
        return name

    def of(self, text: str) -> DeviceName:
        """Name that a row's text stands for; empty or damaged: the one before names were kept."""
        return DeviceName.parse(text) or self._unnamed

    def open(self) -> set[DeviceName]:
        """Names of the messages that wait."""
        query = f"SELECT DISTINCT name FROM outbox WHERE {OPEN}"  # noqa: S608 - our own words
        return {self.of(str(row["name"])) for row in self._store.db.execute(query)}

    def refuse_other_device(self) -> None:
        """Raise `ConfigError` where messages wait that another device's name was given to.

        The device is the user at the broker, who may not write below another one's topics.
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
        """Other names below which retained topics may lie; notes the present one for later."""
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO name VALUES (?)", (str(self._device),))
        found = self._store.db.execute("SELECT name FROM name ORDER BY name").fetchall()
        names = [DeviceName.parse(str(row["name"])) for row in found]
        return [name for name in names if name is not None and name != self._device]

    def cleared(self, name: DeviceName) -> None:
        """Note that nothing is retained below a name any more."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM name WHERE name = ?", (str(name),))
