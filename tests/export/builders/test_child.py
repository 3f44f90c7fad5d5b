"""A builder's process: what it reports, and what its end means."""

import io
from types import SimpleNamespace

import pytest

import export.builders.child
import export.builders.tensorrt
from edge.errors import EngineError
from export.builders.child import _Call, _Line, main, run_in_child
from export.builders.tensorrt import _refusal
from export.errors import BuildError

MEMORY = "--workspace-mib"


def silent(*_step):
    """Progress that nobody watches."""


@pytest.mark.parametrize(
    ("error", "words", "fix"),
    [
        (TypeError("set_shape(): incompatible arguments\n  1. (self)"), "TypeError: set_shape",
         "report this message"),
        (AttributeError("no attribute 'OnnxParser'"), "AttributeError", "report this message"),
        (_refusal("net.onnx was not understood: no importer"), "no importer", "--target"),
        (_refusal("Cuda Runtime (out of memory)"), "out of memory", MEMORY),
        (MemoryError(), "not enough memory", MEMORY),
        (OSError(28, "No space left on device"), "No space left", "may be written"),
        (EngineError("tensorrt is not installed", engine="x", fix="pip install it"),
         "not installed", "pip install it"),
    ],
)  # fmt: skip
def test_the_child_reports_the_failure_and_the_fix(order, monkeypatch, capsys, error, words, fix):
    def fail(_order, _progress):
        raise error

    monkeypatch.setattr(export.builders.tensorrt, "compile_plan", fail)
    call = _Call(build="export.builders.tensorrt:compile_plan", title="TensorRT", order=order)
    stdin = SimpleNamespace(buffer=io.BytesIO(call.model_dump_json().encode()))
    monkeypatch.setattr(export.builders.child.sys, "stdin", stdin)
    assert main() == 1
    (text,) = capsys.readouterr().out.splitlines()
    line = _Line.model_validate_json(text)
    assert words in line.error
    assert "\n" not in line.error
    assert fix in line.fix


@pytest.mark.parametrize(
    ("script", "words", "fix"),
    [
        ("kill -9 $$", "was killed (SIGKILL)", MEMORY),
        ("kill -11 $$", "was killed (SIGSEGV)", "report"),
        ("echo ImportError: no libnvinfer >&2; exit 3", "status 3: ImportError", "report"),
        (
            """echo '{"error": "TypeError: x", "fix": "report this message"}'; exit 1""",
            "TypeError: x",
            "report this message",
        ),
    ],
)
def test_the_end_of_the_child_is_reported_with_its_cause(
    order, monkeypatch, tmp_path, script, words, fix
):
    shell = tmp_path / "builder"
    shell.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    shell.chmod(0o755)
    monkeypatch.setattr(export.builders.child.sys, "executable", str(shell))
    with pytest.raises(BuildError) as caught:
        run_in_child("x:y", "TensorRT", order, "hand-mask", silent)
    assert words in caught.value.message
    assert fix in caught.value.fix
