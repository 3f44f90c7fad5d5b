"""What one worker serves with at present: engines, versions, whether its scores may be published.

Layer: daemon; a record that the loop and the film's part share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.model import Recheck, Versions


@dataclass
class Serving:
    """State of the engines, as the worker reported it last.

    ``versions`` is None until the worker was ready once. ``engine_set`` is the hash of the set of
    engines. ``unfit`` says why it may score no film, empty otherwise. ``degraded`` says that a
    lesser engine serves. ``recheck`` holds the figures of second scorings.
    """

    versions: Versions | None = None
    engine_set: str = ""
    unfit: str = ""
    degraded: bool = False
    recheck: Recheck | None = None
