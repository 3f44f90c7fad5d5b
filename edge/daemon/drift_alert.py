"""Keeps the drift watch's figures and raises its alert.

Layer: daemon, on its thread; writes below ``drift`` in the state folder.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.scoring.drift import DriftWatch, in_words

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.model import Outcome

log = logging.getLogger(__name__)


class DriftAlert:
    """Raises an alert when a site's films or scores are no longer like its first ones."""

    def __init__(self, folder: Path, alerts: Alerts) -> None:
        self._watch = DriftWatch(folder)
        self._alerts = alerts

    def note(self, outcome: Outcome, engine_set: str) -> None:
        """Take in the figures of a film that was scored by a set of engines."""
        try:
            for limb, figures in zip(outcome.limbs, outcome.figures, strict=False):
                if limb.limb is not None:
                    self._watch.note(limb.limb, engine_set, figures)
        except OSError as error:
            log.warning("the drift watch missed a film: %s", error.strerror)
            return
        self._alerts.update("drift", in_words(self._watch.shifts()))
