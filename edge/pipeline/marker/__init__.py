"""Side markers: finds an L or R that stands on a film, and says whether it is mirrored.

Layer: pipeline; arrays and the package's own weights.
"""
