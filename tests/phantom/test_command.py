import pytest

from phantom import command


@pytest.mark.parametrize(("layout", "held"), [("jsonl", 1), ("ra2", 0)])
def test_no_film_is_mirrored_where_the_layout_cannot_say_so(monkeypatch, tmp_path, layout, held):
    monkeypatch.setattr(command, "_mirrored_films", lambda *_: frozenset({(1, 2)}))
    assert command.write_patients(tmp_path, 1, 5, layout=layout).held == held
