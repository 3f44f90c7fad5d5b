"""INT8: which convolutions of a graph compute in 8 bits, and the graph that does so.

Layer: export; no code of its own.
"""
