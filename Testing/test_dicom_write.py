"""Images written as DICOM: values that read back, and UIDs that name one image each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from MRISynthLib.io import load_one
from MRISynthLib.io.dicom_write import write_series
from MRISynthLib.volume import Volume

STUDY = {"PatientName": "Virtual^Patient", "InstitutionName": "one"}


@pytest.fixture
def volume() -> Volume:
    """Whole numbers up to 12000, as a scanner with a large gain stores them."""
    voxels = np.random.default_rng(0).integers(0, 12000, (3, 8, 10)).astype(np.float32)
    voxels.flat[0] = 12000
    return Volume(voxels, np.diag([1.0, 1.0, 4.0, 1.0]), "T1w", "T1w", acquisition={"EchoTime": 9})


def _headers(volume: Volume, folder: Path, study=STUDY, number: int = 1) -> list[pydicom.Dataset]:
    folder.mkdir()
    files = write_series(volume, folder, "sub-1", number, study)
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in files]


@pytest.mark.parametrize("top", [900, 12000, 65535])
def test_whole_numbers_are_kept_as_they_are(tmp_path, volume, top):
    voxels = np.rint(volume.voxels * np.float32(top / 12000))
    write_series(replace(volume, voxels=voxels), tmp_path, "sub-1", 1, STUDY)
    np.testing.assert_array_equal(load_one(tmp_path).voxels, voxels)


@pytest.mark.parametrize("scale", [1e-5, 0.3, 40.1])
def test_other_numbers_use_the_whole_range(tmp_path, volume, scale):
    voxels = volume.voxels * np.float32(scale)
    write_series(replace(volume, voxels=voxels), tmp_path, "sub-1", 1, STUDY)
    error = np.abs(load_one(tmp_path).voxels - voxels).max()
    assert error <= 0.51 * voxels.max() / 65535


def test_the_same_image_gets_the_same_uids_and_any_other_gets_others(tmp_path, volume):
    moved = np.array(volume.index_to_world)
    moved[0, 3] = 5
    brighter = np.array(volume.voxels)
    brighter[-1, -1, -1] += 1
    others = [
        (replace(volume, voxels=brighter), STUDY),
        (replace(volume, voxels=volume.voxels * 0.5), STUDY),  # the same numbers, another slope
        (replace(volume, index_to_world=moved), STUDY),
        (replace(volume, acquisition={"EchoTime": 10}), STUDY),
        (volume, {**STUDY, "InstitutionName": "two"}),
    ]
    first = _headers(volume, tmp_path / "first")
    again = _headers(volume, tmp_path / "again")
    assert [h.SOPInstanceUID for h in first] == [h.SOPInstanceUID for h in again]
    written = [first]
    for number, (image, study) in enumerate(others):
        written.append(_headers(image, tmp_path / str(number), study))
    assert len({h.SOPInstanceUID for headers in written for h in headers}) == 3 * len(written)
    assert len({headers[0].SeriesInstanceUID for headers in written}) == len(written)


def test_images_of_one_examination_share_study_and_frame_of_reference(tmp_path, volume):
    one = _headers(volume, tmp_path / "1")[0]
    two = _headers(replace(volume, voxels=volume.voxels + 1), tmp_path / "2", number=2)[0]
    elsewhere = _headers(volume, tmp_path / "3", {**STUDY, "InstitutionName": "two"})[0]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert one[keyword].value == two[keyword].value != elsewhere[keyword].value
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
