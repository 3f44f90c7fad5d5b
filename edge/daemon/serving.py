"""What serves at present: engines, versions, whether scores may be published.

Layer: daemon; a record that the loop and the film's part share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contract.payloads import Presence

if TYPE_CHECKING:
    from edge.model import Recheck, Versions


@dataclass
class Serving:
    """State of the engines, as the worker reported it last.

    ``versions`` is None until the first worker was ready. ``engine_set`` is the hash of the set of
    engines. ``unfit`` says why no film may be scored, empty otherwise. ``degraded`` says that a
    lesser engine serves. ``recheck`` holds the figures of second scorings.
    """

    versions: Versions | None = None
    engine_set: str = ""
    unfit: str = ""
    degraded: bool = False
    recheck: Recheck | None = None

    @property
    def presence(self) -> Presence:
        """The state that the appliance announces."""
        if self.unfit:
            return Presence.UNFIT
        if self.versions is None:
            return Presence.STARTING
        return Presence.DEGRADED if self.degraded else Presence.ONLINE
