"""The builder of 8.5 and 8.6, which has no strong types, is asked for FP16 layer by layer.

Such a TensorRT cannot be installed where tests run: its objects are stood in for here. The path
with strong types is built for real in ``test_build.py``.
"""

import json
from types import SimpleNamespace

import pytest

import export.builders.build
import export.builders.child
import export.builders.tensorrt
from export.builders.order import CompileError
from export.builders.tensorrt import compile_plan

LAYERS = {"conv": "float32", "head": "float32", "shape": "int64"}


class Layer:
    def __init__(self, name, kind):
        self.name, self.num_outputs, self.precision = name, 1, None
        self._kind = kind
        self.types = {}

    def get_output(self, _i):
        return SimpleNamespace(dtype=self._kind)

    def set_output_type(self, i, kind):
        self.types[i] = kind


class Config:
    def __init__(self):
        self.flags, self.cleared, self.profiles, self.cache = [], [], [], None
        self.limits, self.builder_optimization_level, self.refused_caches = {}, None, ()

    def set_memory_pool_limit(self, pool, size):
        self.limits[pool] = size

    def set_flag(self, flag):
        self.flags.append(flag)

    def clear_flag(self, flag):
        self.cleared.append(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def create_timing_cache(self, data):
        return SimpleNamespace(data=data, serialize=lambda: b"learnt")

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        if cache.data in self.refused_caches:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self):
        return self.cache


@pytest.fixture
def old(monkeypatch):
    """TensorRT 8.6: what was asked of it is in ``seen``; ``seen.half`` layers become FP16."""
    seen = SimpleNamespace(half=2, layers=[Layer(*item) for item in LAYERS.items()], shapes={})
    seen.config = Config()

    class Network:
        num_layers = len(LAYERS)

        def get_layer(self, i):
            return seen.layers[i]

        def get_input(self, _i):
            return SimpleNamespace(shape=(-1, 3, 8, 8))

    class Builder:
        def __init__(self, _logger):
            pass

        def create_network(self, flags):
            seen.network_flags = flags
            return Network()

        def create_builder_config(self):
            return seen.config

        def create_optimization_profile(self):
            return SimpleNamespace(set_shape=lambda name, *s: seen.shapes.update({name: s}))

        def build_serialized_network(self, _network, _config):
            return b"plan"

    class Parser:
        num_errors = 0

        def __init__(self, _network, _logger):
            pass

        def parse_from_file(self, path):
            seen.parsed = path
            return True

    class Runtime:
        def __init__(self, _logger):
            pass

        def deserialize_cuda_engine(self, _data):
            layers = [{"Outputs": [{"Format/Datatype": "Half"}]}] * seen.half + [{"Outputs": []}]
            shown = json.dumps({"Layers": layers})
            inspector = SimpleNamespace(get_engine_information=lambda _form: shown)
            return SimpleNamespace(create_engine_inspector=lambda: inspector)

    bindings = SimpleNamespace(
        __version__="8.6.1",
        ILogger=type("ILogger", (), {"Severity": SimpleNamespace(WARNING=2)}),
        Builder=Builder,
        OnnxParser=Parser,
        Runtime=Runtime,
        NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0),
        BuilderFlag=SimpleNamespace(FP16="FP16", TF32="TF32", OBEY_PRECISION_CONSTRAINTS="OBEY"),
        ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"),
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
        float32="float32",
        float16="float16",
    )
    seen.bindings = bindings
    monkeypatch.setattr(export.builders.tensorrt, "load_bindings", lambda _backend: bindings)
    return seen


def silent(*_step):
    """Progress that nobody watches."""


def test_the_fp32_graph_is_built_with_the_flag_and_kept_layers_are_pinned(old, order):
    compiled = compile_plan(order, silent)
    assert old.network_flags == 1
    assert old.parsed == str(order.single)
    assert old.config.flags == ["FP16", "OBEY"]
    assert old.config.cleared == ["TF32"]
    assert [layer.precision for layer in old.layers] == [None, "float32", None]
    assert old.layers[1].types == {0: "float32"}
    assert compiled.half_tensors == 2
    assert not compiled.strongly_typed
    assert order.plan.read_bytes() == b"plan"


def test_the_profile_and_the_timings_of_earlier_builds_are_given(old, order):
    compile_plan(order, silent)
    assert old.shapes == {"image": ((1, 3, 8, 8), (10, 3, 8, 8), (20, 3, 8, 8))}
    assert len(old.config.profiles) == 1
    assert old.config.cache.data == b"earlier"
    assert order.timing_cache.read_bytes() == b"learnt"


def test_a_plan_that_came_out_in_fp32_is_an_error(old, order):
    old.half = 0
    with pytest.raises(CompileError, match="no FP16 tensor"):
        compile_plan(order, silent)
    assert not order.plan.exists()


@pytest.mark.parametrize(
    ("changes", "mib", "level"),
    [({}, 1024, None), ({"workspace_mib": 64}, 64, None), ({"level": 5}, 1024, 5)],
)
def test_the_builder_works_within_its_limits(old, order, changes, mib, level):
    compile_plan(order.model_copy(update=changes), silent)
    assert old.config.limits == {"workspace": mib * 2**20}
    assert old.config.builder_optimization_level == level


def test_bindings_without_limits_build_all_the_same(old, order):
    del old.bindings.MemoryPoolType
    del old.config.builder_optimization_level
    compile_plan(order.model_copy(update={"level": 3}), silent)
    assert old.config.limits == {}
    assert not hasattr(old.config, "builder_optimization_level")


def test_timings_that_the_builder_refuses_are_replaced(old, order):
    old.config.refused_caches = (b"earlier",)
    compile_plan(order, silent)
    assert old.config.cache.data == b""
    assert order.timing_cache.read_bytes() == b"learnt"


@pytest.mark.usefixtures("old")
def test_timings_are_replaced_whole_or_not_at_all(order, monkeypatch):
    def fail(*_file, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.builders.tensorrt, "write_whole", fail)
    with pytest.raises(OSError, match="No space"):
        compile_plan(order, silent)
    assert order.timing_cache.read_bytes() == b"earlier"
