"""Synthetic images on the grids of small DICOM series, for tests that write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale

from dicom_series import AXIAL, write_series
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one
from MRISynthLib.io.dicom_source import DicomSource, find_source
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

PROVENANCE = Provenance(
    synthetic=True,
    sequence="CE-T1w",
    inputs=(
        {"sequence": "T1w", "name": "t1_tse_tra", "synthetic": False},
        {"sequence": "T2w", "name": "t2_tse_tra", "synthetic": False},
    ),
    understood="T1-weighted, contrast-enhanced; flip angle 70°",
    bundle="npc-synthesis",
    bundle_version="1.2",
    bundle_hash="0123456789abcdef" * 4,
    software="MRISynth 0.1.0",
)


def made_on(image: Volume, values: np.ndarray | None = None, **changes: object) -> Volume:
    """A synthetic image on the grid of another."""
    if values is None:
        values = np.random.default_rng(7).uniform(0, 1000, image.shape).astype(np.float32)
    known = {"sequence": "CE-T1w", "name": "SYNTHETIC CE-T1w", "provenance": PROVENANCE}
    return Volume(values, image.index_to_world, **(known | changes))


def read_in(
    folder: Path, axes: np.ndarray = AXIAL, series: str = "1.2.3.1", **options: object
) -> tuple[Volume, DicomSource]:
    """A new series in a folder, as image and as source."""
    image = load_one(write_series(folder, axes=axes, series=series, **options))
    return image, find_source([folder], image)


def headers(files: Sequence[Path]) -> list[pydicom.FileDataset]:
    return [pydicom.dcmread(file) for file in files]


def values_of(record: pydicom.FileDataset) -> np.ndarray:
    return apply_rescale(record.pixel_array, record)


def everything(data: Dataset) -> Iterator[pydicom.DataElement]:
    """All elements, those of sequences too."""
    for element in data:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from everything(item)


def references(record: Dataset) -> list[str]:
    items = record.get("SourceImageSequence", ())
    assert all(item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322" for item in items)
    return [item.ReferencedSOPInstanceUID for item in items]


def refusal(action: Callable[[], object], folder: Path) -> str:
    """What the user reads, nothing having been written."""
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    assert not folder.exists() and not list(folder.parent.glob(".mrisynth-*"))
    return text
