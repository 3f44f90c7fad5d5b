"""Trained networks from elsewhere give the detections that OpenCV's own reader gave."""

import json

import cv2
import numpy as np
import pytest

from export.importers.darknet import (
    darknet_to_onnx,
    float_count,
    parse_cfg,
    read_weights,
)
from export.importers.numpy_reference import darknet_forward, decode_heads

MODELS = ("yolo-fastest-1.1", "yolo-fastest-1.1-xl")
HEADS = ("yolo_121", "yolo_130")


@pytest.fixture(scope="module", params=MODELS)
def pair(request, darknet_data, tools):
    cfg = (darknet_data / f"{request.param}.cfg").read_text()
    weights = (darknet_data / f"{request.param}.weights").read_bytes()
    return request.param, tools.import_darknet(cfg, weights)


def test_raw_outputs_agree_with_opencv(pair, darknet_data, tools):
    name, model = pair
    expected = np.load(darknet_data / "expected_raw_dog.npz")
    rows = tools.run(model, expected[f"{name}__input_blob"])["boxes"][0]
    rows[:, 5:] *= rows[:, 4:5]
    rows[:, :4] /= 320
    wanted = np.concatenate([expected[f"{name}__{head}"] for head in HEADS])
    score = np.arange(rows.shape[1]) >= 5
    undecided = score & (np.abs(rows - 0.2) < 1e-3)
    rows = np.where(score & (rows <= 0.2), 0, rows)
    assert np.abs(np.where(undecided, 0, rows - wanted)).max() < 1e-4


def test_detections_agree_with_opencv(pair, darknet_data, tools):
    name, model = pair
    names = (darknet_data / "coco.names").read_text().split("\n")
    expected = json.loads((darknet_data / "expected_opencv.json").read_text())
    runs = [run for run in expected["runs"] if run["model"] == name]
    assert runs
    for run in runs:
        image = cv2.imread(str(darknet_data / "images" / run["image"]))
        found = _detections(model, image, run["input"], names, tools)
        wanted = [(d["class"], d["score"], d["xywh_px"]) for d in run["detections"]]
        assert [d[0] for d in found] == [d[0] for d in wanted]
        for (_, score, box), (_, wanted_score, wanted_box) in zip(found, wanted, strict=True):
            assert score == pytest.approx(wanted_score, abs=1e-3)
            assert box == pytest.approx(wanted_box, abs=1)


def test_canonical_networks_ask_for_the_published_sizes(darknet_data):
    sizes = json.loads((darknet_data / "expected_sizes.json").read_text())
    for name in ("yolov3", "yolov3-tiny", "yolov3-spp", "yolov3-voc", "yolov3-tiny_3l"):
        network = parse_cfg((darknet_data / "canonical_cfg" / f"{name}.cfg").read_text())
        assert float_count(network) == sizes[f"{name}.cfg"]["float_params"]
        assert 20 + 4 * float_count(network) == sizes[f"{name}.cfg"]["weights_file_bytes_header20"]


def test_yolov3_tiny_agrees_with_its_arrays(darknet_data, tools):
    text = (darknet_data / "canonical_cfg" / "yolov3-tiny.cfg").read_text()
    network, arrays = tools.darknet(text, size=(64, 96))
    for layer in network.convolutions:
        if not layer.batch_normalize:
            arrays[f"conv{layer.ordinal}.weight"] *= 0.02
    image = np.random.default_rng(1).random((1, 3, 64, 96), dtype=np.float32)
    found = tools.run(darknet_to_onnx(network, arrays), image)["boxes"]
    wanted = decode_heads(network, darknet_forward(network, arrays, image, bn_epsilon=1e-6))
    assert found.shape == (1, 3 * (2 * 3 + 4 * 6), 85)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_the_images_seen_come_from_the_header(darknet_data):
    cfg = parse_cfg((darknet_data / "yolo-fastest-1.1.cfg").read_text())
    weights = read_weights(cfg, (darknet_data / "yolo-fastest-1.1.weights").read_bytes())
    assert weights.seen > 0
    assert weights.notes == ()


def _detections(model, image, size, names, tools):
    blob = cv2.dnn.blobFromImage(image, 1 / 255, tuple(size), (0, 0, 0), swapRB=True, crop=False)
    rows = tools.run(model, blob)["boxes"][0]
    high, wide = image.shape[:2]
    scores = rows[:, 5:] * rows[:, 4:5]
    centre, extent = rows[:, :2], rows[:, 2:4]
    scale = np.array([wide / size[0], high / size[1]] * 2)
    boxes = np.concatenate([centre - extent / 2, extent], axis=1) * scale
    best = scores.argmax(axis=1)
    found = []
    for number in range(scores.shape[1]):
        mine = np.where(best == number, scores[:, number], 0)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), mine.tolist(), 0.25, 0.45)
        found += [(names[number], float(mine[k]), boxes[k].tolist()) for k in np.ravel(kept)]
    return sorted(found, key=lambda d: -d[1])
