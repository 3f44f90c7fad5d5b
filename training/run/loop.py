"""The one training loop: every network's batches, checkpoints and log pass through it.

Room: training. Writes ``checkpoint.pt``, ``log.jsonl`` and TensorBoard's event files into one run's
folder.
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
"""The event file has the mean loss of so many batches as one point."""


@dataclass(frozen=True)
class Plan:
    """How long a run is and when it writes a checkpoint.

    ``every_samples`` puts a checkpoint and a measurement at each such number of samples; without
    it they come every ``checkpoint_every_s`` seconds.
    """

    samples: int
    batch: int
    checkpoint_every_s: float
    every_samples: int | None = None


class Feed(Generic[Batch]):
    """Prepares batches beside the training; OpenCV lets go of the interpreter while it works.

    ``make`` gets the number of samples seen before its batch. What it raises is raised by `next`.
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
            except Exception as error:  # noqa: BLE001  (raised again where it is asked for)
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
    """Generator of the batch that begins after ``seen`` samples.

    It depends on nothing else, so that a run which was cut off goes on with the very batches that
    it would have had.
    """
    return np.random.default_rng((seed, seen))


def device() -> torch.device:
    """Where networks are trained: CUDA where it is present."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(array: np.ndarray) -> Tensor:
    """Copy an array to `device`."""
    return torch.from_numpy(array).to(device())


def half_precision() -> torch.autocast:
    """Mixed precision, bfloat16, on `device`."""
    return torch.autocast(device().type, torch.bfloat16)


def numbers(tensor: Tensor | None) -> np.ndarray:
    """Float32 values of a weight or buffer, wherever it lies."""
    if tensor is None:
        raise ValueError("the layer has no such tensor: it was built without it")
    return np.asarray(tensor.detach().cpu().float().numpy())


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
            fix="lower the learning rate and start again: the last checkpoint is still good",
        )
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return value


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
            # The log first: a run cut off between the two repeats its last stretch and its line,
            # and never ends without figures.
            with (run_dir / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(figures) + "\n")
            save_checkpoint(latest, parts, seen, spent_s + saved - begun)
            print(json.dumps(figures), flush=True)
    return figures


def _flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of nested figures by path, the loss and the samples seen left out."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name not in {"loss", "seen"}:
            found[f"{prefix}{name}"] = float(value)
    return found
