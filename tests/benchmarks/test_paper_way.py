"""The paper's way and ours do the steps that the report says; networks are stand-ins here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import paper_way
from benchmarks.films import encoded, patient_films
from benchmarks.paper_way import OurWay, PaperWay, entropy_mask, limb_of
from edge.anatomy import Limb
from edge.engine.loader import EngineSet, open_backend
from edge.engine.passport import Role
from edge.pipeline.mask import classical_mask

ROLES = {name: role for role, name in paper_way.NETWORKS.items()}


class Network:
    """Counts its runs; outputs of the right shapes that find nothing."""

    def __init__(self, role, side):
        self.role, self.side, self.batches = role, side, []
        self.name, self.sha256 = role, "0" * 64
        self.passport = {
            "input": {"name": "image", "height": side, "width": side, "scale": 1.0,
                      "mean": [0.0], "std": [1.0]},
        }  # fmt: skip

    def run(self, inputs):
        (image,) = inputs.values()
        batch = len(image)
        self.batches.append(batch)
        if self.role == "mask":
            half = np.zeros((1, 1, self.side, self.side), np.float32)
            half[..., : self.side // 2] = 1
            return {"mask": half}
        if self.role == "detect":
            return {"boxes": np.full((1, 30, 7), 0.25, np.float32)}
        ordinal = np.linspace(0.9, 0.1, 6, dtype=np.float32)
        return {
            "erosion": np.tile(ordinal, (batch, 1)),
            "narrowing": np.tile(ordinal[:5], (batch, 1)),
        }


@pytest.fixture
def networks():
    return {role: Network(role, 64) for role in Role}


@pytest.fixture(scope="module")
def films():
    drawn = patient_films()
    return encoded([drawn[0], drawn[2]], (550, 700), "JPEG")


def with_networks(monkeypatch, networks):
    monkeypatch.setattr(paper_way, "random_engine", lambda name: networks[ROLES[name]])
    peer = type(paper_way.PEERS[0])("x", "x", "x", lambda network: network)
    monkeypatch.setattr(paper_way, "PEERS", (peer,))
    return PaperWay()


def test_the_paper_runs_the_trunk_twice_over_the_same_crops(monkeypatch, networks, films):
    theirs = with_networks(monkeypatch, networks)
    grades = theirs.grade(films[0], by_entropy=False)
    joints = len(grades)
    assert joints >= 8
    assert networks[Role.SCORE].batches == [joints, joints]
    assert networks[Role.DETECT].batches == [1]
    assert networks[Role.MASK].batches == [1]


def test_the_entropy_mask_takes_the_place_of_the_network(monkeypatch, networks, films):
    theirs = with_networks(monkeypatch, networks)
    theirs.grade(films[1], by_entropy=True)
    assert networks[Role.MASK].batches == []


def test_ours_looks_twice_and_grades_both_heads_in_one_batch(networks, films):
    grades = OurWay(networks, "").grade(films[0])
    assert networks[Role.SCORE].batches == [len(grades)]
    assert networks[Role.DETECT].batches == [1, 1]
    assert networks[Role.MASK].batches == [1]


class Served:
    """An engine that serves, as far as its back end and precision."""

    def __init__(self, backend, precision, stages=0):
        self.passport = {
            "backend": backend,
            "engine": {"precision": precision},
            "rounded": {"float_stages": stages},
        }


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("int8", True)])
def test_our_networks_compute_as_the_engines_that_serve(monkeypatch, precision, rounds):
    import onnx

    from benchmarks import full_size

    small = full_size._MODELS["full-unet-512"]
    monkeypatch.setattr(paper_way, "NETWORKS", {Role.MASK: "full-unet-512"})
    monkeypatch.setattr(full_size, "_MASK_SIZE", (64, 64))
    monkeypatch.setitem(full_size._MODELS, "full-unet-512", (*small[:2], (64, 64), small[3]))
    opened = []
    monkeypatch.setattr(paper_way, "open_backend", lambda one: opened.append(one) or one)
    served = EngineSet({(Role.MASK, Limb.HAND): Served("onnxruntime", precision)})
    assert paper_way.our_way(served).description == f"full-unet-512 onnxruntime {precision}"
    operators = {node.op_type for node in onnx.load_from_string(opened[0].data).graph.node}
    assert ("QuantizeLinear" in operators) is rounds
    found = open_backend(opened[0]).run({"image": np.zeros((1, 1, 64, 64), np.float32)})
    assert found["mask"].shape == (1, 1, 64, 64)


def test_hand_or_foot_is_read_off_the_name(films):
    assert [limb_of(film) for film in films] == [Limb.HAND, Limb.FOOT]


def test_the_entropy_mask_at_full_size_agrees_with_the_smaller_one():
    film = encoded(patient_films()[:1], (400, 500), "JPEG")[0]
    import cv2

    grey = cv2.imdecode(np.frombuffer(film.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    full, small = entropy_mask(grey), classical_mask(grey)
    assert full.shape == grey.shape
    assert (full & small).sum() / (full | small).sum() > 0.85
