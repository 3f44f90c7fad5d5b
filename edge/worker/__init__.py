"""The worker: a child process that decodes and scores films, and the daemon's handle on it.

Layer: above scoring and configuration; knows no journal and no broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.config import Config
    from edge.worker.factory import Made


def film_scorer(config: Config) -> Made:
    """Make the scorer of a configuration: the default of the setting ``worker.factory``.

    Raises `edge.errors.EngineError` where no set of engines can be loaded.
    """
    # Imported here: the daemon imports this package and must not load the engines.
    from edge.worker import factory  # noqa: PLC0415

    return factory.film_scorer(config)
