"""Scoring: decoding and method together, from the bytes of a film to its results.

Layer: above imaging, engine and pipeline; knows no journal, no broker and no worker process.
"""
