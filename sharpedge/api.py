"""The Python interface: score films in a program of one's own.

Layer: sharpedge; reads films and the installed engines, writes nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.engine import loader
from edge.errors import EdgeError, FilmError, Reason, place_of, rejected
from edge.model import Laterality, LimbResult, OperatorStatement
from edge.pipeline.settings import PipelineSettings
from edge.scoring.fallback import FallbackScorer
from edge.scoring.film_scorer import FilmScorer
from edge.scoring.score_files import read_film
from edge.system.paths import built_engines

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge.engine.loader import EngineSet

log = logging.getLogger(__name__)

_LOCK = threading.Lock()
"""A set of engines scores one film at a time."""


def load_engines(
    folder: str | os.PathLike[str] | None = None,
    *,
    threads: int = 0,
    backend: str | None = None,
    fallback: bool = True,
) -> EngineSet:
    """Load the best accepted engine of each recipe.

    Parameters
    ----------
    folder : path, optional
        Folder of built engines; where ``sharpedge export`` puts them unless stated.
    threads : int
        Threads inside one inference, 0 for every usable core.
    backend : str, optional
        Comes first whatever was measured, such as ``"onnxruntime"``; see the command
        ``sharpedge engines list``.
    fallback : bool
        Whether the next back end serves where an engine is refused.

    Returns
    -------
    EngineSet
        For the parameter ``engines`` of `score`; ``refusals`` says which engines do not serve.

    Raises
    ------
    EngineError
        Where no engine is installed or a recipe has none that can serve; the message says what to
        run.
    """
    at = built_engines() if folder is None else Path(folder)
    return loader.load_engines(at, threads=threads, backend=backend, fallback=fallback)


def score(
    film: str | os.PathLike[str] | bytes | npt.NDArray[np.uint8 | np.uint16],
    *,
    limb: Limb | str | None = None,
    side: Laterality | str | None = None,
    engines: EngineSet | None = None,
    settings: PipelineSettings | None = None,
) -> list[LimbResult]:
    """Score one film. Research use only, not a medical device.

    Parameters
    ----------
    film : path, bytes or array
        A file (DICOM, JPEG, PNG, TIFF or BMP), its bytes, or grey values [height, width] of uint8
        or uint16, which are read as those of a PNG file. The name of a file may state limb and
        side (``P1-LH.jpg``).
    limb : {"hand", "foot"}, optional
        What the film shows, where you know it; final.
    side : {"L", "R"}, optional
        Side of the patient, where you know it; final.
    engines : EngineSet, optional
        From `load_engines`; the installed ones unless stated, loaded once and kept.
    settings : PipelineSettings, optional
        The section ``[pipeline]`` of the configuration.

    Returns
    -------
    list of LimbResult
        One for each limb, never empty. A film that cannot be scored gives a result whose ``status``
        is ``held`` or ``rejected``, with ``reason`` and ``advice``.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        Where ``limb``, ``side`` or the array is none of the above.
    EngineError
        Where an engine is missing or fails.
    """
    word = OperatorStatement(
        None if limb is None else Limb(limb), None if side is None else Laterality(side)
    )
    scorer = _scorer(engines, settings or PipelineSettings())
    name = "film"
    try:
        if isinstance(film, bytes):
            data = film
        elif isinstance(film, np.ndarray):
            data = _as_png(film)
        else:
            path = Path(film)
            name = os.fsencode(path.name).decode("utf-8", "replace")
            # Said of a missing file by the operating system, not as a film's fault.
            path.stat()
            data = read_film(path)
    except FilmError as error:
        return [rejected(error.reason, name, scorer.versions, detail=error.detail)]
    with _LOCK:
        try:
            outcome = scorer.score(data, name, None if word == OperatorStatement() else word)
        except (MemoryError, EdgeError):
            raise
        except Exception as error:  # noqa: BLE001 - a film must not end the program
            return [rejected(Reason.INTERNAL, name, scorer.versions, detail=place_of(error))]
    return [one.result for one in outcome.limbs]


def _as_png(pixels: npt.NDArray[np.uint8 | np.uint16]) -> bytes:
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            f"an array of shape {pixels.shape} and type {pixels.dtype} is no film; "
            "fix: give grey values [height, width] of uint8 or uint16"
        )
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError(f"an array of shape {pixels.shape} cannot be encoded")
    return data.tobytes()


def _scorer(engines: EngineSet | None, settings: PipelineSettings) -> FilmScorer | FallbackScorer:
    if engines is not None:
        return FilmScorer(engines, settings)
    return _installed(built_engines(), settings)


@lru_cache(maxsize=4)
def _installed(folder: Path, settings: PipelineSettings) -> FallbackScorer:
    """Scorer over the installed engines; where an engine's outputs cannot be used, the next one."""

    def without(refused: frozenset[str]) -> FilmScorer:
        return FilmScorer(loader.load_engines(folder, refuse=refused), settings)

    return FallbackScorer(without, lambda why: log.warning("degraded: %s", why))
