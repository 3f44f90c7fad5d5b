"""What forbids a grade, learnt from crops that differ plainly."""

import csv
import json

import numpy as np
import pytest

from edge.anatomy import Limb
from edge.pipeline.plausibility import EXCLUSIONS
from export.importers.compact import load_compact, save_compact
from export.importers.vgg import exclusion_shapes, trunk_shapes
from training.errors import TrainingError

torch = pytest.importorskip("torch")
from training.synthetic.exclusion_crops import KINDS, read_exclusions  # noqa: E402
from training.synthetic.phantom_films import PhantomFilms, draw_phantom_films  # noqa: E402
from training.tasks import exclusions  # noqa: E402
from training.tasks.exclusions import ExclusionRecipe, train_exclusions  # noqa: E402

pytestmark = pytest.mark.training

COLUMNS = (
    "film", "limb", "limb_no", "view", "thumb_or_hallux_side", "immature", "issues", "joint",
    "x_px", "y_px",
)  # fmt: skip
TINY = ExclusionRecipe(
    crop_px=32, views=1, covered_views=1, pieces=1, simulated=20, framed_films=1, paintings=1
)


def data(count=2_000, seed=0):
    """Features in which each exclusion has a direction of its own."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((count, 3)) < 0.2).astype(int)
    features = rng.standard_normal((count, 512)).astype(np.float32)
    features[:, :3] += 6 * targets
    films = np.array([f"film{i % 40}" for i in range(count)])
    plain = targets.sum(1) == 0
    return exclusions._Examples(features, targets, films, plain, np.zeros(count, bool))


def test_each_exclusion_is_found_by_a_layer_that_has_not_seen_the_film():
    examples = data()
    unseen = exclusions._out_of_fold(examples, 1)
    for column in range(3):
        known = examples.targets[:, column] == 1
        assert (unseen[known, column] > 0).mean() > 0.9
        assert (unseen[~known, column] > 0).mean() < 0.05


def test_an_unknown_target_teaches_nothing():
    examples = data()
    odd = examples.targets.copy()
    odd[::2, 1] = exclusions.UNKNOWN
    features = examples.features.copy()
    features[::2, 1] = 1e3
    learnt = exclusions._fit(
        exclusions._Examples(features, odd, examples.films, examples.plain, examples.views),
        np.arange(len(odd)) % 2 == 1,
    )
    whole = exclusions._weights(odd)
    assert (whole[::2, 1] == 0).all()
    assert whole[:, 1].sum() == pytest.approx(1)
    assert np.isfinite(learnt.weight).all()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Labelled films drawn for the purpose; every third is said to be a child's."""
    import cv2

    folder = tmp_path_factory.mktemp("films")
    draw_phantom_films(folder / "drawn", Limb.FOOT, 6, seed=5, longest_px=900)
    rows, odd = [], []
    for number, film in enumerate(PhantomFilms(folder / "drawn", Limb.FOOT).films):
        name = f"IMG{number:07d}.jpg"
        cv2.imwrite(str(folder / name), film.pixels)
        for joint, (x, y) in zip(film.names, film.points, strict=True):
            rows.append((name, "foot", 0, "ap", "left", int(number % 3 == 0), "", joint,
                         round(x, 1), round(y, 1)))  # fmt: skip
            if number == 1:
                odd.append((name, "foot", joint, round(x, 1), round(y, 1), "covered"))
    for path, columns, lines in (
        ("joints.csv", COLUMNS, rows),
        ("exclusions.csv", ("film", "limb", "joint", "x_px", "y_px", "kind"), odd),
    ):
        with (folder / path).open("w", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(columns)
            out.writerows(lines)
    return folder


def test_the_command_leaves_the_arrays_that_export_takes_and_goes_on_from_what_it_made(
    films, tmp_path
):
    rng = np.random.default_rng(0)
    trunk = tmp_path / "foot-trunk.npz"
    save_compact(
        trunk,
        {
            name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) + 1)).astype(np.float32)
            for name, shape in trunk_shapes().items()
        },
        {},
    )
    runs, out = tmp_path / "runs", tmp_path / "out"
    out.mkdir()

    def run(trunk=trunk):
        return train_exclusions(
            films, films, films / "joints.csv", runs, out, Limb.FOOT, TINY, print, trunk
        )

    figures = run()
    arrays, meta = load_compact(out / "foot-exclusion.npz")
    assert {name: array.shape for name, array in arrays.items()} == exclusion_shapes(Limb.FOOT)
    assert meta["figures"] == json.loads(json.dumps(figures))
    assert meta["notice"] == "research use only, not a medical device"
    assert set(EXCLUSIONS) <= set(figures)
    assert figures["growth_plates"]["limbs"] == 2
    made = {path: path.stat().st_mtime_ns for path in runs.glob("*.np?")}
    assert run() == figures
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*.np?")} == made

    save_compact(trunk, {n: a * 2 for n, a in load_compact(trunk)[0].items()}, {})
    run()
    (crops,) = runs.glob("crops.npz")
    assert crops.stat().st_mtime_ns == made[crops]
    assert len(list(runs.glob("features-*.npy"))) == 2

    with pytest.raises(TrainingError, match="begun with other values of limb"):
        train_exclusions(
            films, films, films / "joints.csv", runs, out, Limb.HAND, TINY, print, trunk
        )


def test_a_kind_that_is_not_known_is_named(tmp_path):
    (tmp_path / "exclusions.csv").write_text(
        "film,limb,joint,x_px,y_px,kind\na.jpg,foot,MTP2,1,2,strange\n"
    )
    with pytest.raises(TrainingError, match=r"a\.jpg MTP2 is 'strange'.*covered"):
        read_exclusions(tmp_path / "joints.csv")


def test_the_shipped_table_names_joints_of_the_shipped_labels():
    from training.datasets.labelled_films import SHIPPED_LABELS

    places = set()
    for table in (SHIPPED_LABELS, SHIPPED_LABELS.with_name("proposed.csv")):
        with table.open(newline="") as handle:
            places |= {
                (row["film"], row["joint"], (float(row["x_px"]), float(row["y_px"])))
                for row in csv.DictReader(handle)
            }
    found = read_exclusions(SHIPPED_LABELS)
    assert set(found) <= places
    assert set(found.values()) == set(KINDS)


@pytest.mark.parametrize("adults", [99, 139, 162, 201])
def test_no_more_than_one_adult_in_a_hundred_is_held_for_growth_plates(adults):
    rng = np.random.default_rng(adults)
    limbs = adults + 20
    targets = np.zeros((limbs, 3), int)
    targets[adults:, 1] = 1
    names = np.array([f"IMG{i:03d}" for i in range(limbs)] + ["made-0"])
    odds = rng.normal(size=(limbs + 1, 3))
    odds[adults:, 1] += 3
    found = exclusions._Examples(
        features=np.zeros((limbs + 1, 1)),
        targets=np.vstack([targets, np.zeros((1, 3), int)]),
        films=names,
        plain=np.arange(limbs + 1) < adults,
        views=np.zeros(limbs + 1, bool),
    )
    level = exclusions._levels(found, odds)[1]
    assert (odds[:adults, 1] > level).sum() <= adults * exclusions.FALSE_LIMBS
