"""What a builder is given and what it returns, also between processes.

Layer: export; data types only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path  # noqa: TC003 - pydantic looks annotations up

from edge.model import Record

WORKSPACE_MIB = 1024
"""Memory in which a builder may try layers. A Jetson shares it with everything else."""
OUT_OF_MEMORY = "free memory, or lower --workspace-mib, and build again"

Progress = Callable[[str, int, int], None]
"""Called with a phase, its steps done and its number of steps."""


class Order(Record):
    """What to build.

    ``half`` is the FP16-typed sibling of the FP32 graph ``single``, where the builder needs one,
    and ``kept_fp32`` names its nodes that compute in FP32. ``profile`` is the least, best and
    largest batch, for a graph whose batch is free. The engine is written to ``plan``.
    """

    backend: str
    single: Path
    half: Path | None
    kept_fp32: tuple[str, ...]
    input: str
    profile: tuple[int, int, int] | None
    plan: Path
    timing_cache: Path
    on_device: bool
    workspace_mib: int = WORKSPACE_MIB
    level: int | None = None
    """Builder optimisation level 0..5; the builder's own default where it is not stated."""


class Compiled(Record):
    """What was built; the engine itself is in the file that the order names.

    ``half_tensors`` counts the FP16 tensors of the network, ``messages`` are the library's own.
    """

    version: str
    strongly_typed: bool = False
    flags: tuple[str, ...] = ()
    half_tensors: int = 0
    seconds: float
    peak_mib: float
    messages: tuple[str, ...] = ()


class CompileError(Exception):
    """The builder refused the graph. ``fix`` states what to do."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def report_it(title: str) -> str:
    """Return the fix for a failure of a library that nothing here explains."""
    return (
        f"report this message with the version of {title}; openvino and onnxruntime serve meanwhile"
    )
