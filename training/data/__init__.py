"""Labelled films and where their joints lie."""
