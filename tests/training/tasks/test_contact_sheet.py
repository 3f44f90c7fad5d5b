"""Contact sheets of outlines, and the list that a person marked."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from training.errors import TrainingError  # noqa: E402
from training.tasks.contact_sheet import Candidate, rejected, write_list, write_sheets  # noqa: E402

pytestmark = pytest.mark.training


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
