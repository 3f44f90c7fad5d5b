"""Acceptance: whether a built engine decides as the FP32 graph does, and how fast it is."""
