from pathlib import Path

from edge.model import DISCLAIMER
from edge.system.paths import engines_home
from export.importers.compact import load_compact
from training.run.model_cards import cards_page, code_hash

ROOT = Path(__file__).resolve().parents[3]


def test_cards_in_the_documentation_are_those_of_the_committed_models():
    written = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert written == cards_page(engines_home() / "weights"), "run make docs"


def test_every_model_has_a_card_that_says_where_it_fails():
    page = cards_page(engines_home() / "weights")
    for path in (engines_home() / "weights").glob("*.npz"):
        card = page.split(f"## {path.stem}\n")[1].split("\n## ")[0]
        _, meta = load_compact(path)
        for part in ("| Fails |", "| Licence |", DISCLAIMER.capitalize(), meta["software"]):
            assert part in card


def test_hash_of_the_code_changes_with_any_file(tmp_path):
    for folder in ("training", "phantom", "edge/pipeline"):
        (tmp_path / folder).mkdir(parents=True)
    before = code_hash(tmp_path)
    (tmp_path / "edge/pipeline/new.py").write_text("x = 1\n")
    with_file = code_hash(tmp_path)
    (tmp_path / "edge/pipeline/new.py").write_text("x = 2\n")
    assert len({before, with_file, code_hash(tmp_path)}) == 3
