"""Runs a builder in a child process: `run_in_child` is the parent's end, `main` the child's.

Layer: export; starts ``python -m export.builders.child``. The child reads a `_Call` as JSON from
standard input and prints JSON lines: progress, then the result or the error. A library that crashes
ends the child only.
"""

from __future__ import annotations

import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import cast

from pydantic import ValidationError

from edge.errors import EngineError
from edge.model import Record
from export.builders.order import (
    OUT_OF_MEMORY,
    Compiled,
    CompileError,
    Order,
    Progress,
    report_it,
)
from export.errors import BuildError


class _Call(Record):
    """``build`` is the builder's ``module:function``; ``title`` names its library in messages."""

    build: str
    title: str
    order: Order


class _Line(Record):
    """One line of the child: progress, the result, or the error in its place."""

    phase: str | None = None
    done: int = 0
    total: int = 0
    compiled: Compiled | None = None
    error: str | None = None
    fix: str | None = None


def run_in_child(build: str, title: str, order: Order, name: str, progress: Progress) -> Compiled:
    """Run the builder ``build`` (``module:function``) for ``order`` in a process of its own.

    Raises `BuildError`, naming the engine ``name``, for an error that the child reports and for a
    child that ends without a result.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    line = _Line()
    # A file, not a pipe: nothing reads it while the builder runs, and a full pipe would block it.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-m", "export.builders.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        ) as child,
    ):
        assert child.stdin is not None  # noqa: S101 - asked for above
        assert child.stdout is not None  # noqa: S101 - asked for above
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(
                    _Call(build=build, title=title, order=order).model_dump_json().encode()
                )
                child.stdin.close()
            for text in child.stdout:
                line = _parsed(text)
                if line.phase is not None:
                    progress(line.phase, line.done, line.total)
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        errors.seek(0)
        trace = errors.read().decode("utf-8", "replace").strip()
    if line.compiled is not None:
        return line.compiled
    where, report = f"{name}, {order.backend}", report_it(title)
    if line.error is not None:
        raise BuildError(line.error, where=where, fix=line.fix or report)
    last = trace.splitlines()[-1] if trace else "without a message"
    raise BuildError(
        f"the builder's process was killed ({signal.Signals(-code).name})"
        if code < 0
        else f"the builder's process ended with status {code}: {last}",
        where=where,
        fix=OUT_OF_MEMORY if code == -signal.SIGKILL else report,
    )


def _parsed(text: bytes) -> _Line:
    """Parse one line of the child; lines that a library prints there are ignored."""
    try:
        return _Line.model_validate_json(text)
    except ValidationError:
        return _Line()


def main() -> int:
    """Serve one call; 0 where the engine was built, 1 where the last line is an error."""
    call = _Call.model_validate_json(sys.stdin.buffer.read())

    def progress(phase: str, done: int, total: int) -> None:
        _print(_Line(phase=phase, done=done, total=total))

    try:
        compiled = cast("Compiled", pkgutil.resolve_name(call.build)(call.order, progress))
    except (EngineError, CompileError) as error:
        _print(_Line(error=str(error), fix=error.fix))
        return 1
    except OSError as error:
        _print(_Line(error=str(error), fix="check that the engine folder may be written"))
        return 1
    except MemoryError:
        _print(_Line(error="there is not enough memory", fix=OUT_OF_MEMORY))
        return 1
    except Exception as error:  # noqa: BLE001 - bindings raise exceptions of any class
        message = " ".join(str(error).split())
        _print(_Line(error=f"{type(error).__name__}: {message}", fix=report_it(call.title)))
        return 1
    _print(_Line(compiled=compiled))
    return 0


def _print(line: _Line) -> None:
    sys.stdout.write(f"{line.model_dump_json()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
