"""What a user should know of a study's images before anything is made of them.

The same checks as those of :mod:`checks` and :mod:`overlap`, of which the first that fails ends
the work; here every image gets its own remarks, so that a table can show them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io import stacking
from ..volume import Volume
from .checks import check_volume, geometry_warnings, stripping_warnings, value_warnings
from .overlap import LEAST, label, overlap_fraction
from .preparation import LITTLE_COVER

ELSEWHERE = (
    "ABDOMEN ANKLE AORTA ARM BLADDER BREAST CALF CHEST ELBOW ESOPHAGUS FEMUR FINGER FOOT FOREARM "
    "HAND HEART HIP HUMERUS KIDNEY KNEE LEG LIVER LSPINE LUNG PANCREAS PELVIS PROSTATE RECTUM "
    "SHOULDER SPLEEN SSPINE THIGH THORAX TIBIA TOE TSPINE UTERUS WRIST"
)
"""Values of DICOM's BodyPartExamined (0018,0015) that are neither head nor neck."""


@dataclass(frozen=True)
class Remark:
    """One sentence about an image; ``topic`` says in a word or two what it is about. With
    ``serious`` the image cannot be used as it is."""

    topic: str
    text: str
    serious: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a message."""
        return asdict(self)


def image_remarks(volume: Volume, files: Sequence[str] = ()) -> list[Remark]:
    """Remarks on one image by itself.

    ``files`` are the DICOM files that it was loaded from, one a slice, if there are any: only they
    say whether a slice is missing.
    """
    remarks = [Remark("as loaded", text) for text in volume.warnings]
    part = str(volume.acquisition.get("BodyPartExamined") or "").upper().strip()
    if part in ELSEWHERE.split():
        text = f"{label(volume)} shows the {part.lower()}, says its header; the models know heads."
        remarks.append(Remark("body part", text))
    remarks += slice_remarks(files, label(volume))
    try:
        check_volume(volume)
    except InputError as error:
        return [*remarks, Remark("cannot be used", str(error), serious=True)]
    remarks += [Remark("coverage", text) for text in geometry_warnings(volume)]
    remarks += [Remark("skull-stripped", text) for text in stripping_warnings(volume)]
    return remarks + [Remark("grey values", text) for text in value_warnings(volume)]


def slice_remarks(files: Sequence[str], name: str) -> list[Remark]:
    """Whether the slices in these DICOM files are all there and evenly spaced.

    Files that are gone, or hold several slices each, say nothing.
    """
    import pydicom

    keywords = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
    slices = []
    for path in files:
        if not Path(path).is_file():
            return []
        try:
            header = pydicom.dcmread(path, specific_tags=keywords, stop_before_pixels=True)
        except (OSError, pydicom.errors.InvalidDicomError):
            return []
        if any(keyword not in header for keyword in keywords):
            return []
        slices.append(header)
    if len(slices) < 3:
        return []
    axes = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = (float(value) for value in slices[0].PixelSpacing)
    positions = np.array([header.ImagePositionPatient for header in slices], float)
    try:
        placed = stacking.stack(positions, axes, (column_mm, row_mm), None, name)
    except InputError as error:
        return [Remark("slices", str(error))]
    if not placed.missing:
        return []
    which = ", ".join(str(index + 1) for index in placed.missing)
    several = len(placed.missing) > 1
    return [
        Remark(
            "missing slices",
            f"{name} lacks {'slices' if several else 'slice'} {which} of {len(placed.order)}; what "
            f"is shown there is made up, so load the complete series.",
        )
    ]


def overlap_remarks(volumes: Sequence[Volume]) -> list[list[Remark]]:
    """For each image, how far it shows what the first does."""
    found: list[list[Remark]] = [[] for _ in volumes]
    for remarks, volume in zip(found[1:], volumes[1:], strict=True):
        reference = volumes[0]
        if volume.same_geometry(reference):
            continue
        try:
            share = overlap_fraction(reference, volume)
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
            continue  # without a body there is nothing to compare; other remarks say so
        if share < LEAST:
            text = (
                f"{label(volume)} does not overlap {label(reference)} in space; use scans of the "
                "same region from one examination."
            )
            remarks.append(Remark("no overlap", text, serious=True))
        elif share < LITTLE_COVER:
            text = f"{label(volume)} shares only {share:.0%} of the body with {label(reference)}."
            remarks.append(Remark("little overlap", text))
    return found
