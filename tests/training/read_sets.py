"""Films without a content, and what the check of a data set says."""

import zlib

import cv2
import numpy as np
from hypothesis import HealthCheck, settings

from training.datasets.check import check_dataset
from training.datasets.reading import read_dataset

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def codes(folder, layout=None):
    return {fault.code for fault in checked(folder, layout).faults if fault.stops}


def checked(folder, layout=None):
    return check_dataset(read_dataset(folder, layout), lambda _done, _all: None)


def blank(path, size=(400, 500), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = (seed, zlib.crc32(path.name.encode()))
    pixels = np.random.default_rng(seed).integers(0, 255, size[::-1], np.uint8)
    cv2.imwrite(str(path), pixels)


VOC = (
    "<annotation><filename>x.jpg</filename><size><width>400</width><height>500</height></size>"
    "<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>10</ymin><xmax>60</xmax>"
    "<ymax>50</ymax></bndbox></object><object><name>MCP</name><bndbox><xmin>100</xmin>"
    "<ymin>100</ymin><xmax>140</xmax><ymax>150</ymax></bndbox></object></annotation>"
)
