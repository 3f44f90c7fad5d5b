"""A film for the drop folder, and the names of those that were taken."""

from __future__ import annotations

import os

from stand_in import film_bytes

WHOLE = film_bytes("x")


def names(films):
    return sorted(os.fsdecode(film.path).rpartition("/")[2] for film in films)
