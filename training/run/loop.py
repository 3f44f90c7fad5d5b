"""The training loop of every network: batches, checkpoints, log.

Layer: training.run; writes ``checkpoint.pt``, ``log.jsonl`` and TensorBoard's event files into one
run folder.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from training.errors import TrainingError
from training.run.checkpoint import load_checkpoint, save_checkpoint
from training.run.events import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

Batch = TypeVar("Batch")

LOSSES_A_POINT = 20
"""Batches whose mean loss is one point of the event file."""


@dataclass(frozen=True)
class Plan:
    """Length of a run and when it writes checkpoints.

    With ``every_samples`` a checkpoint and a measurement follow each such number of samples,
    otherwise every ``checkpoint_every_s`` seconds.
    """

    samples: int
    batch: int
    checkpoint_every_s: float
    every_samples: int | None = None


class Feed(Generic[Batch]):
    """Prepares batches in a thread; OpenCV releases the interpreter lock while it works.

    ``make`` gets the number of samples seen before its batch. `next` raises what ``make`` raised.
    """

    def __init__(self, make: Callable[[int], Batch], seen: int, batch: int) -> None:
        self._make, self._seen, self._batch = make, seen, batch
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(6)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> Feed[Batch]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def next(self) -> Batch:
        """The next batch, in order."""
        item = self._ready.get()
        if isinstance(item, Exception):
            raise item
        return item

    def _fill(self) -> None:
        while not self._stop.is_set():
            item: Batch | Exception
            try:
                item = self._make(self._seen)
            except Exception as error:  # noqa: BLE001  (raised again by next)
                item = error
            self._put(item)
            self._seen += self._batch

    def _put(self, item: Batch | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return


def batch_rng(seed: int, seen: int) -> np.random.Generator:
    """Random generator of the batch that begins after ``seen`` samples.

    It depends on nothing else, so that an interrupted run resumes with the batches that it would
    have had.
    """
    return np.random.default_rng((seed, seen))


def descend(
    loss: Tensor, model: nn.Module, optimiser: torch.optim.Optimizer, rate: float, clip: float
) -> float:
    """One step of the optimiser at learning rate ``rate``; returns the loss.

    ``clip`` bounds the gradient's norm. Raises `TrainingError` before the weights are touched when
    the loss is not finite.
    """
    value = float(loss.item())
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value}",
            fix="lower the learning rate and run again: the last checkpoint is still good",
        )
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return value


def follow(average: nn.Module, model: nn.Module, steps: float) -> None:
    """Move the running average of the last ``steps`` steps' weights towards the newest."""
    with torch.no_grad():
        for mean, new in zip(
            average.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(new.float(), 1 / (2 + steps))
            else:
                mean.copy_(new)


def run(
    run_dir: Path,
    parts: Mapping[str, Any],
    plan: Plan,
    make: Callable[[int], Batch],
    step: Callable[[Batch, int], float],
    measure: Callable[[bool], dict[str, Any]],
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train until ``plan.samples`` or until ``stopped``; resumes from ``run_dir``.

    ``make(seen)`` prepares a batch, ``step(batch, seen)`` learns from it and returns the loss,
    ``measure(final)`` gives the figures that are logged with a checkpoint. Returns the last
    figures, empty where nothing was left to do.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    latest = run_dir / "checkpoint.pt"
    seen, spent_s = load_checkpoint(latest, parts)
    events = EventLog(run_dir, seen)
    begun = saved = time.monotonic()
    figures: dict[str, Any] = {}
    losses: list[float] = []
    with Feed(make, seen, plan.batch) as feed:
        while seen < plan.samples and not stopped():
            losses.append(step(feed.next(), seen))
            seen += plan.batch
            final = seen >= plan.samples
            if plan.every_samples is None:
                due = time.monotonic() - saved > plan.checkpoint_every_s
            else:
                due = seen % plan.every_samples < plan.batch
            if due or final or len(losses) % LOSSES_A_POINT == 0:
                events.scalars(seen, {"loss": float(np.mean(losses[-LOSSES_A_POINT:]))})
            if not (due or final):
                continue
            figures = {"seen": seen, "loss": float(np.mean(losses[-200:]))}
            figures |= measure(final)
            saved = time.monotonic()
            figures["minutes"] = round((spent_s + saved - begun) / 60, 1)
            events.scalars(seen, _flat(figures))
            # The log first: a run interrupted between the two repeats its last stretch and its
            # line, and never ends without figures.
            with (run_dir / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(figures) + "\n")
            save_checkpoint(latest, parts, seen, spent_s + saved - begun)
            print(json.dumps(figures), flush=True)
    return figures


def _flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of nested figures by path, without the loss and the samples seen."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name not in {"loss", "seen"}:
            found[f"{prefix}{name}"] = float(value)
    return found
