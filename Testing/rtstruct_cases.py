"""A small series, structures on it, and the RTSTRUCT of these, for tests to break."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from MRISynthLib.io import load_one
from MRISynthLib.io.dicom_source import DicomSource, find_source
from MRISynthLib.io.dicom_values import decimal
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.rtstruct import write_rtstruct
from MRISynthSegmentLib.segmentation import Segmentation

PROVENANCE = Provenance(
    True,
    "segmentation",
    inputs=(
        {"sequence": "T1w", "name": "t1", "synthetic": False},
        {"sequence": "CE-T1w", "name": "made", "synthetic": True},
    ),
    bundle="npc_segmentation",
    bundle_version="1.0",
    bundle_hash="0123456789abcdef",
)


@dataclass(frozen=True)
class Case:
    """A series, an image read from it, structures on it, and the RTSTRUCT of these."""

    folder: Path
    image: Volume
    source: DicomSource
    segmentation: Segmentation
    path: Path


def structures(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """A ball with a hole and what fills it, halves that touch, single pixels, the image's edge."""
    k, j, i = np.indices(shape)
    radius = np.sqrt(((k - 3.6) * 1.2) ** 2 + (j - 5.7) ** 2 + (i - 4.4) ** 2)
    masks = {
        "GTVp": (radius < 4.7) & (radius > 2.1),
        "Brainstem": radius <= 2.1,
        "Parotid_L": np.zeros(shape, bool),
        "Eye_L": (radius < 4.7) & (i > 4),
        "Eye_R": (radius < 4.7) & (i <= 4),
        "Brain": np.ones(shape, bool),
        "Bolus": np.zeros(shape, bool),
    }
    masks["Bolus"][[0, 3, 3, 7], [0, 5, 6, 11], [0, 5, 6, 9]] = True
    return masks


def written(series: Path, path: Path) -> Case:
    image = load_one(series)
    source = find_source([series], image)
    segmentation = Segmentation(
        structures(image.shape), image, PROVENANCE, ("A slice is missing.",)
    )
    assert write_rtstruct(segmentation, path, source) == path
    return Case(series, image, source, segmentation, path)


def items_of(record: Dataset, name: str) -> tuple[Dataset, Dataset, Dataset]:
    """The structure's items: ROI, contours, observation."""
    (roi,) = (item for item in record.StructureSetROISequence if item.ROIName == name)
    (drawn,) = (i for i in record.ROIContourSequence if i.ReferencedROINumber == roi.ROINumber)
    (seen,) = (
        i for i in record.RTROIObservationsSequence if i.ReferencedROINumber == roi.ROINumber
    )
    return roi, drawn, seen


def contours_in(record: Dataset) -> list[Dataset]:
    return [c for drawn in record.ROIContourSequence for c in drawn.get("ContourSequence", ())]


def new_contour(kind: str, points: np.ndarray) -> Dataset:
    """An item of a ContourSequence, from (n, 3) LPS mm."""
    contour = Dataset()
    contour.ContourGeometricType = kind
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [decimal(value) for value in np.ravel(points)]
    return contour
