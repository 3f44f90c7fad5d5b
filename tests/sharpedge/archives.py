"""Films of the stand-in scorer as an archive, and the settings that score them."""

from __future__ import annotations

from stand_in import film_bytes

from edge.worker.messages import Limits
from sharpedge.archive.crew import CrewSettings


def settings(**given):
    limits = given.pop("limits", Limits(60, 60, 60))
    return CrewSettings(factory="stand_in:build", limits=limits, **given)


def films(folder, *words, padding=400):
    """Write a film for each word; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, word in enumerate(words):
        paths.append(folder / f"{number:05d}.jpg")
        paths[-1].write_bytes(film_bytes(f"{word} n={number}", padding=padding))
    return paths
