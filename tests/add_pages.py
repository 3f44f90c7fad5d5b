"""Follows a page of ``docs/``: its modules become files, its rows become entries of a table."""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
_BLOCK = re.compile(
    r"^```(?:python)?\n# (?P<head>.*?)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)


class Page:
    """Code blocks of one page by their first line, which is a comment.

    The page's modules are importable while the test runs, under names of their own: the packages
    that the page puts them into stay as they are.
    """

    def __init__(self, name, folder, monkeypatch):
        self._monkeypatch = monkeypatch
        self._blocks = [(m["head"], m["code"]) for m in _BLOCK.finditer((DOCS / name).read_text())]
        paths = [head for head, _ in self._blocks if re.fullmatch(r"[\w/]+\.py", head)]
        self._names = {
            path.removesuffix(".py").replace("/", "."): path.removesuffix(".py").replace("/", "_")
            for path in paths
        }
        for path in paths:
            module = self._names[path.removesuffix(".py").replace("/", ".")]
            (folder / f"{module}.py").write_text(self.code(path))
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(folder)

    def code(self, head, number=0):
        """The block with this first line, or a later one of them."""
        found = [code for it, code in self._blocks if it == head]
        return self._renamed(found[number])

    def _renamed(self, code):
        for name, own in self._names.items():
            code = code.replace(name, own)
        return code

    def add_row(self, module, table, number=0):
        """Put the rows of the block ``# in TABLE, FILE`` into the table of ``module``."""
        file = str(Path(module.__file__).relative_to(DOCS.parent))
        rows = eval("{" + self.code(f"in {table}, {file}", number) + "}", vars(module))  # noqa: S307 - our own page
        for key, row in rows.items():
            self._monkeypatch.setitem(getattr(module, table), key, row)
        return rows
