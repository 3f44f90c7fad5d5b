"""A broken driver ends a child process, never this one, and every failure is explained."""

import importlib.util
import shutil
import subprocess

import pytest

from edge.engine.backends.bindings import load_bindings
from edge.engine.device import preflight

COMPILER = shutil.which("gcc") or shutil.which("cc")
GOOD = """
#include <string.h>
int cuInit(int flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strcpy(name, "Orin"); return 0; }
int cuDeviceGetAttribute(int *value, int key, int device) { *value = key == 75 ? 8 : 7; return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a libcuda of our own, from C source, where the child looks first."""
    if COMPILER is None:
        pytest.skip("no C compiler on this machine")

    def install(source):
        (tmp_path / "cuda.c").write_text(source)
        command = [COMPILER, "-shared", "-fPIC", "-w", "-o", "libcuda.so.1", "cuda.c"]
        subprocess.run(command, check=True, cwd=tmp_path)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        preflight.cache_clear()
        return preflight()

    yield install
    monkeypatch.undo()
    preflight.cache_clear()


def test_a_driver_that_answers_gives_the_device(driver):
    device = driver(GOOD).device
    assert (device.gpu, device.compute_capability, device.cuda) == ("Orin", "8.7", "12.6")


@pytest.mark.parametrize(
    ("source", "missing", "fix"),
    [
        ("int cuInit(int f) { __builtin_trap(); }", "ended a process", "driver"),
        ("int cuInit(int f) { return 100; }", "the driver sees no GPU", "group video"),
        ("int cuInit(int f) { return 35; }", "older than the CUDA", "update"),
        ("int cuInit(int f) { return 34; }", "is the stub", "nvidia-smi"),
        ("int cuInit(int f) { return 4711; }", "error 4711", "driver"),
        (GOOD.replace("*count = 1", "*count = 0"), "the driver sees no GPU", "group video"),
    ],
)
def test_every_failure_is_explained_and_survived(driver, source, missing, fix):
    found = driver(source)
    assert found.device is None
    assert missing in found.missing
    assert fix in found.fix


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)
def test_the_bindings_have_every_name_that_the_runtime_calls():
    bindings = load_bindings("tensorrt-rtx")
    wanted = {
        "Runtime": ["deserialize_cuda_engine"],
        "ICudaEngine": [
            "create_execution_context", "create_engine_inspector", "num_io_tensors",
            "get_tensor_name", "get_tensor_mode", "get_tensor_dtype", "get_tensor_shape",
            "get_tensor_profile_shape",
        ],
        "IExecutionContext": [
            "set_input_shape", "get_tensor_shape", "set_tensor_address", "execute_async_v3",
        ],
        "TensorIOMode": ["INPUT"],
        "LayerInformationFormat": ["JSON"],
    }  # fmt: skip
    for name, attributes in wanted.items():
        assert set(attributes) <= set(dir(getattr(bindings, name)))
    assert bindings.float32 != bindings.float16
