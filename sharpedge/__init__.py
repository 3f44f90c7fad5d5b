"""Score rheumatoid joint damage on hand and foot radiographs.

`score` and `load_engines` are the public interface, with the models of results. Everything else may
change without notice, the packages `edge`, `export`, `training`, `benchmarks` and `phantom` too.

Research use only, not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edge import __version__

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from edge.engine.loader import EngineSet
    from edge.errors import EdgeError, EngineError
    from edge.model import JointScore, Laterality, LimbResult, Status, Subtotal, Subtotals
    from edge.pipeline.settings import PipelineSettings
    from sharpedge.api import load_engines, score

_HOMES = {
    "EdgeError": "edge.errors",
    "EngineError": "edge.errors",
    "EngineSet": "edge.engine.loader",
    "JointScore": "edge.model",
    "Laterality": "edge.model",
    "Limb": "edge.anatomy",
    "LimbResult": "edge.model",
    "PipelineSettings": "edge.pipeline.settings",
    "Status": "edge.model",
    "Subtotal": "edge.model",
    "Subtotals": "edge.model",
    "load_engines": "sharpedge.api",
    "score": "sharpedge.api",
}

__all__ = [
    "EdgeError",
    "EngineError",
    "EngineSet",
    "JointScore",
    "Laterality",
    "Limb",
    "LimbResult",
    "PipelineSettings",
    "Status",
    "Subtotal",
    "Subtotals",
    "__version__",
    "load_engines",
    "score",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is used: the command line starts without numpy."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
