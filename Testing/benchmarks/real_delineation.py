"""Is what a model delineates on real heads plausible, without any manual truth?

    python Testing/benchmarks/real_delineation.py [DATA_FOLDER] [--model NAME_OR_FOLDER]
        [--head NAME ...] [--pictures FOLDER] [--json FILE]

Segments every real head from each of its images alone and from all together, and prints as
Markdown: whether every structure in the field of view is found, whether left is left of right,
whether volumes are in published ranges, what tumour is found in people who have none, and how well
the results from T1w and from T2w agree (Dice). What is in the field of view was read from the
images by eye; the openms heads are defaced, which took a part of their eyes, and that in MNI space
has no skull. Structures that a model does not know are left out. Heads whose files are not there
are skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from carry_over import carried, in_axial_order
from scipy import ndimage

from MRISynthLib.bundles import load_bundle
from MRISynthLib.preprocessing import register
from MRISynthLib.preprocessing.background import body_mask
from MRISynthLib.preprocessing.resampling import covered, index_map
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.evaluation import dice
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.segmenter import Segmenter
from MRISynthSegmentLib.structures import STRUCTURES

DATA = Path(
    os.environ.get("MRISYNTH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


@dataclass(frozen=True)
class Range:
    """Published volumes of one structure (of either side) in adults, ml."""

    low: float
    high: float
    source: str


RANGES: dict[str, Range] = {
    "Brain": Range(
        975.0, 1626.0,
        "smallest of 46 adults, Allen et al., Am J Phys Anthropol 118:341, 2002; largest of 20, "
        "Filipek et al., Cereb Cortex 4:344, 1994",
    ),
    "Eye": Range(
        4.3, 8.4,
        "mean ± 3 SD of 36 men (6.35 ± 0.69), Heymsfield et al., Anat Physiol 6(5), 2016",
    ),
    "Lens": Range(0.138, 0.228, "mean ± 3 SD of 31 adults (0.183 ± 0.015), PubMed 19176097"),
    "Hippocampus": Range(
        1.73, 5.68,
        'range of published figures, "Hippocampal volume measurements using magnetic resonance '
        'imaging in normal young adults", J Neuroimaging',
    ),
    "Parotid": Range(9.2, 54.1, "32 glands, Medbery et al., Radiother Oncol 54:87, 2000"),
    "Glnd_Submand": Range(
        1.3, 18.4,
        "mean ± 3 SD of 3266 (9.87 ± 2.83), Niendorf et al., Laryngorhinootologie 99(S2):48, 2020",
    ),
    "Pituitary": Range(
        0.24, 1.01,
        "mean ± 3 SD of 245 adults (men 0.61 ± 0.13, women 0.66 ± 0.12), Chen et al., J Shanghai "
        "Jiaotong Univ (Med Sci) 37(5), 2017",
    ),
}  # fmt: skip
"""By name without the side. For the others, and for the brainstem, no figure of healthy adults by
MRI or CT that fits the contours of radiotherapy was at hand."""


def both(*names: str) -> tuple[str, ...]:
    """Left and right of each."""
    return tuple(f"{name}_{side}" for name in names for side in "LR")


@dataclass(frozen=True)
class Scan:
    """An image, and the structures that lie wholly and partly in its field of view."""

    file: str
    whole: tuple[str, ...]
    part: tuple[str, ...] = ()

    @property
    def visible(self) -> tuple[str, ...]:
        """All that must be found."""
        return self.whole + self.part


_SKULL_BASE = (
    "Brain", "Brainstem", "OpticChiasm", "Pituitary",
    *both("OpticNrv", "Lobe_Temporal", "Hippocampus", "Cochlea"),
)  # fmt: skip
_FACE = ("Nasopharynx", *both("Eye", "Lens", "Glnd_Lacrimal", "Joint_TM"))
_NECK = ("SpinalCord", "Bone_Mandible", "Cavity_Oral", "Musc_Constrict", *both("A_Carotid"))
_BRAIN_ONLY = ("Brain", "Brainstem", "OpticChiasm", *both("Lobe_Temporal", "Hippocampus"))
_DEFACED = both("Eye", "OpticNrv")
_BEHIND = tuple(name for name in _SKULL_BASE if not name.startswith("OpticNrv"))
_CUT_BELOW = tuple(name for name in _BEHIND if name != "Brainstem")

HEADS: dict[str, dict[str, Scan]] = {
    "mr_adi": {
        "T1w": Scan(
            "mr_adi/T1w.nii.gz",
            _SKULL_BASE + _FACE + both("Parotid"),
            _NECK + both("Glnd_Submand"),
        ),
        "T2w": Scan(
            "mr_adi/T2w.nii.gz",
            _SKULL_BASE + _FACE,
            ("SpinalCord", "Bone_Mandible", *both("Parotid", "A_Carotid")),
        ),
    },
    "openms patient01": {
        "T1w": Scan("mr_openms/patient01_study1/T1W.nii.gz", _CUT_BELOW, ("Brainstem", *_DEFACED)),
        "T2w": Scan("mr_openms/patient01_study1/T2W.nii.gz", _BEHIND, _DEFACED),
        "FLAIR": Scan("mr_openms/patient01_study1/FLAIR.nii.gz", _BEHIND, _DEFACED),
    },
    "openms patient03": {
        "T1w": Scan("mr_openms/patient03_study2/T1W.nii.gz", _BEHIND, _DEFACED),
        "T2w": Scan("mr_openms/patient03_study2/T2W.nii.gz", _BEHIND, _DEFACED),
        "FLAIR": Scan("mr_openms/patient03_study2/FLAIR.nii.gz", _BEHIND, _DEFACED),
    },
    "openms_mni patient07": {
        name: Scan(f"mr_openms_mni/patient07/{name}.nii.gz", _BRAIN_ONLY)
        for name in ("T1w", "T2w", "FLAIR", "CE-T1w")
    },
}

TUMOURS = ("GTVp", "GTVn")
"""None of these people has one."""

COMPARED = ("Brain", "Brainstem", "Eye_L", "Eye_R")

STRIPPED = ("openms_mni patient07",)
"""Heads without a skull, which no patient is; they are counted apart."""


RIM_MM = 3.0
"""So uncertain is the edge of the body."""


@dataclass(frozen=True)
class Result:
    """What one model found in some images of one head.

    ``missing``: in the field of view but not found; ``swapped``: pairs whose left lies right of
    the right; ``odd``: structure -> ml, outside the published range; ``tumour``: found in vain, ml;
    ``outside``: structure -> ml, outside the body, where no structure can be; ``counts``: how many
    structures, pairs and volumes were looked at.
    """

    head: str
    inputs: str
    volumes: dict[str, float]
    missing: tuple[str, ...]
    swapped: tuple[str, ...]
    odd: dict[str, float]
    tumour: dict[str, float]
    outside: dict[str, float]
    counts: tuple[int, int, int]


def judged(head: str, inputs: str, scan: Scan, found: Segmentation) -> Result:
    """Hold what was found against what is known of the image."""
    known = [name for name in scan.visible if name in found.masks]
    missing = tuple(name for name in known if not found.masks[name].any())
    pairs = [name for name in found.masks if name.endswith("_L") and f"{name[:-2]}_R" in known]
    pairs = [n for n in pairs if found.masks[n].any() and found.masks[f"{n[:-2]}_R"].any()]
    swapped = tuple(n[:-2] for n in pairs if not left_of(found, n, f"{n[:-2]}_R"))
    volumes = {name: found.volume_ml(name) for name, mask in found.masks.items() if mask.any()}
    ranged = [name for name in scan.whole if name in volumes and plain(name) in RANGES]
    odd = {name: volumes[name] for name in ranged if not in_range(name, volumes[name])}
    tumour = {name: volumes[name] for name in TUMOURS if name in volumes}
    counts = len(known), len(pairs), len(ranged)
    outside = outside_of_body(found)
    return Result(head, inputs, volumes, missing, swapped, odd, tumour, outside, counts)


def outside_of_body(found: Segmentation, least_ml: float = 0.1) -> dict[str, float]:
    """Structure -> ml further than :data:`RIM_MM` from the body, if that is worth telling."""
    image = found.reference
    away = ndimage.distance_transform_edt(
        ~body_mask(image.voxels, image.spacing), sampling=image.spacing[::-1]
    )
    voxel_ml = float(np.prod(image.spacing)) / 1000.0
    volumes = {
        name: float(np.count_nonzero(mask & (away > RIM_MM))) * voxel_ml
        for name, mask in found.masks.items()
    }
    return {name: value for name, value in volumes.items() if value > least_ml}


def plain(name: str) -> str:
    """The name without the side."""
    return name[:-2] if name.endswith(("_L", "_R")) else name


def in_range(name: str, volume_ml: float) -> bool:
    """Whether a volume has been published for a healthy adult."""
    known = RANGES[plain(name)]
    return known.low <= volume_ml <= known.high


def left_of(found: Segmentation, left: str, right: str) -> bool:
    """Whether the centre of one structure lies to the patient's left of that of the other."""
    x = []
    for name in (left, right):
        index = np.argwhere(found.masks[name]).mean(0)[::-1]
        x.append(float((found.reference.index_to_world @ (*index, 1.0))[0]))
    return x[0] > x[1]


def agreement(first: Segmentation, second: Segmentation) -> dict[str, float]:
    """Structure -> Dice of the results from two images, registered, where both have voxels."""
    matrix = register(second.reference, first.reference).matrix
    through = index_map(first.reference.index_to_world, second.reference.index_to_world, matrix)
    seen = covered(through, first.reference.shape, second.reference.shape)
    found = {}
    for name in COMPARED:
        if name not in first.masks or name not in second.masks:
            continue
        one = first.masks[name] if seen is None else first.masks[name] & seen
        other = carried(second.masks[name], second.reference, first.reference, matrix)
        if one.any() or other.any():
            found[name] = dice(one, other)
    return found


def measured(
    head: str, folder: Path, segmenter: Segmenter, pictures: Path | None
) -> tuple[list[Result], dict[str, float]]:
    """One head from each image, and from all with the first as reference; and the agreement of
    T1w with T2w, as far as its eyes and the rest are visible."""
    scans = HEADS[head]
    images = {name: in_axial_order(folder / scan.file, name) for name, scan in scans.items()}
    alone = {name: segmenter.segment([image]).segmentation for name, image in images.items()}
    results = [judged(head, name, scans[name], found) for name, found in alone.items()]
    together = segmenter.segment(list(images.values())).segmentation
    first = next(iter(scans))
    results.append(judged(head, " + ".join(images), scans[first], together))
    if pictures is not None:
        for name, found in {**alone, "all": together}.items():
            draw(found, pictures / f"{head}, {name}.png")
    both_visible = set(scans["T1w"].visible) & set(scans["T2w"].visible)
    agreed = agreement(alone["T1w"], alone["T2w"])
    return results, {name: value for name, value in agreed.items() if name in both_visible}


def draw(found: Segmentation, path: Path, tiles: int = 12) -> None:
    """Outlines of all structures on axial slices from the lowest to the highest with any."""
    from PIL import Image

    image = found.reference
    showing = np.flatnonzero(np.any([m.any((1, 2)) for m in found.masks.values()], axis=0))
    if not len(showing):
        return
    top = float(np.percentile(image.voxels, 99.5)) or 1.0
    shown = []
    for k in np.linspace(showing[0], showing[-1], tiles).round().astype(int):
        grey = np.clip(image.voxels[k] / top, 0, 1)
        tile = np.repeat((255 * grey).astype(np.uint8)[:, :, None], 3, 2)
        for name, mask in found.masks.items():
            edge = mask[k] & ~ndimage.binary_erosion(mask[k])
            tile[edge] = np.round(255 * np.array(STRUCTURES[name].colour))
        shown.append(_square(tile, image))
    rows = [np.concatenate(shown[n : n + 4], 1) for n in range(0, tiles, 4)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def _square(tile: np.ndarray, image: Volume, size: int = 400) -> np.ndarray:
    """The tile with square pixels, centred on black."""
    from PIL import Image

    down, across = tile.shape[0] * image.spacing[1], tile.shape[1] * image.spacing[0]
    scale = size / max(down, across)
    small = Image.fromarray(tile).resize((round(across * scale), round(down * scale)))
    canvas = Image.new("RGB", (size, size))
    canvas.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.asarray(canvas)


def markdown(results: list[Result], agreed: dict[str, dict[str, float]], skipped: list[str]) -> str:
    """Everything as one text."""
    lines = ["# Delineation of real heads", ""]
    if skipped:
        lines += [*(f"- skipped: {reason}" for reason in skipped), ""]
    columns = ("head", "images", "found", "not found", "sides right", "volumes in range",
               "out of range (ml)", "tumour in vain (ml)", "outside the body (ml)")  # fmt: skip
    rows = [
        (
            one.head,
            one.inputs,
            f"{one.counts[0] - len(one.missing)} of {one.counts[0]}",
            ", ".join(one.missing),
            f"{one.counts[1] - len(one.swapped)} of {one.counts[1]}"
            + (f" ({', '.join(one.swapped)})" if one.swapped else ""),
            f"{one.counts[2] - len(one.odd)} of {one.counts[2]}",
            _volumes(one.odd),
            _volumes(one.tumour),
            _volumes(one.outside),
        )
        for one in results
    ]
    lines += [*_table(columns, rows), "", "## T1w against T2w (Dice)", ""]
    cells = [(head, *(_number(found.get(n)) for n in COMPARED)) for head, found in agreed.items()]
    lines += [*_table(("head", *COMPARED), cells), *_means(agreed)]
    whole = [one for one in results if one.head not in STRIPPED]
    lines += _totals("Altogether", results)
    lines += _totals("Altogether, heads with a skull", whole) if whole != results else []
    lines += ["", "## Volumes (ml)", "", *_volume_table(results)]
    lines += ["", "## Published ranges", ""]
    lines += [f"- {name}: {r.low:g} to {r.high:g} ml; {r.source}" for name, r in RANGES.items()]
    return "\n".join([*lines, ""])


def _means(agreed: dict[str, dict[str, float]]) -> list[str]:
    """Mean agreement of everything, and of what neither defacing nor stripping has spoilt."""
    every = [value for found in agreed.values() for value in found.values()]
    if not every:
        return []
    sound = [
        value
        for head, found in agreed.items()
        for name, value in found.items()
        if head not in STRIPPED and not (name in _DEFACED and name in HEADS[head]["T1w"].part)
    ]
    lines = ["", f"Mean {np.mean(every):.3f}, lowest {min(every):.3f}."]
    if sound and len(sound) < len(every):
        lines[-1] += (
            f" Without defaced eyes and heads without a skull: mean {np.mean(sound):.3f}, lowest "
            f"{min(sound):.3f}."
        )
    return lines


def _totals(title: str, results: list[Result]) -> list[str]:
    if not results:
        return []
    lines = ["", f"## {title}", ""]
    words = ("structures found", "pairs with sides right", "volumes in range")
    failed = ([len(x) for x in (one.missing, one.swapped, one.odd)] for one in results)
    bad = np.sum(list(failed), axis=0)
    total = np.sum([one.counts for one in results], axis=0)
    lines += [f"- {word}: {n - m} of {n}" for word, n, m in zip(words, total, bad, strict=True)]
    free = sum(not one.tumour for one in results)
    inside = sum(not one.outside for one in results)
    lines.append(f"- no tumour found: {free} of {len(results)} results")
    lines.append(f"- nothing outside the body: {inside} of {len(results)} results")
    return lines


def _volumes(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items())


def _volume_table(results: list[Result]) -> list[str]:
    names = [name for name in STRUCTURES if any(name in one.volumes for one in results)]
    heads = ("structure", *(f"{one.head}, {one.inputs}" for one in results))
    rows = [(name, *(_number(one.volumes.get(name)) for one in results)) for name in names]
    return _table(heads, rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (columns, *rows)]
    return [lines[0], "|" + "---|" * len(columns), *lines[1:]]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=DATA, metavar="DATA_FOLDER")
    parser.add_argument("--model", metavar="NAME_OR_FOLDER")
    parser.add_argument("--head", action="append", choices=list(HEADS))
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    wanted, skipped = [], []
    for head in arguments.head or HEADS:
        gone = [s.file for s in HEADS[head].values() if not (arguments.data / s.file).is_file()]
        if gone:
            skipped.append(f"{head}, {gone[0]} is not here")
        else:
            wanted.append(head)
    results, agreed = [], {}
    if wanted:
        segmenter = Segmenter(load_bundle(arguments.model, "segmentation"), "auto")
    for head in wanted:
        found, agreed[head] = measured(head, arguments.data, segmenter, arguments.pictures)
        results += found
    print(markdown(results, agreed, skipped))
    if arguments.json:
        record = {"results": [vars(one) for one in results], "agreement": agreed}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
