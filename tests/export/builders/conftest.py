"""Fixtures of the builders' tests."""

import pytest

import export.acceptance.install
from export.builders.order import Order


@pytest.fixture(autouse=True)
def few_films_to_calibrate_on(monkeypatch):
    monkeypatch.setattr(export.acceptance.install, "CALIBRATION_PATIENTS", 1)


@pytest.fixture
def order(tmp_path):
    (tmp_path / "t.cache").write_bytes(b"earlier")
    return Order(
        backend="tensorrt",
        single=tmp_path / "net.onnx",
        half=tmp_path / "net.fp16.onnx",
        kept_fp32=("head", "shape"),
        input="image",
        profile=(1, 10, 20),
        plan=tmp_path / "net.engine",
        timing_cache=tmp_path / "t.cache",
        on_device=True,
    )
