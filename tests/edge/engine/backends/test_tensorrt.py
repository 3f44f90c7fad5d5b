"""The GPU's engine moves the right bytes and tells every failure, over a device made of numpy.

No GPU is at hand where tests run: memory, streams and a plan that multiplies by two stand in for
the vendor's. What only a real one can show is `benchmarks/gpu_check.py`.
"""

import sys
import types

import numpy as np
import pytest

import edge.engine.backends.tensorrt
from edge.engine.backends.tensorrt import TensorRtEngine
from edge.engine.device import Preflight
from edge.engine.passport import Acceptance, Device
from edge.errors import EngineError

ORIN = Device(gpu="Orin", compute_capability="8.7", driver="540", cuda="12.6")
BUILD = {
    "builder": "tensorrt", "version": "10.3", "flags": (), "strongly_typed": True,
    "half_tensors": 9, "profile": (1, 2, 4), "seconds": 1.0, "peak_mib": 1.0,
    "device": ORIN.model_dump(),
}  # fmt: skip


class Machine:
    """Device memory by address, and what went wrong with it."""

    def __init__(self):
        self.memory = {}
        self.full = self.lost = False
        self.depth = 0

    def allocate(self, size):
        if self.full:
            raise CudaMemoryError("out of memory")
        address = 4096 * (1 + len(self.memory))
        self.memory[address] = np.zeros(size // 4, np.float32)
        return address


class CudaError(Exception):
    pass


class CudaMemoryError(CudaError):
    pass


def cuda_of(machine):
    """What the engine calls of ``pycuda.driver``."""

    class Context:
        def push(self):
            machine.depth += 1

        @staticmethod
        def pop():
            machine.depth -= 1

    class Event:
        def __init__(self, flags):
            assert flags == 1

        def record(self, _stream):
            pass

        def synchronize(self):
            if machine.lost:
                raise CudaError("device lost")

        def time_since(self, _other):
            return 1.5

    def copy_in(device, host, _stream):
        assert machine.depth == 1
        machine.memory[device][: host.size] = host

    def copy_out(host, device, _stream):
        host[:] = machine.memory[device][: host.size]

    return types.SimpleNamespace(
        Error=CudaError,
        MemoryError=CudaMemoryError,
        Context=Context,
        Device=lambda _number: types.SimpleNamespace(retain_primary_context=Context),
        Event=Event,
        Stream=lambda: types.SimpleNamespace(handle=7),
        event_flags=types.SimpleNamespace(BLOCKING_SYNC=1),
        init=lambda: None,
        pagelocked_empty=np.empty,
        mem_alloc=machine.allocate,
        memcpy_htod_async=copy_in,
        memcpy_dtoh_async=copy_out,
    )


def bindings_of(machine, *, fails=False, kind="float32", parsed=None):
    """What the engine calls of TensorRT: a plan [n, 1, 2, 2] that multiplies by two."""

    class Execution:
        shape, addresses = None, {}

        def set_input_shape(self, _name, shape):
            self.shape = tuple(shape)

        def get_tensor_shape(self, _name):
            return self.shape

        def set_tensor_address(self, name, address):
            self.addresses[name] = address

        def execute_async_v3(self, stream):
            assert stream == 7
            count = int(np.prod(self.shape))
            image = machine.memory[self.addresses["image"]][:count]
            machine.memory[self.addresses["out"]][:count] = 2 * image
            return not fails

    class Plan:
        num_io_tensors = 2

        def get_tensor_name(self, i):
            return ("image", "out")[i]

        def get_tensor_mode(self, name):
            return "in" if name == "image" else "out"

        def get_tensor_dtype(self, _name):
            return kind

        def get_tensor_shape(self, _name):
            return (-1, 1, 2, 2)

        def get_tensor_profile_shape(self, _name, index):
            assert index == 0
            return ((1, 1, 2, 2), (2, 1, 2, 2), (4, 1, 2, 2))

        def create_execution_context(self):
            return Execution()

    class Runtime:
        def __init__(self, _logger):
            pass

        def deserialize_cuda_engine(self, data):
            if parsed is not None:
                parsed.append(data)
            return Plan()

    class Logger:
        Severity = types.SimpleNamespace(WARNING=2)

    return types.SimpleNamespace(
        __version__="10.3",
        ILogger=Logger,
        Runtime=Runtime,
        TensorIOMode=types.SimpleNamespace(INPUT="in"),
        float32="float32",
    )


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def load(machine, monkeypatch, tmp_path, make_engine, sign_again, opened):
    def build(device=ORIN, **options):
        monkeypatch.setitem(sys.modules, "pycuda", types.ModuleType("pycuda"))
        monkeypatch.setitem(sys.modules, "pycuda.driver", cuda_of(machine))
        sys.modules["pycuda"].driver = sys.modules["pycuda.driver"]
        found = Preflight(device, "libcuda.so.1 is not installed", "install a driver")
        monkeypatch.setattr(edge.engine.backends.tensorrt, "preflight", lambda: found)
        bindings = bindings_of(machine, **options)
        monkeypatch.setattr(edge.engine.backends.tensorrt, "load_bindings", lambda _: bindings)
        path = make_engine(tmp_path)
        accepted = Acceptance(accepted=True, reason="agrees")
        sign_again(path, backend="tensorrt", build=BUILD, acceptance=accepted)
        return TensorRtEngine(opened(path))

    return build


def test_any_batch_up_to_the_plans_gives_its_own_rows(load, machine):
    engine = load()
    assert engine.input_shapes == {"image": (None, 1, 2, 2)}
    random = np.random.default_rng(0)
    kept = []
    for count in (4, 1, 3):
        image = random.random((count, 1, 2, 2), dtype=np.float32)
        kept.append((image, engine.run({"image": image})["out"]))
    for image, out in kept:
        np.testing.assert_array_equal(out, 2 * image)
    assert (engine.timings.h2d_ms, engine.timings.total_ms) == (1.5, 4.5)
    assert machine.depth == 0


def test_images_in_any_order_of_memory_are_taken(load):
    image = np.arange(16, dtype=np.float32).reshape(2, 2, 1, 4).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(load().run({"image": image})["out"], 2 * image)


def test_a_batch_over_the_plans_is_refused(load):
    with pytest.raises(EngineError, match=r"\[5, 1, 2, 2\] is over the plan's \[4, 1, 2, 2\]"):
        load().run({"image": np.zeros((5, 1, 2, 2), np.float32)})


def test_a_lost_gpu_and_a_failed_run_are_reported(load, machine):
    engine = load()
    machine.lost = True
    with pytest.raises(EngineError, match=r"the GPU failed or was lost.*nvidia-smi"):
        engine.run({"image": np.zeros((1, 1, 2, 2), np.float32)})
    assert machine.depth == 0
    with pytest.raises(EngineError, match="failed while running"):
        load(fails=True).run({"image": np.zeros((1, 1, 2, 2), np.float32)})


def test_a_full_gpu_is_reported(load, machine):
    machine.full = True
    with pytest.raises(EngineError, match="memory is full"):
        load()
    assert machine.depth == 0


def test_a_plan_of_another_device_is_never_parsed(load):
    parsed = []
    with pytest.raises(EngineError, match="for GPU Orin, here is Thor"):
        load(device=ORIN.model_copy(update={"gpu": "Thor"}), parsed=parsed)
    with pytest.raises(EngineError, match="no GPU: libcuda"):
        load(device=None, parsed=parsed)
    assert not parsed


def test_a_plan_with_other_numbers_outside_is_refused(load):
    with pytest.raises(EngineError, match="tensor image is not float32"):
        load(kind="float16")
