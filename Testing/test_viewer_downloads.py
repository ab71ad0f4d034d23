"""What can be taken away, made without a page."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import pydicom
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from dicom_series import write_series
from MRISynthApp.viewer.desk import Desk
from MRISynthApp.viewer.downloads import Downloads
from MRISynthApp.viewer.reading import read
from MRISynthLib import panel
from MRISynthLib.errors import InputError
from MRISynthLib.progress import SILENT
from MRISynthLib.worker import ModelCache
from viewer_tasks import HANDLERS


@pytest.fixture
def desk(tmp_path):
    """A DICOM series on which structures were found, and a synthetic image of it."""
    folder = tmp_path / "series"
    write_series(folder)
    found = read([folder])
    made = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
    (key,) = made.add(found.images, found.files)
    made.choose(key, "T1w")
    made.ticked_targets, made.ticked_structures = ("STIR",), ("GTVp", "Brainstem")
    for order, take in (
        (made.synthesis(0), made.take_synthesis),
        (made.segmenting(), made.take_segmentation),
    ):
        parameters = dict(order.parameters)
        answer = HANDLERS[order.task](parameters, list(order.volumes), SILENT, ModelCache())
        take(answer, order)
    return made


def laid_ready(folder, kind, desk):
    link = Downloads(folder).make(kind, desk, (0.0, 0.0, 0.0))
    prefix, key, name = link.split("/")
    assert prefix == "download"
    return folder / key / name


def test_structures_go_to_a_planning_system_in_the_patient_s_own_study(desk, tmp_path):
    record = pydicom.dcmread(laid_ready(tmp_path / "out", "rtstruct", desk))
    source = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    assert record.Modality == "RTSTRUCT"
    assert record.StudyInstanceUID == source.StudyInstanceUID
    assert [roi.ROIName for roi in record.StructureSetROISequence] == ["GTVp", "Brainstem"]


def test_a_second_download_takes_the_place_of_the_first(desk, tmp_path):
    first = laid_ready(tmp_path / "out", "contours", desk)
    second = laid_ready(tmp_path / "out", "images", desk)
    assert not first.exists()
    with zipfile.ZipFile(second) as archive:
        assert archive.namelist() == ["STIR.nii.gz", "STIR_uncertainty.nii.gz"]


def test_what_cannot_be_had_says_why(desk, tmp_path):
    downloads = Downloads(tmp_path / "out")
    assert not any(each["reason"] for each in downloads.offered(desk))
    for image in desk.images.values():
        image.files = ()
    assert "DICOM" in downloads.why_not("rtstruct", desk)
    with pytest.raises(InputError, match="DICOM"):
        downloads.make("rtstruct", desk, (0.0, 0.0, 0.0))
    desk.segmentation = None
    assert "No structures" in downloads.why_not("contours", desk)
    empty = replace(desk, images={})
    assert all("nothing to download" in each["reason"] for each in downloads.offered(empty))
    with pytest.raises(InputError, match="no such download"):
        downloads.make("../passwd", desk, (0.0, 0.0, 0.0))
