"""Keras models saved whole: ``.h5`` of Keras 2 and 3, and ``.keras``, read without Keras.

Layer: export; `weights` reads the file with h5py.
"""

from export.importers.keras.graph import add_keras_model, keras_to_onnx, output_names
from export.importers.keras.weights import SavedModel, read_keras

__all__ = ["SavedModel", "add_keras_model", "keras_to_onnx", "output_names", "read_keras"]
