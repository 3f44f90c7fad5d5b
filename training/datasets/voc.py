"""Boxes from labelImg: Pascal VOC, one XML file a film.

Layer: training.datasets; a document type is refused before anything of it is expanded, so no entity
can grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from training.datasets.boxes import Drawing, DrawnBox
from training.datasets.files import number, shown, walk
from training.datasets.truth import Code, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options

LIMIT_BYTES = 4 << 20
_DEEPEST = 50
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def parse_xml(data: bytes) -> Element:
    """Tree of a small XML document. Raises ValueError for any that is not harmless XML."""
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"{len(data)} bytes are no labelImg file")
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"elements lie over {_DEEPEST} deep in one another")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type (entities): labelImg writes none")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"no XML: {error}") from error
    return builder.close()


def voc_files(folder: Path) -> list[Path]:
    """XML files of a folder."""
    return [path for path in walk(folder) if path.suffix.lower() == ".xml"]


def read_voc(
    files: Sequence[Path],
    films: Films,
    options: Options,  # noqa: ARG001 - the signature of every reader
    faults: list[Fault],
) -> list[Drawing]:
    """Boxes of every labelImg file; what cannot be used is a fault."""
    folder = films.folder
    drawings = []
    for path in files:
        where = shown(path, folder)
        try:
            root = parse_xml(path.read_bytes())
        except (ValueError, OSError) as error:
            faults.append(Fault(Code.NOT_UNDERSTOOD, where, str(error)))
            continue
        if root.tag != "annotation":
            faults.append(
                Fault(Code.NOT_UNDERSTOOD, where, f"<{root.tag[:40]}> is no <annotation>")
            )
            continue
        # labelImg keeps the stem; its <filename> goes stale when films are renamed.
        film = films.named(path.with_suffix("").name) or films.named(
            root.findtext("filename") or ""
        )
        if film is None:
            faults.append(Fault(Code.FILM_MISSING, where, "no film has its name"))
            continue
        boxes = []
        for index, item in enumerate(root.iter("object")):
            at = f"{where} object {index + 1}"
            sides = [number(item.findtext(f"bndbox/{side}")) for side in _SIDES]
            known = [side for side in sides if side is not None]
            if len(known) != 4:
                faults.append(
                    Fault(Code.IMPOSSIBLE_BOX, at, f"{', '.join(_SIDES)} are not four numbers")
                )
                continue
            boxes.append(
                DrawnBox(
                    (item.findtext("name") or "").strip(),
                    (known[0], known[1], known[2], known[3]),
                    at,
                )
            )
        drawings.append(Drawing(film, tuple(boxes), _size(root), where=where))
    return drawings


def _size(root: Element) -> tuple[int, int] | None:
    width, height = (number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    if not width or not height or min(width, height) < 1:
        return None
    return round(width), round(height)
