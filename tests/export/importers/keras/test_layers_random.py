"""Random Keras models, written as Keras writes them, give what plain numpy gives channels last."""

import json

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from export.importers.keras import keras_to_onnx, read_keras
from export.importers.keras.model import KerasLayer
from export.importers.keras.weights import variables

EPSILON = 0.01


def same_pads(side, kernel, stride):
    """SAME padding before and after, and the output side."""
    count = -(-side // stride)
    total = max((count - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2, count


def windows(x, kernel, strides, padding, dilation, fill):
    """[n, h', w', kh, kw, c] windows of [n, h, w, c]."""
    pads = [(0, 0)]
    for side, k, s, d in zip(x.shape[1:3], kernel, strides, dilation, strict=True):
        pads.append(same_pads(side, (k - 1) * d + 1, s)[:2] if padding == "same" else (0, 0))
    x = np.pad(x, [*pads, (0, 0)], constant_values=fill)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(1, 2))
    views = views[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return views.transpose(0, 1, 2, 4, 5, 3)


def transposed(x, kernel, strides, padding):
    """Conv2DTranspose by scattering every input pixel, kernel [kh, kw, out, in]."""
    n, h, w, _ = x.shape
    kh, kw, out, _ = kernel.shape
    full = np.zeros((n, (h - 1) * strides[0] + kh, (w - 1) * strides[1] + kw, out), np.float32)
    for i in range(h):
        for j in range(w):
            top, left = i * strides[0], j * strides[1]
            full[:, top : top + kh, left : left + kw] += np.einsum(
                "nc,hwoc->nhwo", x[:, i, j], kernel
            )
    sides = []
    for axis, (k, s) in enumerate(zip((kh, kw), strides, strict=True)):
        if padding == "same":
            count = x.shape[axis + 1] * s
            before = same_pads(count, k, s)[0]
        else:
            count, before = x.shape[axis + 1] * s + max(k - s, 0), 0
        sides.append((before, count))
    (top, high), (left, wide) = sides
    canvas = np.zeros((n, top + high, left + wide, out), np.float32)
    h2, w2 = min(canvas.shape[1], full.shape[1]), min(canvas.shape[2], full.shape[2])
    canvas[:, :h2, :w2] = full[:, :h2, :w2]
    return canvas[:, top:, left:]


def forward(kind, config, arrays, xs):
    """One layer, channels last."""
    x = xs[0]
    strides = config.get("strides") or config.get("pool_size") or [1, 1]
    padding, dilation = config.get("padding"), config.get("dilation_rate", [1, 1])
    bias = arrays.get("bias", 0)
    if kind == "Conv2D":
        groups = config["groups"]
        parts = np.split(x, groups, axis=3)
        kernels = np.split(arrays["kernel"], groups, axis=3)
        y = np.concatenate(
            [
                np.einsum(
                    "nhwijc,ijco->nhwo",
                    windows(p, k.shape[:2], strides, padding, dilation, 0),
                    k,
                )
                for p, k in zip(parts, kernels, strict=True)
            ],
            axis=3,
        )
        return y + bias
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        kernel = arrays["depthwise_kernel"]
        seen = windows(x, kernel.shape[:2], strides, padding, dilation, 0)
        y = np.einsum("nhwijc,ijcm->nhwcm", seen, kernel)
        y = y.reshape(*y.shape[:3], -1)
        if kind == "SeparableConv2D":
            y = y @ arrays["pointwise_kernel"][0, 0]
        return y + bias
    if kind == "Conv2DTranspose":
        return transposed(x, arrays["kernel"], strides, padding) + bias
    if kind == "BatchNormalization":
        y = (x - arrays["moving_mean"]) / np.sqrt(arrays["moving_variance"] + EPSILON)
        return y * arrays.get("gamma", 1) + arrays.get("beta", 0)
    if kind == "MaxPooling2D":
        seen = windows(x, config["pool_size"], strides, padding, [1, 1], -np.inf)
        return seen.max(axis=(3, 4))
    if kind == "AveragePooling2D":
        seen = windows(x, config["pool_size"], strides, padding, [1, 1], np.nan)
        return np.nanmean(seen, axis=(3, 4))
    if kind == "UpSampling2D":
        return x.repeat(config["size"][0], axis=1).repeat(config["size"][1], axis=2)
    if kind == "Concatenate":
        return np.concatenate(xs, axis=config["axis"])
    if kind == "Add":
        return xs[0] + xs[1]
    if kind == "LeakyReLU":
        return np.where(x > 0, x, config["alpha"] * x)
    if kind == "Dense":
        return x @ arrays["kernel"] + bias
    if kind == "Flatten":
        return x.reshape(len(x), -1)
    assert kind == "GlobalAveragePooling2D"
    return x.mean(axis=(1, 2))


@st.composite
def layers(draw, shapes):
    """(kind, config, inputs) of one more layer over tensors of these shapes."""
    at = draw(st.integers(0, len(shapes) - 1))
    high, wide, depth = shapes[at]
    pick = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    kind = pick(
        "Conv2D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose",
        "BatchNormalization", "BatchNormalization", "MaxPooling2D", "AveragePooling2D",
        "UpSampling2D", "Concatenate", "Add", "LeakyReLU", "Dense",
    )  # fmt: skip
    small = min(high, wide)
    fits = [k for k in (1, 2, 3, 4) if k <= small]
    padding = pick("same", "valid")
    common = {"padding": padding, "use_bias": draw(st.booleans())}
    if kind == "Conv2D":
        groups = pick(*[g for g in (1, 2) if depth % g == 0])
        dilation = [pick(1, 2)] * 2 if small > 6 else [1, 1]
        strides = [1, 1] if dilation != [1, 1] else [pick(1, 2), pick(1, 2)]
        kernel = [draw(st.sampled_from([k for k in fits if k < 4])) for _ in range(2)]
        more = {"filters": groups * pick(1, 2, 3), "groups": groups, "dilation_rate": dilation}
        return kind, {**common, **more, "kernel_size": kernel, "strides": strides}, [at]
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        more = {"depth_multiplier": pick(1, 2), "filters": pick(1, 3)}
        return (
            kind,
            {**common, **more, "kernel_size": [pick(*fits)] * 2, "strides": [pick(1, 2)] * 2},
            [at],
        )
    if kind == "Conv2DTranspose" and max(high, wide) < 14:
        kernel, strides = [pick(1, 2, 3, 4), pick(2, 3)], [pick(1, 2, 3), pick(1, 2)]
        return (
            kind,
            {**common, "filters": pick(1, 3), "kernel_size": kernel, "strides": strides},
            [at],
        )
    if kind == "BatchNormalization":
        flags = {"scale": draw(st.booleans()), "center": draw(st.booleans())}
        return kind, {**flags, "epsilon": EPSILON, "axis": pick(-1, [3])}, [at]
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        size = [pick(*fits), pick(*fits)]
        return kind, {"pool_size": size, "strides": [pick(1, 2)] * 2, "padding": padding}, [at]
    if kind == "UpSampling2D" and max(high, wide) < 14:
        return kind, {"size": [pick(1, 2), 2], "interpolation": "nearest"}, [at]
    if kind == "Concatenate":
        fitting = [i for i, s in enumerate(shapes) if s[:2] == (high, wide)]
        return kind, {"axis": pick(-1, 3)}, [at, draw(st.sampled_from(fitting))]
    if kind == "Add":
        fitting = [i for i, s in enumerate(shapes) if s == (high, wide, depth)]
        return kind, {}, [at, draw(st.sampled_from(fitting))]
    if kind == "Dense":
        return kind, {"units": pick(1, 4), "use_bias": draw(st.booleans())}, [at]
    return "LeakyReLU", {"alpha": 0.2}, [at]


def array_shapes(kind, config, depth):
    """Shape of every array of a layer, in Keras's layout."""
    layer = KerasLayer("any", kind, config, ())
    kernel = config.get("kernel_size", [])
    filters = config.get("filters")
    middle = depth * config.get("depth_multiplier", 1)
    shapes = {
        "Conv2D": {"kernel": (*kernel, depth // config.get("groups", 1), filters)},
        "Conv2DTranspose": {"kernel": (*kernel, filters, depth)},
        "Dense": {"kernel": (depth, config.get("units"))},
    }.get(kind, {})
    shapes["depthwise_kernel"] = (*kernel, depth, config.get("depth_multiplier", 1))
    shapes["pointwise_kernel"] = (1, 1, middle, filters)
    outputs = {"Dense": config.get("units"), "DepthwiseConv2D": middle}.get(kind, filters)
    shapes["bias"] = (outputs,)
    if kind not in ("Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D"):
        if kind != "BatchNormalization":
            return {}
        return dict.fromkeys(variables(layer), (depth,))
    return {name: shapes[name] for name in variables(layer)}


def write(path, entries, arrays, shape, random):
    """A legacy file; groups and names are stored in a shuffled order."""
    described = [
        {
            "class_name": "InputLayer",
            "name": "film",
            "config": {"batch_input_shape": [None, *shape]},
            "inbound_nodes": [],
        }
    ]
    for name, kind, config, inputs in entries:
        node = [[source, 0, 0, {}] for source in inputs]
        described.append(
            {
                "class_name": kind,
                "name": name,
                "config": {**config, "name": name},
                "inbound_nodes": [node],
            }
        )
    model = {
        "class_name": "Functional",
        "config": {
            "name": "net",
            "layers": described,
            "input_layers": [["film", 0, 0]],
            "output_layers": [[entries[-1][0], 0, 0]],
        },
    }
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        file.attrs["keras_version"] = "2.15.0"
        weights = file.create_group("model_weights")
        for number in random.permutation(len(entries)):
            name = entries[number][0]
            group = weights.create_group(name)
            names = [f"{name}/{variable}:0" for variable in arrays[name]]
            group.attrs["weight_names"] = [
                names[i].encode() for i in random.permutation(len(names))
            ]
            for variable, array in arrays[name].items():
                group[f"{name}/{variable}:0"] = array


@settings(max_examples=100, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_a_random_model_gives_what_its_arrays_give(data, seed, tools, tmp_path_factory):
    random = np.random.default_rng(seed)
    shape = (
        data.draw(st.integers(5, 11)),
        data.draw(st.integers(5, 11)),
        data.draw(st.integers(1, 3)),
    )
    image = random.random((2, *shape), dtype=np.float32)
    tensors, names, entries, arrays = [image], ["film"], [], {}

    def add(kind, config, inputs):
        name = f"layer{len(entries)}"
        depth = tensors[inputs[0]].shape[-1]
        arrays[name] = {
            variable: (
                np.abs(random.normal(1, 0.3, sides)) + 0.2
                if variable in ("moving_variance", "gamma")
                else random.normal(0, 0.5, sides)
            ).astype(np.float32)
            for variable, sides in array_shapes(kind, config, depth).items()
        }
        entries.append((name, kind, config, [names[i] for i in inputs]))
        tensors.append(forward(kind, config, arrays[name], [tensors[i] for i in inputs]))
        names.append(name)

    for _ in range(data.draw(st.integers(1, 7))):
        add(*data.draw(layers([t.shape[1:] for t in tensors])))
    if data.draw(st.booleans()):
        add(
            data.draw(st.sampled_from(["Flatten", "GlobalAveragePooling2D"])),
            {},
            [len(tensors) - 1],
        )
        add("Dense", {"units": 3}, [len(tensors) - 1])
    path = tmp_path_factory.mktemp("keras") / "net.h5"
    write(path, entries, arrays, shape, random)
    model = keras_to_onnx(read_keras(path), outputs={"out": entries[-1][0]}, batch="n")
    found = tools.run(model, image.transpose(0, 3, 1, 2))["out"]
    wanted = tensors[-1]
    wanted = wanted.transpose(0, 3, 1, 2) if wanted.ndim == 4 else wanted
    scale = 1 + np.abs(wanted).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=2e-5)


def test_models_with_the_same_trunk_share_it(tools, tmp_path):
    from export.importers.keras import add_keras_model
    from export.onnx_graph.builder import GraphBuilder

    random = np.random.default_rng(0)
    trunk = {"kernel": random.normal(0, 1, (3, 3, 1, 4)).astype(np.float32)}
    config = {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same",
              "groups": 1, "use_bias": False}  # fmt: skip
    graph, alone = GraphBuilder("both"), {}
    for name in ("erosion", "narrowing"):
        dense = {"kernel": random.normal(0, 1, (4, 2)).astype(np.float32)}
        entries = [
            ("conv", "Conv2D", config, ["film"]),
            ("pool", "GlobalAveragePooling2D", {}, ["conv"]),
            (f"{name}_dense", "Dense", {"units": 2, "use_bias": False}, ["pool"]),
        ]
        path = tmp_path / f"{name}.h5"
        write(path, entries, {"conv": trunk, "pool": {}, f"{name}_dense": dense}, (8, 8, 1), random)
        saved = read_keras(path)
        add_keras_model(graph, saved, outputs={name: f"{name}_dense"}, batch="n")
        alone[name] = keras_to_onnx(saved, outputs={name: f"{name}_dense"}, batch="n")
    model = graph.build()
    kinds = [node.op_type for node in model.graph.node]
    assert (kinds.count("Conv"), kinds.count("Gemm")) == (1, 2)
    image = random.random((3, 1, 8, 8), dtype=np.float32)
    found = tools.run(model, image)
    for name, single in alone.items():
        np.testing.assert_array_equal(found[name], tools.run(single, image)[name])
