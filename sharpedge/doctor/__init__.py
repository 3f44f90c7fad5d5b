"""Checks of an installed appliance: what is broken, its cause, its fix.

Layer: sharpedge; a package of checks, each a function from `Box` to findings.
"""
