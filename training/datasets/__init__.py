"""Data sets with known truth: one module for each layout, one type for all.

Layer: training.datasets; imports no torch. `readers` is the table of the layouts, `reading` reads a
folder by it, `truth` holds the types, `check` says whether a folder is fit to train on.
"""
