"""Boxes of three programs and joints of crops are read the same, and impossible ones stop."""

import json

import numpy as np
import pytest
from read_sets import VOC, blank, codes

from edge.anatomy import JointClass
from edge.model import Laterality
from training.datasets.reading import read_dataset
from training.datasets.truth import Code
from training.datasets.voc import parse_xml


def test_boxes_of_three_programs_are_the_same_boxes(tmp_path):
    for kind in ("voc", "yolo", "coco"):
        blank(tmp_path / kind / "A1-LH.jpg")
    (tmp_path / "voc" / "A1-LH.xml").write_text(VOC.format(label="PIP", x=20))
    (tmp_path / "yolo" / "A1-LH.txt").write_bytes(
        b"\xef\xbb\xbf0 0.1 0.06 0.1 0.08\r\n1 0.3 0.25 0.1 0.1\r\n"
    )
    coco = {
        "images": [{"id": 1, "file_name": "A1-LH.jpg", "width": 400, "height": 500}],
        "categories": [{"id": 7, "name": "PIP"}, {"id": 9, "name": "MCP"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [20, 10, 40, 40]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [100, 100, 40, 50]},
        ],
    }
    (tmp_path / "coco" / "A1-LH.json").write_text(json.dumps(coco))
    found = {}
    for kind in ("voc", "yolo", "coco"):
        dataset = read_dataset(tmp_path / kind)
        assert dataset.layouts == (kind,)
        assert not dataset.faults
        found[kind] = [
            (joint.joint_class, tuple(round(v, 6) for v in joint.box))
            for film in dataset.films
            for joint in film.joints
        ]
    wanted = [(JointClass.PIP, (20, 10, 40, 40)), (JointClass.MCP, (100, 100, 40, 50))]
    assert found["voc"] == found["yolo"] == found["coco"] == wanted


@pytest.mark.parametrize(
    ("label", "x", "code"),
    [
        ("PIP", "nan", Code.IMPOSSIBLE_BOX),
        ("PIP", "-30", Code.IMPOSSIBLE_BOX),
        ("PIP", "60", Code.IMPOSSIBLE_BOX),
        ("PIP", "9e99", Code.IMPOSSIBLE_BOX),
        ("wrist", "20", Code.UNKNOWN_CLASS),
        ("MTP", "20", Code.UNKNOWN_CLASS),
    ],
)
def test_an_impossible_box_stops_and_is_left_out(tmp_path, label, x, code):
    blank(tmp_path / "A1-LH.jpg")
    (tmp_path / "A1-LH.xml").write_text(VOC.format(label=label, x=x))
    assert codes(tmp_path) == {code}
    assert len(read_dataset(tmp_path).films[0].joints) == 1


def test_boxes_drawn_on_the_turned_film_land_on_the_film_as_stored(tmp_path):
    blank(tmp_path / "A1-LH.jpg", (500, 400))
    plain = (tmp_path / "A1-LH.jpg").read_bytes()
    # Orientation 6: what is stored lies on its side; displayed it is 400 wide and 500 high.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    head = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "A1-LH.jpg").write_bytes(plain[:2] + head + plain[2:])
    (tmp_path / "A1-LH.xml").write_text(VOC.format(label="PIP", x=20))
    box = read_dataset(tmp_path).films[0].joints[0].box
    # Displayed x, y is stored y, 399 - x turned back by a quarter.
    assert np.allclose(box, (10, 400 - 1 - 60, 40, 40), atol=1.01)


def test_an_xml_bomb_is_refused_before_it_grows(tmp_path):
    blank(tmp_path / "A1-LH.jpg")
    blank(tmp_path / "A1-RH.jpg")
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "' + "x" * 1000 + '">'
    bomb += "".join(f'<!ENTITY a{i} "{"&a;" * 90}">' for i in range(9)) + "]><annotation>&a8;"
    (tmp_path / "A1-LH.xml").write_text(bomb)
    (tmp_path / "A1-RH.xml").write_text(VOC.format(label="PIP", x=20))
    assert codes(tmp_path) == {Code.NOT_UNDERSTOOD}
    with pytest.raises(ValueError, match="document type"):
        parse_xml(bomb.encode("utf-16"))
    with pytest.raises(ValueError, match="deep"):
        parse_xml(b"<a>" * 100_000)


def test_crops_of_hands_are_read_with_their_grades_and_without_the_wrist(tmp_path):
    hand = tmp_path / "train" / "c1_007_L"
    for stem in ("MCP-I", "PIP-R", "IP", "CMC-T"):
        blank(hand / f"{stem}.bmp", (64, 64))
    (tmp_path / "train" / "_annotation_be_scores.json").write_text(
        json.dumps({"c1_007_L.bmp": {"BE_MCP-I": 2, "BE_IP": 1, "BE_CMC-T": 3}})
    )
    (tmp_path / "train" / "_annotation_jsn_scores.json").write_text(
        json.dumps({"c1_007_L.bmp": {"JSN_MCP-I": 4, "JSN_PIP-R": 0}})
    )
    dataset = read_dataset(tmp_path)
    assert dataset.layouts == ("ram-h1200",)
    (film,) = dataset.films
    assert (film.patient, film.laterality) == ("c1_007", Laterality.LEFT)
    assert {(j.name, j.erosion, j.narrowing) for j in film.joints} == {
        ("MCP2", 2, 4), ("PIP4", None, 0), ("IP1", 1, None),
    }  # fmt: skip
