"""The bill of materials of an installation as a CycloneDX 1.6 document.

Layer: sharpedge; makes a document of `sharpedge.components`. Equal installations give equal bytes:
the document has no time, and its serial number is made of its contents.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from edge.model import DISCLAIMER
from edge.system.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharpedge.components import Library, ModelFile

_PURL = "pkg:pypi/"


def cyclonedx(libraries: Sequence[Library], models: Sequence[ModelFile]) -> dict[str, Any]:
    """Return the document; the first library is the program itself."""
    own, *others = libraries
    body = {
        "metadata": {
            "component": _library(own) | {"type": "application"},
            "properties": [{"name": f"{PROJECT}:notice", "value": DISCLAIMER}],
        },
        "components": [*map(_library, others), *map(_model, models)],
        "dependencies": [
            {
                "ref": _reference(one),
                "dependsOn": sorted(
                    [_reference(other) for other in libraries if other.name in one.requires]
                    + ([model.path for model in models] if one is own else [])
                ),
            }
            for one in libraries
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **body,
    }


def _reference(library: Library) -> str:
    return f"{_PURL}{library.name}@{library.version}"


def _library(library: Library) -> dict[str, Any]:
    licence = (
        {"expression": library.licence}
        if library.expression
        else {"license": {"name": library.licence}}
    )
    return {
        "type": "library",
        "bom-ref": _reference(library),
        "name": library.name,
        "version": library.version,
        "purl": _reference(library),
        "licenses": [licence],
    }


def _model(model: ModelFile) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": model.path,
        "name": model.path,
        "version": model.sha256[:16],
        "description": model.origin,
        "hashes": [{"alg": "SHA-256", "content": model.sha256}],
        "licenses": [{"expression": model.licence}],
        "properties": [
            {"name": f"{PROJECT}:bytes", "value": str(model.bytes)},
            *({"name": f"{PROJECT}:engine", "value": name} for name in model.engines),
        ],
    }
