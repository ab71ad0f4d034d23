"""Does delineation learnt on simulated patients carry over to real scans?

    python Testing/benchmarks/carry_over.py [NAME=BUNDLE ...] [--picture FILE.png]

Segments every real image of a head by itself with each model (that shipped, if none is named)
and prints what can be told
without a manual truth: volumes beside those of healthy adults, how even left and right are,
whether the results of the same head from different sequences agree (Dice), and the tumour that
was found where none is. With --picture also the outlines. Needs the real scans of the test data.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from MRISynthLib.bundles import load_bundle
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing import register
from MRISynthLib.preprocessing.resampling import index_map, resample
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.segmenter import Segmenter

DATA = Path(
    os.environ.get("MRISYNTH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)

HEADS: dict[str, dict[str, str]] = {
    "mr_adi": {"T1w": "mr_adi/T1w.nii.gz", "T2w": "mr_adi/T2w.nii.gz"},
    "openms patient01": {
        "T1w": "mr_openms/patient01_study1/T1W.nii.gz",
        "T2w": "mr_openms/patient01_study1/T2W.nii.gz",
        "FLAIR": "mr_openms/patient01_study1/FLAIR.nii.gz",
    },
    "openms patient03": {
        "T1w": "mr_openms/patient03_study2/T1W.nii.gz",
        "T2w": "mr_openms/patient03_study2/T2W.nii.gz",
        "FLAIR": "mr_openms/patient03_study2/FLAIR.nii.gz",
    },
}
"""None of these persons has a tumour of the nasopharynx; the openms scans are defaced."""

NORMAL_ML = {"Brain": (950.0, 1600.0), "Brainstem": (18.0, 38.0), "Eye": (5.0, 9.5)}
"""Adults: brain Luders et al., NeuroImage 15:8, 2002; brainstem with midbrain, pons and medulla
Xiao et al., Front Neurosci 2015; globe Heymsfield et al., Am J Physiol 2016 and axial lengths of
22 to 26 mm. Field-of-view cuts make the openms brains smaller at most by their lowest slices."""

COLOURS = {
    "Brain": (255, 220, 0),
    "Brainstem": (255, 90, 0),
    "Eye_L": (0, 220, 255),
    "Eye_R": (0, 255, 120),
    "GTVp": (255, 0, 90),
}
STRUCTURES = tuple(COLOURS)


@dataclass(frozen=True)
class Found:
    """What one model found in one image: volumes (ml) and the evenness of the eyes (0-1)."""

    model: str
    head: str
    sequence: str
    volumes_ml: dict[str, float]
    eyes_even: float


def volumes_ml(masks: dict[str, np.ndarray], volume: Volume) -> dict[str, float]:
    """Volume of every structure."""
    voxel = abs(float(np.linalg.det(volume.index_to_world[:3, :3]))) / 1000.0
    return {name: float(mask.sum()) * voxel for name, mask in masks.items()}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks; not a number where both are empty."""
    total = int(a.sum() + b.sum())
    return 2.0 * int((a & b).sum()) / total if total else float("nan")


def carried(mask: np.ndarray, source: Volume, target: Volume, matrix: np.ndarray) -> np.ndarray:
    """A mask of ``source`` on the grid of ``target``, through their registration."""
    through = index_map(target.index_to_world, source.index_to_world, matrix)
    return resample(mask.astype(np.float32), through, target.shape) > 0.5


def judge(name: str, value: float) -> str:
    """A mark where a volume is not that of an adult."""
    key = "Eye" if name.startswith("Eye") else name
    if key not in NORMAL_ML:
        return ""
    low, high = NORMAL_ML[key]
    return "" if low <= value <= high else " (!)"


def outlines(volume: Volume, masks: dict[str, np.ndarray], slices: int = 5) -> np.ndarray:
    """Axial slices with the outlines of all structures, side by side: (rows, columns, 3)."""
    where = np.flatnonzero(np.any([m.any((1, 2)) for m in masks.values()], axis=0))
    if len(where) == 0:
        where = np.arange(volume.shape[0])
    top = float(np.percentile(volume.voxels, 99.5)) or 1.0
    tiles = []
    for index in np.linspace(where[0], where[-1], slices + 2)[1:-1].round().astype(int):
        grey = (255 * np.clip(volume.voxels[index] / top, 0, 1)).astype(np.uint8)
        tile = np.stack([grey] * 3, -1)
        for name, mask in masks.items():
            edge = mask[index] & ~ndimage.binary_erosion(mask[index])
            tile[edge] = COLOURS[name]
        tiles.append(_fitted(tile))
    return np.concatenate(tiles, 1)


def _fitted(tile: np.ndarray, size: int = 320) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(tile).resize((size, size)))


def in_axial_order(path: Path, sequence: str) -> Volume:
    """The scan with slices from the feet up, rows to the back, columns to the left."""
    volume = load_one(path)
    order = np.argmax(np.abs(volume.index_to_world[:3, :3]), axis=0)
    axes = [int(np.flatnonzero(order == axis)[0]) for axis in range(3)]
    voxels = volume.voxels.transpose([2 - a for a in axes][::-1])
    matrix = volume.index_to_world[:, [*axes, 3]].copy()
    for axis in range(3):
        if matrix[axis, axis] < 0:
            matrix[:3, 3] += matrix[:3, axis] * (voxels.shape[2 - axis] - 1)
            matrix[:3, axis] *= -1
            voxels = np.flip(voxels, 2 - axis)
    return volume.replace(
        voxels=np.ascontiguousarray(voxels), index_to_world=matrix, sequence=sequence
    )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="NAME=BUNDLE")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (DATA / "mr_adi").is_dir():
        print("The real scans are not here: skipped.")
        return 0
    models = [text.partition("=")[::2] for text in arguments.models] or [("shipped", None)]
    segmenters = {
        name: Segmenter(load_bundle(path, "segmentation"), "cpu") for name, path in models
    }
    found, agreement, pictures = [], [], []
    for head, files in HEADS.items():
        images = {key: in_axial_order(DATA / file, key) for key, file in files.items()}
        pairs = list(itertools.combinations(images, 2))
        moves = {pair: register(images[pair[1]], images[pair[0]]).matrix for pair in pairs}
        for model, segmenter in segmenters.items():
            masks = {}
            for sequence, image in images.items():
                masks[sequence] = segmenter.segment([image], list(STRUCTURES)).segmentation.masks
                volumes = volumes_ml(masks[sequence], image)
                eyes = sorted((volumes["Eye_L"], volumes["Eye_R"]))
                found.append(Found(model, head, sequence, volumes, eyes[0] / max(eyes[1], 1e-6)))
                pictures.append(outlines(image, masks[sequence]))
            for (first, second), matrix in moves.items():
                for name in STRUCTURES[:-1]:
                    moved = carried(masks[second][name], images[second], images[first], matrix)
                    agreement.append(
                        (model, head, f"{first}/{second}", name, dice(masks[first][name], moved))
                    )
    _print(found, agreement, list(segmenters))
    if arguments.json:
        record = {"found": [asdict(one) for one in found], "agreement": agreement}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")
    if arguments.picture:
        from PIL import Image

        Image.fromarray(np.concatenate(pictures, 0)).save(arguments.picture)
    return 0


def _print(found: list[Found], agreement: list[tuple], models: list[str]) -> None:
    print("volumes in ml; (!) marks what is not an adult's; GTVp should be 0")
    for one in found:
        values = ", ".join(
            f"{name} {value:.1f}{judge(name, value)}" for name, value in one.volumes_ml.items()
        )
        print(
            f"  {one.model:12s} {one.head:17s} {one.sequence:6s} {values}, "
            f"smaller eye / larger {one.eyes_even:.2f}"
        )
    print("agreement of the results from two sequences of one head (Dice)")
    for model in models:
        for name in STRUCTURES[:-1]:
            rows = [row for row in agreement if row[0] == model and row[3] == name]
            each = ", ".join(f"{row[1]} {row[2]} {row[4]:.2f}" for row in rows)
            mean = np.nanmean([row[4] for row in rows])
            print(f"  {model:12s} {name:10s} mean {mean:.3f} ({each})")


if __name__ == "__main__":
    sys.exit(main())
