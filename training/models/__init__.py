"""The networks as torch modules that export and import the arrays of `export.importers`.

Layer: training.models; needs torch, reads and writes no files.
"""
