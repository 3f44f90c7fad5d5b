"""FP16: which nodes of a graph keep FP32, and the FP16-typed sibling of a graph.

Layer: export; no code of its own.
"""
