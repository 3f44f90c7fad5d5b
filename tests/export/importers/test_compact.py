"""Compact weights: small, exact where it matters, and never silently damaged."""

import hashlib
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from export.errors import WeightsError
from export.importers.compact import dequantise, load_compact, quantise, save_compact

FLOATS = st.floats(-1e6, 1e6, width=32)


@pytest.fixture
def arrays():
    random = np.random.default_rng(3)
    return {
        "conv0.weight": random.standard_normal((32, 16, 3, 3)).astype(np.float32),
        "conv0.bn.var": random.random(32).astype(np.float32),
        "head.weight": random.standard_normal((2, 8)).astype(np.float32),
    }


@pytest.fixture
def file(tmp_path, arrays):
    path = tmp_path / "net.npz"
    save_compact(path, arrays, {"epochs": 3, "data": "phantom"})
    return path


def test_small_arrays_and_vectors_come_back_exactly(file, arrays):
    loaded, meta = load_compact(file)
    assert meta == {"epochs": 3, "data": "phantom"}
    assert set(loaded) == set(arrays)
    for name in ("conv0.bn.var", "head.weight"):
        np.testing.assert_array_equal(loaded[name], arrays[name])


def test_large_kernels_keep_two_digits_in_a_quarter_of_the_bytes(file, arrays):
    loaded, _ = load_compact(file)
    error = loaded["conv0.weight"] - arrays["conv0.weight"]
    assert np.sqrt(np.mean(error**2)) < 0.01
    assert file.stat().st_size < 0.35 * arrays["conv0.weight"].nbytes


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=FLOATS))
@example(np.array([[376012.25, 263484]], np.float32))
def test_no_clip_is_worse_than_rounding_to_the_full_range(array):
    levels, scale = quantise(array)
    ours = np.square(dequantise(levels, scale).astype(np.float64) - array).sum(axis=1)
    # In float32 like the stored scale: its rounding, coarse among subnormals, is no fault of a
    # clip.
    step = (np.abs(array).max(axis=1, keepdims=True) / np.float32(127)).astype(np.float64)
    step[step == 0] = 1
    peak = np.abs(array).max(axis=1).astype(np.float64)
    plain = np.square(np.rint(array / step) * step - array).sum(axis=1)
    # A level may lie off by the rounding of the scale, which is relative to the peak.
    most = np.sqrt(plain * (1 + 1e-3)) + peak * 1e-7 * np.sqrt(array.shape[1])
    assert (ours <= most**2 + 1e-60).all()


def test_equal_arrays_give_equal_bytes(tmp_path, arrays, file):
    again = tmp_path / "again.npz"
    save_compact(again, dict(reversed(arrays.items())), {"data": "phantom", "epochs": 3})
    assert again.read_bytes() == file.read_bytes()


def test_numpy_opens_the_file_without_unpickling(file):
    with np.load(file, allow_pickle=False) as archive:
        assert archive["conv0.weight.int8"].dtype == np.int8
        assert archive["head.weight"].shape == (2, 8)


def test_any_changed_bit_is_found(file):
    data = file.read_bytes()
    random = np.random.default_rng(0)
    for at in random.integers(0, len(data), 300):
        broken = bytearray(data)
        broken[at] ^= 1 << int(random.integers(8))
        file.write_bytes(broken)
        with pytest.raises(WeightsError, match="checksum"):
            load_compact(file)


@pytest.mark.parametrize("keep", [0, 10, 63, 64, 1000, -1])
def test_a_truncated_file_is_found(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"net.npz.*truncated"):
        load_compact(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none.npz"):
        load_compact(tmp_path / "none.npz")


def test_a_pickle_in_an_otherwise_sound_file_is_not_run(tmp_path):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", "{}")
        with archive.open("evil.npy", "w") as member:
            np.lib.format.write_array(member, np.array([{}], dtype=object), allow_pickle=True)
        archive.comment = b"0" * 64
    body = path.read_bytes()[:-64]
    path.write_bytes(body + hashlib.sha256(body).hexdigest().encode())
    with pytest.raises(WeightsError, match=r"evil.npy"):
        load_compact(path)


def test_a_value_that_is_not_finite_is_not_saved(tmp_path):
    with pytest.raises(WeightsError, match=r"net.npz, bias"):
        save_compact(tmp_path / "net.npz", {"bias": np.array([np.nan], np.float32)}, {})
    assert list(tmp_path.iterdir()) == []
