"""Errors of the package `export`.

Layer: export; imports nothing of ours.
"""

from __future__ import annotations


class ExportError(Exception):
    """A model cannot be exported.

    ``where`` names the file, section and line, layer, or key; ``fix`` states what to do.
    """

    def __init__(self, message: str, *, where: str, fix: str) -> None:
        super().__init__(f"{where}: {message} (fix: {fix})")
        self.message = message
        self.where = where
        self.fix = fix


class CfgError(ExportError):
    """A Darknet ``.cfg`` cannot be used."""


class WeightsError(ExportError):
    """A weights file, or one array of it, does not fit its network."""


class LayerError(ExportError):
    """A layer or operator is not known here, or has a setting that is not known."""


class ContractError(ExportError):
    """A graph does not have the inputs and outputs that its role asks for."""


class RecipeError(ExportError):
    """A recipe cannot be read, or names what does not exist."""


class BuildError(ExportError):
    """An engine cannot be built here, or the builder refused it."""
