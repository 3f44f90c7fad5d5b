"""Parts of training on own data: splits, trunks, heads, sheets, pre-trained weights, events."""

import json
import os
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import export  # noqa: E402
from edge.model import Limb  # noqa: E402
from export.errors import ExportError  # noqa: E402
from export.importers.compact import save_compact  # noqa: E402
from export.importers.darknet import parse_cfg, read_weights, write_darknet_weights  # noqa: E402
from export.importers.darknet.weights import array_shapes  # noqa: E402
from export.importers.vgg import scorer_shapes, trunk_shapes  # noqa: E402
from export.recipe import read_recipe  # noqa: E402
from training.datasets.split import Part, split_patients  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluation.accuracy import decode_grades  # noqa: E402
from training.models.darknet import DarknetModule, sections_of  # noqa: E402
from training.models.heads import TASKS, DenseLayers, join_gate  # noqa: E402
from training.models.tensors import device  # noqa: E402
from training.models.trunk import PLAIN, FoldedTrunk, trunk_features  # noqa: E402
from training.run import events, loop  # noqa: E402
from training.run.run_folder import require_same_values  # noqa: E402
from training.tasks.contact_sheet import Candidate, rejected, write_list, write_sheets  # noqa: E402
from training.tasks.dataset_detector import opencv_agrees  # noqa: E402
from training.tasks.detector import shortened  # noqa: E402
from training.tasks.heads import HeadTraining, calibrate, train_head  # noqa: E402
from training.tasks.pretrained import fitting_arrays, two_classes  # noqa: E402
from training.tasks.publish import publish_trunk  # noqa: E402
from training.tasks.recipe_files import write_recipe  # noqa: E402
from training.tasks.recipes import DATA_SET_RECIPES, HeadSchedule  # noqa: E402
from training.tasks.trunk_file import read_trunk  # noqa: E402

pytestmark = pytest.mark.training
PAPER = DATA_SET_RECIPES["paper"]
SCHEDULE = HeadSchedule(epochs=30, batch=32, learning_rate=1e-2)
QUICK = HeadTraining(SCHEDULE, "undersample")


@given(st.sets(st.text(max_size=8), min_size=3, max_size=60))
@settings(max_examples=50, deadline=None)
def test_every_patient_is_in_one_part_and_always_in_the_same(patients):
    parts = split_patients(sorted(patients))
    assert set(parts) == patients
    assert set(parts.values()) == set(Part)
    assert parts == split_patients(sorted(patients, reverse=True))
    tests = sum(part is Part.TEST for part in parts.values())
    assert tests == -(-len(patients) // 10)


def test_two_patients_are_too_few():
    with pytest.raises(TrainingError, match="2 patients"):
        split_patients(["a", "b"])


def test_a_runs_folder_belongs_to_one_recipe(tmp_path):
    require_same_values(tmp_path, {"epochs": 3, "gate": False})
    require_same_values(tmp_path, {"epochs": 3, "gate": False})
    with pytest.raises(TrainingError, match="values of gate"):
        require_same_values(tmp_path, {"epochs": 3, "gate": True})


# trunks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg():
    rng = np.random.default_rng(0)
    return {
        name: (rng.standard_normal(shape) * 0.05).astype(np.float32)
        for name, shape in trunk_shapes().items()
    }


BLOCKS = [(b, c) for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]


def keras_names(i, kind):
    block, conv = BLOCKS[i]
    name = f"block{block}_conv{conv}"
    counted = "conv2d" if i == 0 else f"conv2d_{i}"
    return {
        "keras 1": (f"{name}/{name}_W_1:0", f"{name}/{name}_b_1:0"),
        "keras 2": (f"model_weights/{name}/{name}/kernel:0", f"model_weights/{name}/{name}/bias:0"),
        "keras 3": (f"layers/{counted}/vars/0", f"layers/{counted}/vars/1"),
    }[kind]


@pytest.mark.parametrize("kind", ["keras 1", "keras 2", "keras 3"])
def test_imagenets_weights_of_any_keras_are_the_same_trunk(vgg, tmp_path, kind):
    with h5py.File(tmp_path / "vgg16.h5", "w") as file:
        # Backwards, as a file's own order promises nothing.
        for i in reversed(range(13)):
            kernel, bias = keras_names(i, kind)
            file[kernel] = vgg[f"trunk.conv{i}.weight"].transpose(2, 3, 1, 0)
            file[bias] = vgg[f"trunk.conv{i}.bias"]
        file["optimizer_weights/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64), np.float32)
    trunk = read_trunk(tmp_path / "vgg16.h5")
    for name, array in vgg.items():
        np.testing.assert_array_equal(trunk.arrays[name], array)
    assert trunk.rule.scale == 1
    assert trunk.rule.mean == (103.939, 116.779, 123.68)


def torch_state(vgg, *, normalised):
    state, at = {}, 0
    rng = np.random.default_rng(4)
    for i in range(13):
        weight, bias = vgg[f"trunk.conv{i}.weight"], vgg[f"trunk.conv{i}.bias"]
        state[f"features.{at}.weight"], state[f"features.{at}.bias"] = map(
            torch.from_numpy, (weight, bias)
        )
        at += 1
        if normalised:
            for part in ("weight", "running_var"):
                values = rng.uniform(0.5, 2, len(bias)).astype(np.float32)
                state[f"features.{at}.{part}"] = torch.from_numpy(values)
            for part in ("bias", "running_mean"):
                values = rng.standard_normal(len(bias)).astype(np.float32)
                state[f"features.{at}.{part}"] = torch.from_numpy(values)
            at += 1
        at += 1 + (i in (1, 3, 6, 9, 12))
    state["classifier.0.weight"] = torch.zeros(4, 4)
    return state


def test_imagenets_weights_of_torch_are_the_same_trunk(vgg, tmp_path):
    state = {f"module.{key}": value for key, value in torch_state(vgg, normalised=False).items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "vgg16.pt")
    trunk = read_trunk(tmp_path / "vgg16.pt")
    for name, array in vgg.items():
        np.testing.assert_array_equal(trunk.arrays[name], array)
    assert trunk.rule.std == (0.229, 0.224, 0.225)


def test_batch_normalisation_of_torch_is_folded_in(vgg, tmp_path):
    state = torch_state(vgg, normalised=True)
    torch.save(state, tmp_path / "vgg16_bn.pth")
    trunk = read_trunk(tmp_path / "vgg16_bn.pth")
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x, at = image, 0
        for i in range(13):
            x = torch.nn.functional.conv2d(
                x, state[f"features.{at}.weight"], state[f"features.{at}.bias"], padding=1
            )
            norm = {p: state[f"features.{at + 1}.{p}"] for p in
                    ("running_mean", "running_var", "weight", "bias")}  # fmt: skip
            x = torch.relu(torch.nn.functional.batch_norm(x, *norm.values()))
            at += 3
            if i in (1, 3, 6, 9, 12):
                x, at = torch.nn.functional.max_pool2d(x, 2), at + 1
        wanted = x.mean((2, 3))
        found = FoldedTrunk(trunk.arrays)(image)
    # Random statistics cancel in float32: the error is a share of the largest feature.
    largest = float(wanted.abs().max())
    torch.testing.assert_close(found / largest, wanted / largest, rtol=0, atol=2e-3)


def test_a_trunk_is_fed_as_the_engine_will_feed_it(vgg, tmp_path):
    from edge.engine.inputs import scale_grey

    save_compact(tmp_path / "trunk.npz", vgg, {})
    trunk = read_trunk(tmp_path / "trunk.npz")
    folded = publish_trunk(trunk.arrays, tmp_path / "out" / "trunk.npz", {}, trunk.compact)
    assert (tmp_path / "out" / "trunk.npz").read_bytes() == (tmp_path / "trunk.npz").read_bytes()
    crops = np.random.default_rng(1).integers(0, 255, (3, 32, 32), np.uint8)
    for rule in (PLAIN, replace(PLAIN, scale=1.0, mean=(103.9, 116.8, 123.7))):
        image = torch.from_numpy(scale_grey(crops, rule.scale, rule.mean, rule.std))
        with torch.no_grad():
            wanted = folded(image.to(device())).cpu()
        torch.testing.assert_close(trunk_features(folded, crops, rule), wanted)


@pytest.mark.parametrize("name", ["a.h5", "a.pt", "a.npz", "a.txt", "none.pt"])
def test_what_is_no_trunk_is_refused(tmp_path, name):
    if not name.startswith("none"):
        (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises((TrainingError, ExportError)):
        read_trunk(tmp_path / name)


def test_another_networks_weights_are_refused_by_layer(vgg, tmp_path):
    state = torch_state(vgg, normalised=False)
    state["features.2.weight"] = state["features.2.weight"][:, :5]
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(TrainingError, match=r"trunk\.conv1\.weight"):
        read_trunk(tmp_path / "other.pt")


# heads ----------------------------------------------------------------------------------------


def joints(counts, seed=0):
    """Features [n, 1, 512] in which a grade can be seen, and the grades."""
    rng = np.random.default_rng(seed)
    grades = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    features = rng.standard_normal((len(grades), 1, 512)).astype(np.float32)
    features[:, 0, :8] += 2.0 * grades[:, None]
    return torch.from_numpy(features), grades


def grade(head, features):
    with torch.no_grad():
        return decode_grades(head(features[:, 0]).sigmoid().numpy())


@pytest.mark.parametrize("gate", [False, True])
def test_a_head_learns_what_can_be_seen_and_says_it_through_the_usual_decoding(tmp_path, gate):
    features, grades = joints((120, 40, 40, 40, 40))
    head = train_head(tmp_path, features, grades, 5, replace(QUICK, gate=gate))
    unseen, truth = joints((20, 20, 20, 20, 20), seed=1)
    assert (np.abs(grade(head, unseen) - truth) <= 1).mean() > 0.9
    assert ((grade(head, unseen) == 0) == (truth == 0)).mean() > 0.85


def test_a_joined_head_is_the_gate_then_the_rest(settle):
    torch.manual_seed(3)
    gate, rest = settle(DenseLayers((512, 128, 64, 1))), settle(DenseLayers((512, 384, 192, 4)))
    head = join_gate(gate, rest, 6)
    features = torch.randn(40, 512)
    with torch.no_grad():
        found = head(features)
        torch.testing.assert_close(found[:, 1:2], gate(features), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[:, 2:], rest(features), rtol=1e-4, atol=1e-4)
    assert (found[:, 0] > 5).all()
    arrays = head.arrays("hand_erosion")
    shapes = {k: v for k, v in scorer_shapes(Limb.HAND).items() if k in arrays}
    assert {key: array.shape for key, array in arrays.items()} == shapes


def test_grade_0_is_thinned_in_what_is_learnt_from(tmp_path, monkeypatch):
    features, grades = joints((200, 20, 10, 10, 10))
    seen = []
    monkeypatch.setattr(loop, "run", lambda *args, **_: seen.append(args[2].samples))
    for balance in ("none", "undersample", "weights"):
        recipe = HeadTraining(replace(SCHEDULE, epochs=1, batch=10), balance)
        train_head(tmp_path / balance, features, grades, 5, recipe)
    # An epoch: all 250 joints, then 20 of grade 0 beside the 50 others, then all again.
    assert seen == [250, 70, 250]


def test_weighing_grades_finds_rare_ones_more_often(tmp_path):
    features, grades = joints((400, 8, 8, 8, 8))
    features += 1.5 * torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    unseen, truth = joints((40, 40, 40, 40, 40), seed=1)
    found = {}
    for balance in ("none", "weights"):
        recipe = HeadTraining(replace(SCHEDULE, epochs=4, learning_rate=3e-3), balance)
        head = train_head(tmp_path / balance, features, grades, 5, recipe)
        found[balance] = (grade(head, unseen)[truth > 0] > 0).mean()
    assert found["weights"] > found["none"]


def test_a_head_that_was_cut_off_ends_with_the_same_weights(tmp_path, same_weights):
    features, grades = joints((40, 20, 20, 20, 20))
    recipe = HeadTraining(replace(SCHEDULE, epochs=6), "undersample", checkpoint_every_s=0.0)
    whole = train_head(tmp_path / "whole", features, grades, 5, recipe)
    real = loop.descend
    steps = []

    def cut_off(*args):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "descend", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train_head(tmp_path / "cut", features, grades, 5, recipe)
    resumed = train_head(tmp_path / "cut", features, grades, 5, recipe)
    same_weights(whole.state_dict(), resumed.state_dict())


def test_grades_that_are_all_one_are_refused(tmp_path):
    features, _ = joints((10, 0, 0, 0, 0))
    with pytest.raises(TrainingError, match=r"\{0: 10\}"):
        train_head(tmp_path, features, np.zeros(10, np.int64), 5, QUICK)


def test_calibration_changes_no_decision_and_needs_joints(tmp_path):
    features, grades = joints((40, 20, 20, 20, 20))
    head = train_head(tmp_path, features, grades, 5, QUICK)
    unseen, truth = joints((20, 20, 20, 20, 20), seed=2)
    before = grade(head, unseen)
    assert calibrate(head, [(unseen[:0, 0], truth[:0])]) is None
    found = calibrate(head, [(unseen[:, 0], truth)])
    assert found.temperature > 0
    assert found.loss_after <= found.loss_before
    np.testing.assert_array_equal(grade(head, unseen), before)


def test_the_papers_values_are_the_papers():
    heads, mask, detector = PAPER.heads, PAPER.mask, PAPER.detector
    assert (heads.epochs, heads.learning_rate, heads.balance) == (250, 1e-4, "undersample")
    assert (mask.learning_rate, mask.batch, mask.epochs, mask.soft_dice) == (1e-4, 16, 200, False)
    assert (detector.samples, detector.rate_steps) == (4_000 * 64, (3_200 * 64, 3_600 * 64))
    assert set(DATA_SET_RECIPES) == {"demo", "paper"}
    assert all(recipe.heads.split == "patient" for recipe in DATA_SET_RECIPES.values())


def test_a_shorter_run_keeps_its_shape():
    short = shortened(PAPER.detector, 640)
    assert (short.samples, short.warm_up, short.rate_steps) == (640, 160, (512, 576))


# outlines -------------------------------------------------------------------------------------


@pytest.fixture
def candidates():
    canvas = np.full((120, 96), 80, np.uint8)
    outline = cv2.circle(np.zeros_like(canvas), (48, 60), 30, 255, -1)
    return [Candidate(f"a/P{i}-LH.jpg", canvas, outline, "classical") for i in range(30)]


def test_sheets_show_every_outline_and_the_list_names_it(candidates, tmp_path):
    pages = write_sheets(tmp_path, candidates)
    assert len(pages) == 2
    page = cv2.imread(str(pages[0]))
    tile = page[: page.shape[0] // 4, : page.shape[1] // 7]
    # Yellow line on grey.
    assert ((tile[..., 2].astype(int) - tile[..., 0]) > 100).sum() > 100
    write_list(tmp_path / "list.txt", candidates)
    lines = [line for line in (tmp_path / "list.txt").read_text().splitlines() if line[0] != "#"]
    assert len(lines) == 30
    assert rejected(tmp_path / "list.txt", [one.film for one in candidates]) == set()


def test_a_marked_or_a_deleted_line_and_a_bare_name_reject(candidates, tmp_path):
    films = [one.film for one in candidates]
    path = tmp_path / "list.txt"
    write_list(path, candidates)
    text = path.read_text()
    path.write_text(text.replace("keep\t4\t", "reject\t4\t"))
    assert rejected(path, films) == {"a/P3-LH.jpg"}
    lines = text.splitlines(keepends=True)
    path.write_text(
        "".join(line for line in lines if "\ta/P7-LH.jpg\t" not in line), newline="\r\n"
    )
    assert rejected(path, films) == {"a/P7-LH.jpg"}
    path.write_text("a/P1-LH.jpg\n\n# and\nA/P2-LH.jpg\n")
    assert rejected(path, films) == {"a/P1-LH.jpg", "a/P2-LH.jpg"}
    path.write_text("a/P99-LH.jpg\n")
    with pytest.raises(TrainingError, match="line 1"):
        rejected(path, films)


# detectors ------------------------------------------------------------------------------------


def many_classes(tiny_cfg):
    text = (
        tiny_cfg.read_text().replace("classes=2", "classes=4").replace("filters=21", "filters=27")
    )
    return text.replace("channels=1", "channels=3")


def random_arrays(network, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: np.abs(rng.standard_normal(shape)).astype(np.float32)
        for name, shape in array_shapes(network).items()
    }


def test_any_detector_becomes_one_of_two_classes(tiny_cfg):
    network = parse_cfg(two_classes(many_classes(tiny_cfg)))
    assert [head.classes for head in network.heads] == [2, 2]
    assert two_classes(tiny_cfg.read_text()) == two_classes(two_classes(tiny_cfg.read_text()))
    with pytest.raises(TrainingError, match=r"no \[yolo\]"):
        two_classes(tiny_cfg.read_text().split("[yolo]")[0])
    with pytest.raises(TrainingError, match="128 x 96"):
        two_classes(tiny_cfg.read_text().replace("width=96", "width=128"))


def test_weights_of_more_classes_or_of_the_first_layers_give_what_fits(tiny_cfg):
    text = many_classes(tiny_cfg)
    network, adapted = parse_cfg(text), parse_cfg(two_classes(text))
    arrays = random_arrays(network)
    data = write_darknet_weights(network, arrays)
    model = DarknetModule(sections_of(two_classes(text)))
    shapes = array_shapes(adapted)
    fitting = [name for name, shape in shapes.items() if arrays[name].shape == shape]
    assert model.load_arrays(fitting_arrays(text, data)) == len(fitting) == len(shapes) - 4
    two = write_darknet_weights(adapted, random_arrays(adapted))
    assert set(fitting_arrays(text, two)) == set(shapes)
    first = sum(int(np.prod(shape)) for name, shape in shapes.items() if name[:6] in
                ("conv0.", "conv1."))  # fmt: skip
    some = fitting_arrays(text, data[: 20 + 4 * first])
    assert {name.partition(".")[0] for name in some} == {"conv0", "conv1"}
    np.testing.assert_array_equal(some["conv1.weight"], arrays["conv1.weight"])
    with pytest.raises(ExportError, match="end inside"):
        fitting_arrays(text, data[: 24 + 4 * first])


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_end_the_reader_of_weights(data):
    text = "[net]\nwidth=32\nheight=32\nchannels=1\n[convolutional]\nfilters=7\nsize=1\nstride=1\n"
    text += "activation=linear\n[yolo]\nmask=0\nanchors=5,5\nclasses=2\nnum=1\n"
    try:
        found = fitting_arrays(text, data)
    except ExportError:
        return
    assert all(np.isfinite(array).all() for array in found.values())


PYTHON = Path(
    os.environ.get("OPENCV4_PYTHON")
    or Path(export.__file__).resolve().parents[1] / ".venv-opencv4" / "bin" / "python"
)
READER = """
import sys
import cv2
import numpy as np

cv2.setNumThreads(1)
net = cv2.dnn.readNetFromDarknet(sys.argv[1], sys.argv[2])
net.setInput(np.load(sys.argv[3]))
np.savez(sys.argv[4], *net.forward(net.getUnconnectedOutLayersNames()))
"""


class OpenCV4:
    """OpenCV 4's reader in an environment of its own, as this one's would be called."""

    def __init__(self, cfg, weights):
        self.files = [cfg, weights]

    def setInput(self, image):  # noqa: N802 - OpenCV's name
        self.image = image

    def getUnconnectedOutLayersNames(self):  # noqa: N802
        return ()

    def forward(self, _names):
        folder = Path(self.files[0]).parent
        np.save(folder / "image.npy", self.image)
        words = [*self.files, folder / "image.npy", folder / "out.npz"]
        subprocess.run([PYTHON, "-c", READER, *words], check=True, timeout=200, env={"PATH": ""})
        with np.load(folder / "out.npz") as heads:
            return [heads[key] for key in sorted(heads)]


def test_opencv_4_reads_what_is_written_and_a_difference_would_be_told(
    tiny_cfg, settle, tmp_path, monkeypatch
):
    if not PYTHON.exists():
        pytest.skip(f"no OpenCV 4 at {PYTHON}: see tests/export/test_darknet_opencv4.py")
    text = two_classes(many_classes(tiny_cfg))
    torch.manual_seed(2)
    model = settle(DarknetModule(sections_of(text)))
    data = write_darknet_weights(parse_cfg(text), model.arrays(), seen=64)
    assert read_weights(parse_cfg(text), data).seen == 64
    files = tmp_path / "net.cfg", tmp_path / "net.weights"
    files[0].write_text(text)
    files[1].write_bytes(data)
    monkeypatch.setattr(cv2.dnn, "readNetFromDarknet", OpenCV4, raising=False)
    assert "agrees" in opencv_agrees(model, *files)
    model.load_arrays({"conv5.bias": model.arrays()["conv5.bias"] + 1})
    with pytest.raises(TrainingError, match="objectness"):
        opencv_agrees(model, *files)


@pytest.mark.parametrize("role", ["mask", "detect", "score"])
@pytest.mark.parametrize("limb", list(Limb))
def test_written_recipes_are_recipes(tmp_path, role, limb):
    sources = {
        "mask": ['kind = "compact"', 'architecture = "unet"', 'files = ["weights/a.npz"]'],
        "detect": ['kind = "darknet"', 'cfg = "cfg/a.cfg"', 'weights = "weights/a.weights"'],
        "score": ['kind = "compact"', 'architecture = "vgg16"', 'files = ["weights/a.npz"]'],
    }
    channels = 1 if role == "mask" else 3
    path = write_recipe(tmp_path, limb, role, sources[role], (96, 96), channels,
                        mean=(1.5,) * channels)  # fmt: skip
    recipe = read_recipe(path)
    assert (recipe.name, recipe.role, recipe.limb) == (f"{limb}-{role}", role, limb)
    assert recipe.input.mean == (1.5,) * channels


# event files ----------------------------------------------------------------------------------


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


def test_every_task_has_a_head_of_its_own_width():
    assert TASKS == {"hand_erosion": 6, "hand_narrowing": 5, "foot_erosion": 11,
                     "foot_narrowing": 5}  # fmt: skip
