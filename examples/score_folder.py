"""Score a folder of films and write one CSV line for each joint.

    python examples/score_folder.py FOLDER > grades.csv

Research use only, not a medical device.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import sharpedge


def main(folder: Path) -> None:
    """Write the grades of every film of a folder to standard output."""
    engines = sharpedge.load_engines()
    table = csv.writer(sys.stdout)
    table.writerow(["file", "status", "reason", "limb", "side", "joint", "erosion", "narrowing"])
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png", ".dcm", ".tif", ".tiff", ".bmp"}:
            continue
        for limb in sharpedge.score(path, engines=engines):
            head = [limb.file, limb.status, limb.reason, limb.limb, limb.laterality]
            for joint in limb.joints:
                table.writerow([*head, joint.name, joint.erosion, joint.narrowing])
            if not limb.joints:
                table.writerow([*head, None, None, None])


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: score_folder.py FOLDER")
    main(Path(sys.argv[1]))
