"""Engines: passports, installed engines, loader and back ends.

Layer: engine; the only package of ``edge`` that knows what runs a network.
"""
