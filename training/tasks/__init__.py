"""Models from a researcher's own data set: a folder in, recipes and weights for export out.

Room: training.
"""
