"""Simulated films: truth lies where the picture has it, and the files say what they are."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pydicom
import pytest

from edge.model import Laterality, LateralitySource, Limb, LimbResult, Status, has_narrowing
from phantom import CROP_SHARE, render_affine, render_crop, render_film, sample_limb
from phantom.command import TRUTH_NAME, _mirrored_films, write_patients
from phantom.measure import RANGES, check
from phantom.observer import ceiling
from phantom.style import STYLES
from phantom.truth import film_truth


def film_of(limb, seed=1, side=Laterality.LEFT, long_side_px=900, **options):
    rng = np.random.default_rng(seed)
    model = sample_limb(rng, limb, side, "flat", "eval")
    return model, render_film(model, rng, "eval", long_side_px=long_side_px, **options)


@pytest.mark.parametrize("limb", list(Limb))
def test_every_joint_lies_inside_film_and_mask_whatever_the_scene(limb):
    for seed in range(10):
        _, film = film_of(limb, seed, side=list(Laterality)[seed % 2], long_side_px=600)
        height, width = film.mask.shape
        assert [joint.name for joint in film.joints] == list(limb.joints)
        for joint in film.joints:
            x, y = joint.centre
            assert 0 < x < width - 1, seed
            assert 0 < y < height - 1, seed
            assert film.mask[round(y), round(x)], seed


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("side", list(Laterality))
def test_the_thumb_is_where_side_and_mirror_put_it(side, mirrored):
    for seed in range(12):
        _, film = film_of(Limb.HAND, seed, side=side, mirrored=mirrored)
        centres = {joint.name: np.array(joint.centre) for joint in film.joints}
        up = centres["PIP3"] - centres["MCP3"]
        thumb = centres["MCP1"] - centres["MCP5"]
        # Seen with the fingers up, a left hand's thumb is at the right of the image.
        at_right = up[0] * thumb[1] - up[1] * thumb[0] > 0
        assert at_right == ((side is Laterality.LEFT) != mirrored)


@pytest.mark.parametrize("limb", list(Limb))
def test_the_mask_covers_the_bones(limb):
    model, film = film_of(limb, 3)
    size = (film.mask.shape[1], film.mask.shape[0])
    bone = render_affine(model, film.affine, size).bone > 0.05
    assert film.mask[bone].mean() > 0.985
    assert bone.sum() < film.mask.sum() < film.mask.size


def test_bones_are_brighter_than_flesh_and_flesh_than_air():
    model, film = film_of(Limb.HAND, 4)
    true = render_affine(model, film.affine, (film.mask.shape[1], film.mask.shape[0]))
    x, y, w, h = (round(v) for v in film.joints[2].box)
    box = np.s_[y : y + h, x : x + w]
    grey, bone, tissue = film.grey[box], true.bone[box], true.tissue_mm[box]
    solid = grey[bone > 0.15].mean()
    flesh = grey[(bone < 1e-3) & (tissue > 5)].mean()
    assert solid > 1.4 * flesh > 40


def test_film_size_is_what_was_asked_for():
    _, film = film_of(Limb.FOOT, 2, long_side_px=512)
    assert max(film.pixels.shape) == pytest.approx(512, abs=1)
    assert film.pixels.dtype == np.uint8


def test_most_films_have_a_hospitals_resolution():
    units = []
    for seed in range(14):
        rng = np.random.default_rng(seed)
        model = sample_limb(rng, Limb.HAND, Laterality.LEFT, "real", "eval")
        units.append(render_film(model, rng, "eval").unit_px)
    assert np.mean([250 <= unit <= 400 for unit in units]) > 0.7
    assert min(units) > 100


def test_a_crop_is_reproducible_and_carries_the_grades_asked_for():
    first, second = (
        render_crop(np.random.default_rng(8), Limb.FOOT, "MTP2", 96, "train", (7, 3))
        for _ in range(2)
    )
    assert np.array_equal(first[0], second[0])
    assert first[0].shape == (96, 96)
    assert first[0].dtype == np.uint8
    assert first[1:] == (7, 3)


def test_the_thumbs_crop_has_no_narrowing_grade():
    crop, erosion, narrowing = render_crop(np.random.default_rng(8), Limb.HAND, "IP1", 64)
    assert crop.std() > 10
    assert 0 <= erosion <= 5
    assert narrowing is None


def test_a_crop_shows_what_a_film_shows_of_a_joint():
    """The two paths differ in noise and context only: brightness statistics must agree."""
    crops, cuts = [], []
    rng = np.random.default_rng(5)
    for _ in range(8):
        model = sample_limb(rng, Limb.HAND, Laterality.LEFT, "flat", "eval")
        film = render_film(model, rng, "eval", long_side_px=1500)
        grey = cv2.createCLAHE(2, (8, 8)).apply(film.pixels)
        for joint in film.joints:
            x, y, w, _ = joint.box
            side = round(w * CROP_SHARE)
            x0, y0 = round(x - 0.15 * w), round(y - 0.15 * w)
            cut = grey[max(y0, 0) : y0 + side, max(x0, 0) : x0 + side]
            cuts.append(cv2.resize(cut, (96, 96), interpolation=cv2.INTER_AREA))
            crops.append(render_crop(rng, Limb.HAND, joint.name, 96, "eval")[0])
    film_level, crop_level = np.median(cuts, axis=(1, 2)), np.median(crops, axis=(1, 2))
    assert np.median(crop_level) == pytest.approx(np.median(film_level), rel=0.25)
    assert np.std(crops) == pytest.approx(np.std(cuts), rel=0.3)


def test_the_two_styles_share_no_noise_no_table_no_bone_shape():
    train, judge = STYLES["train"], STYLES["eval"]
    assert not set(train.texture_seeds) & set(judge.texture_seeds)
    for name in ("head_roundness", "waist", "quanta", "lut_gamma", "texture_amplitude", "blur_mm"):
        for low, high in getattr(train, name):
            for other_low, other_high in getattr(judge, name):
                assert high <= other_low or low >= other_high, name


def test_written_patients_are_the_same_bytes_for_the_same_seed(tmp_path):
    for folder in ("a", "b"):
        write_patients(tmp_path / folder, 1, 11, "png", "flat")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(
        [TRUTH_NAME]
        + [
            f"P0001-{end}"
            for limb in ("LH", "RH", "LF", "RF")
            for end in (f"{limb}.png", f"{limb}_mask.png")
        ]
    )
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_patient_does_not_depend_on_how_many_there_are(tmp_path):
    write_patients(tmp_path / "one", 1, 3, "jpeg", "real")
    write_patients(tmp_path / "two", 2, 3, "jpeg", "real")
    name = "P0001-RF.jpg"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_truth_lines_are_limb_results_and_agree_with_their_sums(tmp_path):
    steps = []
    summary = write_patients(
        tmp_path, 1, 5, "jpeg", "flat", progress=lambda done, total: steps.append((done, total))
    )
    lines = [
        LimbResult.model_validate(json.loads(line))
        for line in summary.truth.read_text("utf-8").splitlines()
    ]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [line.file for line in lines] == [f"P0001-{end}.jpg" for end in ("LH", "RH", "LF", "RF")]
    for line in lines:
        if line.status is Status.HELD:
            continue
        assert line.subtotals.erosion.score == sum(joint.erosion for joint in line.joints)
        assert line.subtotals.narrowing.score == sum(
            joint.narrowing for joint in line.joints if has_narrowing(line.limb, joint.name)
        )
        film = cv2.imread(str(tmp_path / line.file), cv2.IMREAD_GRAYSCALE)
        mask = cv2.imread(
            str(tmp_path / line.file.replace(".jpg", "_mask.png")), cv2.IMREAD_GRAYSCALE
        )
        assert film.shape == mask.shape
    maxima = [line.subtotals.erosion.maximum for line in lines if line.subtotals]
    assert set(maxima) <= {50, 60}


def test_a_mirrored_film_is_held_without_grades():
    _, film = film_of(Limb.HAND, 6, mirrored=True, long_side_px=400)
    line = film_truth(film, "P0001-LH.jpg", LateralitySource.FILENAME)
    assert (line.status, line.reason, line.laterality) == (Status.HELD, "side_conflict", "L")
    assert all(joint.erosion is None and joint.erosion_reason == "held" for joint in line.joints)
    assert all(joint.narrowing is None and joint.narrowing_reason for joint in line.joints)
    assert line.subtotals is None
    assert line.n_scored == 0


def test_few_films_are_mirrored():
    films = _mirrored_films(1, 100)
    assert 0 < len(films) <= 12
    assert not _mirrored_films(1, 8)


def test_dicom_films_carry_a_cr_units_tags_and_the_same_picture(tmp_path):
    write_patients(tmp_path / "dicom", 1, 5, "dicom", "real")
    write_patients(tmp_path / "png", 1, 5, "png", "real")
    for stem, side, part in (("P0001-LH", "L", "HAND"), ("P0001-RF", "R", "FOOT")):
        data = pydicom.dcmread(tmp_path / "dicom" / f"{stem}.dcm")
        assert (data.Modality, data.ImageLaterality, data.BodyPartExamined) == ("CR", side, part)
        assert data.PatientID == "P0001"
        assert data.BitsStored in (10, 12)
        shown = pydicom.pixels.apply_voi_lut(data.pixel_array, data)
        top = (1 << data.BitsStored) - 1
        if data.PhotometricInterpretation == "MONOCHROME1":
            shown = top - shown
        png = cv2.imread(str(tmp_path / "png" / f"{stem}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.abs(shown * (255 / top) - png).max() < 2
    line = json.loads((tmp_path / "dicom" / TRUTH_NAME).read_text("utf-8").splitlines()[0])
    assert line["laterality_source"] == "dicom"


def test_no_patients_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        write_patients(tmp_path, 0, 1)


@pytest.mark.parametrize("style", ["eval", "train"])
def test_films_measure_like_real_ones(style):
    rows = check(1, 4, style)
    assert [row.name for row in rows] == list(RANGES)
    assert [str(row) for row in rows if not row.inside] == []


def test_an_ideal_observer_reads_the_grades():
    rows = ceiling(1, 4)
    assert [row.scorer for row in rows] == [
        "hand narrowing", "hand erosion", "foot narrowing", "foot erosion",
    ]  # fmt: skip
    for row in rows:
        assert row.balanced_exact >= 0.95, row


def test_borderline_joints_are_marked_and_harder():
    rng = np.random.default_rng(1)
    model = sample_limb(rng, Limb.HAND, Laterality.LEFT, "flat", "eval", borderline=True)
    film = render_film(model, rng, "eval", long_side_px=500)
    marked = [joint for joint in film.joints if "borderline" in joint.flags]
    assert 0 < len(marked) < len(film.joints)
    assert ceiling(1, 4, borderline=True)[0].balanced_exact < ceiling(1, 4)[0].balanced_exact
