"""The words of the payloads' codes and the facts of the score, for subscribers.

Layer: contract; names of the vocabulary, so that a subscriber needs no other package of ours.
"""

from __future__ import annotations

from edge.anatomy import LIMBS, NARROWING_MAXIMUM, Limb, has_narrowing
from edge.errors import NULL_REASONS, REASONS, SPACE_REASONS, NullReason, Reason, SpaceReason
from edge.model import (
    DISCLAIMER,
    PARTIAL_SVH_NAME,
    Identifiers,
    JointScore,
    JointSpace,
    Laterality,
    LateralitySource,
    LimbResult,
    PixelSize,
    PixelSource,
    Record,
    SpacePart,
    Status,
    Subtotal,
    Subtotals,
    Versions,
)
from edge.totals import add, limb_subtotals

__all__ = [
    "DISCLAIMER",
    "LIMBS",
    "NARROWING_MAXIMUM",
    "NULL_REASONS",
    "PARTIAL_SVH_NAME",
    "REASONS",
    "SPACE_REASONS",
    "Identifiers",
    "JointScore",
    "JointSpace",
    "Laterality",
    "LateralitySource",
    "Limb",
    "LimbResult",
    "NullReason",
    "PixelSize",
    "PixelSource",
    "Reason",
    "Record",
    "SpacePart",
    "SpaceReason",
    "Status",
    "Subtotal",
    "Subtotals",
    "Versions",
    "add",
    "has_narrowing",
    "limb_subtotals",
]
