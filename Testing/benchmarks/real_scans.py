"""How models trained on simulated patients do on real scans, which nothing here learns from.

    python Testing/benchmarks/real_scans.py [DATA_FOLDER] [--model NAME_OR_FOLDER ...]
        [--head NAME ...] [--linear] [--json FILE]

For each task it prints SSIM, and PSNR after the best gain and offset, of every model beside
copying and beside the cubic remap that is fitted on the truth; whole head, brain and face apart.
The brain is what the shipped segmentation model finds in all images of the head (outlines can be
seen with carry_over.py --picture); the face is what lies below the upper edge of the eyes and in
front of the brain stem without being brain. The openms scans are defaced, and those in MNI space
have no skull at all. Skips where the scans are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from carry_over import in_axial_order
from scipy import ndimage

from MRISynthLib.bundles import load_bundle
from MRISynthLib.evaluation.real import BEST, Pair, evaluate_pair
from MRISynthLib.evaluation.tasks import Task, task_name
from MRISynthLib.preprocessing.background import body_mask
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.segmenter import Segmenter

DATA = Path(
    os.environ.get("MRISYNTH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)

BRAIN_RIM_MM = 3.0
"""The face keeps this far from what was found to be brain."""

EYE_MM = 14.0
"""From the middle of an eye to its upper edge and what belongs to it."""


@dataclass(frozen=True)
class Head:
    """One person's images and what is made of them.

    ``prompts``: target -> what a user who knows the protocol would write; it is asked for without
    words too. ``skull``: whether there is anything but brain.
    """

    name: str
    folder: str
    files: dict[str, str]
    tasks: tuple[Task, ...]
    prompts: dict[str, str]
    skull: bool = True


_OPENMS = {"T1w": "T1W.nii.gz", "T2w": "T2W.nii.gz", "FLAIR": "FLAIR.nii.gz"}
_FLAIR = (("T1w", "T2w"), "FLAIR")
HEADS = (
    Head(
        "mr_adi",
        "mr_adi",
        {"T1w": "T1w.nii.gz", "T2w": "T2w.nii.gz"},
        ((("T1w",), "T2w"), (("T2w",), "T1w")),
        {"T1w": "MPRAGE, 3 T", "T2w": "fast spin echo, 3 T"},
    ),
    Head(
        "mr_openms_mni patient07",
        "mr_openms_mni/patient07",
        {name: f"{name}.nii.gz" for name in ("T1w", "T2w", "FLAIR", "CE-T1w")},
        ((("T1w", "T2w"), "CE-T1w"), (("T1w", "T2w", "FLAIR"), "CE-T1w")),
        {},
        skull=False,
    ),
    Head(
        "mr_openms patient01",
        "mr_openms/patient01_study1",
        _OPENMS,
        (_FLAIR,),
        {"FLAIR": "fat-suppressed"},
    ),
    Head(
        "mr_openms patient03",
        "mr_openms/patient03_study2",
        _OPENMS,
        (_FLAIR,),
        {"FLAIR": "fat-suppressed"},
    ),
)


def regions_of(images: list[Volume]) -> dict[str, Volume]:
    """Brain and face on the grid of the first image, whose axes run along those of the body."""
    reference = images[0]
    names = ["Brain", "Brainstem", "Eye_L", "Eye_R"]
    segmenter = Segmenter(load_bundle(None, "segmentation"), "cpu")
    masks = segmenter.segment(images, names).segmentation.masks
    brain = ndimage.binary_fill_holes(masks["Brain"])
    reach = [max(1, round(BRAIN_RIM_MM / step)) for step in reference.spacing[::-1]]
    near = ndimage.binary_dilation(brain, np.ones([2 * n + 1 for n in reach], bool))
    stem = _middle(masks["Brainstem"], reference)
    eyes = _middle(masks["Eye_L"] | masks["Eye_R"], reference)
    slices, rows, _ = reference.shape
    height = reference.origin[2] + reference.index_to_world[2, 2] * np.arange(slices)
    depth = reference.origin[1] + reference.index_to_world[1, 1] * np.arange(rows)
    place = (height < eyes[2] + EYE_MM)[:, None, None] & (depth < stem[1])[None, :, None]
    face = body_mask(reference.voxels, reference.spacing) & place & ~near
    return {
        name: reference.replace(voxels=mask.astype(np.float32), sequence=None, name=name)
        for name, mask in (("brain", brain), ("face", face))
        if mask.any()
    }


def _middle(mask: np.ndarray, volume: Volume) -> np.ndarray:
    """LPS position of a mask's centre of mass."""
    index = np.argwhere(mask).mean(0)[::-1]
    return (volume.index_to_world @ (*index, 1))[:3]


def measure(
    head: Head, folder: Path, bundles: list, linear: bool
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Task (and what was said of the target) -> method -> region -> figures."""
    images = {
        name: in_axial_order(folder / head.folder / file, name) for name, file in head.files.items()
    }
    regions = regions_of(list(images.values())) if head.skull else {}
    found = {}
    for inputs, target in head.tasks:
        for prompt in dict.fromkeys(("", head.prompts.get(target, ""))):
            pair = Pair(tuple(images[name] for name in inputs), images[target], regions, prompt)
            said = f' "{prompt}"' if prompt else ""
            found[task_name((inputs, target)) + said] = evaluate_pair(
                bundles, pair, device="auto", linear=linear
            )
    return found


def show(head: str, tasks: dict) -> None:
    """Print one head's figures."""
    for task, methods in tasks.items():
        print(f"\n{head}, {task}")
        names = list(next(iter(methods.values())))
        columns = "".join(f"{'whole head' if name == 'body' else name:>22s}" for name in names)
        print(f"  {'SSIM / dB after best gain and offset':42s}{columns}")
        for method, regions in methods.items():
            cells = (f"{regions[n]['SSIM']:.3f} / {regions[n][BEST]:.2f}" for n in names)
            print(f"  {method:42s}" + "".join(f"{cell:>22s}" for cell in cells))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=DATA, metavar="DATA_FOLDER")
    parser.add_argument("--model", action="append", metavar="NAME_OR_FOLDER")
    parser.add_argument("--head", action="append", choices=[head.name for head in HEADS])
    parser.add_argument("--linear", action="store_true", help="also linear regression; slow")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / HEADS[0].folder).is_dir():
        print("The real scans are not here: skipped.")
        return 0
    bundles = [load_bundle(name, "synthesis") for name in arguments.model or [None]]
    found = {}
    for head in HEADS:
        if not arguments.head or head.name in arguments.head:
            found[head.name] = measure(head, arguments.data, bundles, arguments.linear)
            show(head.name, found[head.name])
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
