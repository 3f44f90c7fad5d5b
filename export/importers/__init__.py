"""Importers: from trained weights of one format to an ONNX graph.

Layer: export; no code of its own. `export.importer_table` has a row for each format.
"""
