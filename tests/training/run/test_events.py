"""Event files that TensorBoard reads."""

import json
import struct

import pytest

torch = pytest.importorskip("torch")
from training.run import events, loop  # noqa: E402

pytestmark = pytest.mark.training


def read_events(path):
    """Steps, names and values by the format's own rules, checksums included."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        (crc,) = struct.unpack_from("<I", data, at + 8)
        assert crc == events.masked_crc(data[at : at + 8])
        body = data[at + 12 : at + 12 + length]
        (crc,) = struct.unpack_from("<I", data, at + 12 + length)
        assert crc == events.masked_crc(body)
        found.append(body)
        at += 16 + length
    return found


def test_checksums_are_those_of_record_files():
    crc = 0xE3069283  # CRC-32C of "123456789", as every table of checksums has it.
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert events.masked_crc(b"123456789") == masked


def test_a_run_leaves_its_losses_and_figures_for_tensorboard(tmp_path):
    class Part:
        def state_dict(self):
            return {}

        def load_state_dict(self, _state):
            pass

    def train(samples):
        loop.run(
            tmp_path, {"part": Part()}, loop.Plan(samples, 1, 1e9), lambda seen: seen,
            lambda _batch, seen: float(seen), lambda _final: {"found": 0.5, "part": {"n": 3}},
        )  # fmt: skip

    train(40)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    first = read_events(path)
    assert b"brain.Event:2" in first[0]
    names = [name for name in (b"loss", b"found", b"part/n") if any(name in e for e in first)]
    assert len(names) == 3
    # Losses of 20 batches a point: 0..19 and 20..39.
    losses = [e for e in first if b"loss" in e]
    assert [struct.unpack("<f", e[-4:])[0] for e in losses] == [9.5, 29.5]
    assert json.loads((tmp_path / "log.jsonl").read_text())["seen"] == 40
