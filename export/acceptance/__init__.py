"""Acceptance: whether a built engine decides as the FP32 graph does, and its latency.

Layer: export; no code of its own.
"""
