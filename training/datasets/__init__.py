"""Films with known truth, as other people keep them: one module a layout, one type for all.

Room: training/datasets. Imports no torch.
"""

from training.datasets.reading import read_dataset
from training.datasets.truth import Code, DataSet, Fault, FilmTruth, JointTruth, Layout

__all__ = ["Code", "DataSet", "Fault", "FilmTruth", "JointTruth", "Layout", "read_dataset"]
