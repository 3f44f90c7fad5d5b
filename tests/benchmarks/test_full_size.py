from __future__ import annotations

import pytest

from benchmarks.flops import count_flops
from benchmarks.full_size import PUBLISHED, computing_as, random_engine, write_full_size
from edge.engine.loader import open_backend
from export.acceptance.latency import typical_inputs


@pytest.mark.parametrize(
    ("name", "gflop"),
    # VGG-19: 19.5 G multiplications in its convolutions; VGG16: 15.3 G; each counts twice.
    [("VGG-19-224", 39.0), ("VGG16-224", 30.7), ("U-Net-256", None)],
)
def test_a_published_network_has_its_published_operations_and_runs(name, gflop):
    verified = random_engine(PUBLISHED[name])
    if gflop is not None:
        assert count_flops(verified.data) / 1e9 == pytest.approx(gflop, rel=0.01)
    engine = open_backend(verified)
    outputs = engine.run(typical_inputs(engine, 1))
    assert outputs.keys() == verified.passport.outputs.keys()
    assert all(((array >= 0) & (array <= 1)).all() for array in outputs.values())


def test_yolov3_at_608_has_its_published_operations():
    # 140.7 billion operations with 80 classes; two classes need a little less.
    gflop = count_flops(random_engine(PUBLISHED["YOLOv3-608"]).data) / 1e9
    assert 0.98 * 140.7 < gflop < 140.7


def test_a_network_can_compute_as_another_engine_does():
    exact = random_engine(PUBLISHED["U-Net-256"])
    like = {"backend": "openvino", "engine": {"precision": "bf16"}}
    passport = computing_as(exact, like).passport
    assert (passport.backend, str(passport.engine.precision)) == ("openvino", "bf16")
    assert passport.engine.sha256 == exact.passport.engine.sha256


def test_recipes_are_written_for_the_gpu_check(tmp_path, monkeypatch):
    from benchmarks import full_size

    kept = {name: row for name, row in full_size._MODELS.items() if name == "full-unet-512"}
    monkeypatch.setattr(full_size, "_MODELS", kept)
    (recipe,) = write_full_size(tmp_path)
    assert recipe.name == "full-unet-512.toml"
    assert (tmp_path / "full-unet-512.random.onnx").stat().st_size > 1000
