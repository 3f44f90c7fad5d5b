"""Verification: checks of an imported graph before it becomes an engine.

Layer: export; no code of its own.
"""
