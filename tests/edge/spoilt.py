"""Changes that spoil an engine's output in place."""

from __future__ import annotations


def set_all(value):
    def change(values):
        values[...] = value

    return change


def set_one(value):
    def change(values):
        values.reshape(-1)[-1] = value

    return change
