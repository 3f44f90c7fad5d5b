"""The whole command in small sizes: the files that export takes, and records that are true."""

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest

from edge.anatomy import Limb
from edge.system.paths import engines_home
from export.exporter import export_recipes
from export.importers.compact import load_compact
from export.importers.vgg import trunk_shapes
from training.datasets.labelled_films import is_validation
from training.errors import TrainingError

torch = pytest.importorskip("torch")
from training.synthetic.phantom_films import PhantomFilms, draw_phantom_films  # noqa: E402
from training.tasks import demo as demo_training  # noqa: E402
from training.tasks import trunk as trunk_training  # noqa: E402
from training.tasks.demo import train_demo  # noqa: E402
from training.tasks.publish import (  # noqa: E402
    committed_scorer,
    trained_scorer,
    trunk_arrays,
)
from training.tasks.recipes import (  # noqa: E402
    DEMO_RECIPES,
    DemoHeads,
    DemoRecipe,
    DetectorRecipe,
    MaskRecipe,
    TrunkRecipe,
)

pytestmark = pytest.mark.training


PAPER = DEMO_RECIPES["paper"]


FILES = {
    "hand-detect", "foot-detect", "hand-mask", "foot-mask", "hand-trunk", "foot-trunk",
    "hand-heads", "foot-heads",
}  # fmt: skip


COLUMNS = (
    "film", "limb", "limb_no", "view", "thumb_or_hallux_side", "immature", "issues", "joint",
    "x_px", "y_px",
)  # fmt: skip


DETECTOR = DetectorRecipe(samples=4, batch=2, size_px=96)


TINY = DemoRecipe(
    hand_phantoms=6,
    foot_phantoms=6,
    framed_shards=1,
    framed_films=1,
    painted_shards=1,
    hand_paintings=2,
    foot_paintings=2,
    film_px=300,
    crop_shards=1,
    crops_per_shard=60,
    held_out_crops=20,
    crop_px=32,
    hand_detector=DETECTOR,
    foot_detector=DETECTOR,
    mask=MaskRecipe(samples=4, batch=2, size=(64, 52)),
    trunk=TrunkRecipe(samples=8, batch=4),
    limb_trunk=TrunkRecipe(samples=4, batch=4, learning_rate=1e-6, frozen=2),
    head=DemoHeads(of_the_trunk=True),
)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of labelled films; drawn ones stand for FracAtlas's."""
    folder = tmp_path_factory.mktemp("fracatlas")
    drawn = tmp_path_factory.mktemp("drawn")
    rows, number = [], 0
    for limb in Limb:
        draw_phantom_films(drawn, limb, 6, seed=77, longest_px=900)
        for film in PhantomFilms(drawn, limb).films:
            name = f"IMG{(number := number + 1):07d}.jpg"
            cv2.imwrite(str(folder / name), film.pixels)
            rows += [
                (name, limb, 0, "pa", "left", 0, "", joint, x, y)
                for joint, (x, y) in zip(film.names, film.points, strict=True)
            ]
    with (folder / "joints.csv").open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        out.writerows(rows)
    return folder


@pytest.fixture(autouse=True, scope="module")
def short_beginning():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk_training, "_START_CROPS", 64)
        patch.setattr(trunk_training, "_START_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    said = []
    figures = train_demo(
        films, films / "joints.csv", folder / "runs", folder / "weights", TINY, said.append
    )
    return folder, figures, said


def test_recipe_further_trains_the_scorers_alone_from_the_committed_trunks(films, tmp_path):
    recipe = replace(TINY, name="further", further=True)
    said = []
    train_demo(
        films, films / "joints.csv", tmp_path / "runs", tmp_path / "weights", recipe, said.append
    )
    assert {path.stem for path in (tmp_path / "weights").glob("*.npz")} == {
        "hand-trunk", "foot-trunk", "hand-heads", "foot-heads",
    }  # fmt: skip
    assert "detectors" not in said[0]
    for limb in Limb:
        committed, _ = load_compact(engines_home() / "weights" / f"{limb}-trunk.npz")
        trained, meta = load_compact(tmp_path / "weights" / f"{limb}-trunk.npz")
        assert "--recipe further" in meta["command"]
        before = load_compact(engines_home() / "weights" / f"{limb}-trunk.npz")[1]
        assert meta["history"] == f"{before['history']}; then {meta['command']}"
        assert set(meta["real_films"]) > set(before["real_films"])
        for name, digest in meta["begun_from"].items():
            path = engines_home() / "weights" / name
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        assert set(meta["begun_from"]) == {f"{limb}-trunk.npz", f"{limb}-heads.npz"}
        for name in ("trunk.conv5.weight", "trunk.conv12.weight"):
            apart = np.abs(trained[name] - committed[name]).mean() / np.abs(committed[name]).mean()
            assert apart < 0.05


def test_a_start_share_is_a_mean_with_the_committed_scorer_and_may_be_tried_afterwards(
    films, tmp_path
):
    runs, out = tmp_path / "runs", tmp_path / "weights"
    recipe = replace(TINY, name="further", further=True, limbs=(Limb.FOOT,))
    for share in (0.0, 0.5):
        chosen = replace(recipe, limb_trunk=replace(TINY.limb_trunk, start_share=share))
        train_demo(films, films / "joints.csv", runs, out, chosen, lambda _: None)
    assert "--start-share 0.5" in load_compact(out / "foot-trunk.npz")[1]["command"]

    name, committed = "trunk.conv12.weight", committed_scorer(Limb.FOOT)
    (own, _), (half, _), (whole, heads) = (
        trained_scorer(runs / "trunk-foot", Limb.FOOT, share) for share in (0.0, 0.5, 1.0)
    )
    assert not np.array_equal(own[name], committed[name])
    np.testing.assert_allclose(half[name], (own[name] + committed[name]) / 2, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(whole[name], committed[name], rtol=1e-6)
    arrays = heads["foot_erosion"].arrays("foot_erosion")
    np.testing.assert_allclose(
        arrays["foot_erosion.dense1.weight"], committed["foot_erosion.dense1.weight"], rtol=1e-5
    )


def test_a_training_does_not_go_on_beside_other_committed_scorers(films, tmp_path, monkeypatch):
    recipe = replace(TINY, name="further", further=True, limbs=(Limb.FOOT,))
    given = films / "joints.csv", tmp_path / "runs", tmp_path / "weights", recipe, print
    train_demo(films, *given)
    monkeypatch.setattr(demo_training, "committed_sha256", lambda limb: {f"{limb}": "changed"})
    with pytest.raises(TrainingError, match="begun with other values of begun_from"):
        train_demo(films, *given)


def test_a_start_share_is_refused_where_no_training_begins_from_the_committed_scorers(
    films, tmp_path
):
    recipe = replace(TINY, limb_trunk=replace(TINY.limb_trunk, start_share=0.5))
    with pytest.raises(TrainingError, match="demo does not begin from the committed scorers"):
        train_demo(films, films / "joints.csv", tmp_path, tmp_path, recipe, print)


def trunk_h5(path):
    """ImageNet's layout with weights that are small enough for no feature to grow."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for i, (name, shape) in enumerate(trunk_shapes().items()):
            layer = f"layers/conv2d_{i // 2}" if i > 1 else "layers/conv2d"
            array = rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]) + 1)
            kernel = name.endswith("weight")
            file[f"{layer}/vars/{0 if kernel else 1}"] = (
                array.transpose(2, 3, 1, 0) if kernel else array * 0
            )
    return path


@pytest.mark.parametrize("name", ["heads", "further"])
def test_a_named_trunk_is_begun_from_or_left_as_it_is_and_export_takes_what_comes_of_it(
    films, tmp_path, name
):
    trunk = trunk_h5(tmp_path / "vgg16.h5")
    small = replace(
        TINY,
        name=name,
        further=True,
        limbs=(Limb.FOOT,),
        limb_trunk=None if name == "heads" else TINY.limb_trunk,
        head=replace(PAPER.head, epochs=1, batch=8) if name == "heads" else TINY.head,
    )
    out = tmp_path / "weights"
    train_demo(films, films / "joints.csv", tmp_path / "runs", out, small, lambda _: None, trunk)
    assert {path.name for path in out.iterdir()} == {
        "foot-trunk.npz", "foot-heads.npz", "foot-score.toml",
    }  # fmt: skip
    (outcome,) = export_recipes([out / "foot-score.toml"], tmp_path / "built")
    assert outcome.error is None
    recipe = (out / "foot-score.toml").read_text()
    assert ("mean = [103.939, 116.779, 123.68]" in recipe) == (name == "heads")
    meta = load_compact(out / "foot-heads.npz")[1]
    assert f"--recipe {name} --limb foot" in meta["command"]
    assert "--trunk vgg16.h5" in meta["command"]
    assert meta["recipe"]["trunk_sha256"] == hashlib.sha256(trunk.read_bytes()).hexdigest()


def test_a_trunk_is_refused_where_the_recipe_trains_its_own(films, tmp_path):
    with pytest.raises(TrainingError, match="recipe demo trains a trunk from nothing"):
        train_demo(
            films, films / "joints.csv", tmp_path, tmp_path, TINY, print, tmp_path / "vgg16.h5"
        )


def test_each_limb_goes_on_from_the_trunk_that_learnt_both(trained):
    folder, _, _ = trained
    shared = trunk_arrays(folder / "runs" / "trunk")
    for limb in Limb:
        mine = trunk_arrays(folder / "runs" / f"trunk-{limb}")
        for i in range(2):
            weight = f"trunk.conv{i}.weight"
            np.testing.assert_allclose(mine[weight], shared[weight], rtol=1e-4, atol=1e-6)
        assert not np.array_equal(mine["trunk.conv12.weight"], shared["trunk.conv12.weight"])


def test_the_first_line_is_the_estimate(trained):
    _, _, said = trained
    assert said[0].startswith("estimate for this machine: at most ")
    assert "recipe demo" in said[0]
    for step in ("drawing", "detectors", "masks", "trunks", "heads"):
        assert step in said[0]


def test_it_leaves_the_files_that_export_takes(trained, tmp_path):
    folder, _, _ = trained
    assert {path.stem for path in (folder / "weights").iterdir()} == FILES
    shutil.copytree(engines_home() / "cfg", tmp_path / "cfg")
    shutil.copytree(folder / "weights", tmp_path / "weights")
    for recipe in engines_home().glob("*.toml"):
        # The shipped exclusions fit the shipped trunks alone.
        text = re.sub(r'"weights/\w+-exclusion\.npz", ', "", recipe.read_text())
        (tmp_path / recipe.name).write_text(text)
    outcomes = list(export_recipes(sorted(tmp_path.glob("*.toml")), tmp_path / "built"))
    assert [outcome.error for outcome in outcomes] == [None] * 6
    passport = json.loads((tmp_path / "built" / "hand-detect.json").read_text())
    assert "real_films" in json.dumps(passport["training"])


def meta_of(folder, name):
    return load_compact(folder / "weights" / f"{name}.npz")[1]


def test_passports_name_every_real_film_that_a_model_learnt_from(trained, films):
    folder, _, _ = trained
    hands = {f"IMG{i:07d}.jpg" for i in range(1, 7) if not is_validation(f"IMG{i:07d}.jpg")}
    feet = {f"IMG{i:07d}.jpg" for i in range(7, 13) if not is_validation(f"IMG{i:07d}.jpg")}
    assert 0 < len(hands) < 6
    assert set(meta_of(folder, "hand-detect")["real_films"]) == hands
    # The foot's detector began with the hand's weights.
    assert set(meta_of(folder, "foot-detect")["real_films"]) == hands | feet
    assert set(meta_of(folder, "hand-mask")["real_films"]) <= hands
    for name, digest in meta_of(folder, "foot-detect")["real_films"].items():
        assert hashlib.sha256((films / name).read_bytes()).hexdigest() == digest
    # Trunk and heads learn from the sharp films that damage was painted on.
    for name in ("hand-trunk", "foot-trunk", "hand-heads", "foot-heads"):
        assert set(meta_of(folder, name)["real_films"]) == hands | feet


def test_every_file_says_command_recipe_figures_and_notice(trained):
    folder, figures, _ = trained
    for name in FILES:
        meta = meta_of(folder, name)
        assert meta["command"].startswith("sharpedge train demo --crop-px 32")
        assert meta["command"].endswith("--films FRACATLAS")
        assert meta["recipe"]["name"] == "demo"
        assert meta["figures"]
        assert meta["notice"] == "research use only, not a medical device"
    assert "found" in figures["hand-detect"]
    assert "phantom_balanced_exact" in figures["scorers"]["foot_erosion"]


def test_a_finished_command_changes_nothing_when_it_is_given_again(trained, films):
    folder, figures, _ = trained
    before = {path.name: path.read_bytes() for path in (folder / "weights").iterdir()}
    again = train_demo(
        films, films / "joints.csv", folder / "runs", folder / "weights", TINY, lambda _: None
    )
    assert again == figures
    assert {path.name: path.read_bytes() for path in (folder / "weights").iterdir()} == before


def test_a_runs_folder_of_other_values_is_refused(trained, films):
    folder, _, _ = trained
    with pytest.raises(TrainingError, match=r"begun with other values of crop_px, head .*--runs"):
        train_demo(
            films,
            films / "joints.csv",
            folder / "runs",
            folder / "weights",
            replace(TINY, crop_px=40, head=DemoHeads(epochs=3)),
            lambda _: None,
        )


def test_a_folder_without_films_is_an_error_before_anything_is_drawn(films, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="none of the 6 labelled hand films is there"):
        train_demo(
            tmp_path / "empty",
            films / "joints.csv",
            tmp_path / "runs",
            tmp_path / "weights",
            TINY,
            lambda _: None,
        )
    assert not (tmp_path / "runs" / "shelf").exists()


def test_without_films_the_papers_recipe_trains_on_phantoms_alone_and_says_so(films, tmp_path):
    small = replace(
        TINY,
        name="paper",
        hand_detector=replace(PAPER.hand_detector, samples=4, batch=2, size_px=96),
        foot_detector=replace(PAPER.foot_detector, samples=4, batch=2, size_px=96),
        mask=replace(PAPER.mask, batch=2, size=(64, 52), epochs=1),
        limb_trunk=None,
        head=replace(PAPER.head, epochs=2, batch=8),
    )
    said = []
    figures = train_demo(
        None, films / "joints.csv", tmp_path / "runs", tmp_path / "weights", small, said.append
    )
    assert "recipe paper" in said[0]
    assert "training on simulated films alone" in said[1]
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == FILES
    meta = meta_of(tmp_path, "hand-detect")
    assert meta["command"] == "sharpedge train demo --recipe paper --crop-px 32"
    assert meta["real_films"] == {}
    assert meta["attribution"] == "trained on simulated films alone"
    for task in ("hand_erosion", "foot_narrowing"):
        folds = figures["scorers"][task]
        assert folds["test"]["n"] > 0
        assert folds["validation"]["n"] > 0
