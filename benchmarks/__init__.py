"""Latency of the appliance: stage by stage, and from file closed to message received.

Run by ``sharpedge bench``; results lie in ``benchmarks/results``.
"""
