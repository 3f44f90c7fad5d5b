"""Scores an archive's films on a Ray cluster.

Layer: sharpedge; connects to a cluster or starts one. Ray is imported when it is used.

Ray only hands films out: what became of them stands in the manifest of the process that began, and
an outcome that comes twice because Ray ran a task again is the same row. Each Ray worker has a
worker process of its own for the films, so that a film that ends it ends no task.
"""

from __future__ import annotations

import logging
import socket
import warnings
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError
from sharpedge.archive.crew import Crew, CrewError
from sharpedge.archive.films import Scored
from sharpedge.archive.manifest import Pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharpedge.archive.crew import CrewSettings
    from sharpedge.archive.manifest import Manifest

_BATCH = 8
_REACH_S = 5.0
_RETRIES = 3
"""Ray's own retries of a task or actor; without a bound it was seen to retry for ever."""
_PASSES = 3
"""Films that are left after so many passes over the cluster end the run."""


class _Scorer:
    """Scores batches of films; lives in a Ray worker."""

    def __init__(self, settings: CrewSettings) -> None:
        self._tries: Counter[int] = Counter()
        self._engine_set = ""
        self._crew = Crew(settings, self._tried, self._note, seats=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        films = [
            Pending(int(number), bytes(path), 0)
            for number, path in zip(batch["number"], batch["path"], strict=True)
        ]
        scored = list(self._crew.score(iter(films)))
        return {
            "number": [number for number, _ in scored],
            "scored": [outcome.model_dump_json() for _, outcome in scored],
            "engine_set": [self._engine_set] * len(scored),
        }

    def _tried(self, number: int) -> int:
        self._tries[number] += 1
        return self._tries[number]

    def _note(self, engine_set: str) -> None:
        self._engine_set = engine_set


def score_on_ray(
    manifest: Manifest, settings: CrewSettings, address: str
) -> Iterator[tuple[int, Scored]]:
    """Give the number and outcome of every film without one.

    ``address`` is a cluster's, or ``"local"`` for one on this machine. Raises `ConfigError` where
    Ray is missing or cannot be reached, `CrewError` where films are left.
    """
    if find_spec("ray") is None:
        raise ConfigError("--ray needs the package ray (fix: pip install 'sharpedge[ray]')")
    import ray  # noqa: PLC0415 - an extra

    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise ConfigError(
            f"--ray {address}: cannot be reached ({why}); fix: start it (ray start --head), or "
            "--ray local"
        ) from error
    try:
        for _ in range(_PASSES):
            left = list(manifest.pending())
            if not left:
                return
            for number, scored, engine_set in _one_pass(left, settings):
                manifest.hold_to(engine_set)
                yield number, scored
            manifest.flush()
    finally:
        ray.shutdown()
    left = list(manifest.pending())
    if left:
        raise CrewError(
            f"{len(left)} films are left after {_PASSES} passes over the cluster; fix: see Ray's "
            "log for why its workers end, then the same command goes on"
        )


def _reach(address: str) -> None:
    """Raise `OSError` where nobody listens at ``host:port``: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if "/" not in address and port.isdecimal():
        with socket.create_connection((host, int(port)), _REACH_S):
            pass


def _one_pass(films: list[Pending], settings: CrewSettings) -> Iterator[tuple[int, Scored, str]]:
    import ray  # noqa: PLC0415 - an extra
    import ray.data  # noqa: PLC0415 - as above

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A block whose tasks failed is left for the next pass.
    context.max_errored_blocks = -1
    items = [{"number": film.number, "path": film.path} for film in films]
    blocks = max(settings.workers, -(-len(items) // (_BATCH * 8)))
    with warnings.catch_warnings():
        # Until Ray names the two bounds otherwise; the extra's newest release is bounded.
        warnings.simplefilter("ignore")
        scored = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            _Scorer,
            fn_constructor_args=(settings,),
            batch_size=_BATCH,
            compute=ray.data.ActorPoolStrategy(size=settings.workers),
            num_cpus=1,
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
        )
    for batch in scored.iter_batches(batch_size=None):
        for number, text, engine_set in zip(
            batch["number"], batch["scored"], batch["engine_set"], strict=True
        ):
            yield int(number), Scored.model_validate_json(str(text)), str(engine_set)
