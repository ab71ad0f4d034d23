"""What the worker does with contours for a panel: compare, read files, export."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from derived_series import made_on
from dicom_series import slice_data, write_series
from MRISynthLib.errors import Cancelled, InputError, OutputError
from MRISynthLib.io import load_one
from MRISynthLib.progress import Callbacks
from MRISynthLib.volume import Volume
from MRISynthLib.worker import DEFAULT_TASKS, ModelCache
from MRISynthSegmentLib.contour_tasks import HANDLERS
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.loading import load_any
from MRISynthSegmentLib.origins import MANUAL, SEMIAUTOMATIC, Algorithm, Origin
from MRISynthSegmentLib.packed import packed, unpacked
from MRISynthSegmentLib.segmentation import Segmentation
from rtstruct_cases import PROVENANCE, structures


@pytest.fixture
def t1(tmp_path: Path) -> Path:
    return write_series(tmp_path / "t1")


@pytest.fixture
def image(t1: Path) -> Volume:
    return load_one(t1)


@pytest.fixture
def drawn(image: Volume) -> Segmentation:
    return Segmentation(structures(image.shape), image, PROVENANCE, ("Look.",))


def test_no_two_tasks_of_the_worker_have_one_name() -> None:
    modules = [importlib.import_module(name) for name in DEFAULT_TASKS]
    names = [name for module in modules for name in module.HANDLERS]
    assert sorted(names) == sorted(set(names))


def run(task: str, parameters: dict, volumes, callbacks: Callbacks | None = None):
    """As the worker runs it: what is asked has gone through JSON."""
    asked = json.loads(json.dumps(parameters))
    return HANDLERS[task](asked, list(volumes), callbacks or Callbacks(), ModelCache("cpu"))


def test_contours_arrive_as_they_were_sent(drawn) -> None:
    family = ("DCM", "123110", "Artificial Intelligence")
    name = next(iter(drawn.masks))
    origins = {name: Origin(SEMIAUTOMATIC, Algorithm("m", "1", family=family), "d", "Doe^J")}
    sent = Segmentation(drawn.masks, drawn.reference, PROVENANCE, ("Look.",), {name: 0.25}, origins)
    plain, volumes = packed(sent)
    size = sum(volume.voxels.nbytes for volume in volumes[1:])
    assert size < sum(mask.nbytes for mask in sent.masks.values()), "whole grids were sent"
    back = unpacked(json.loads(json.dumps(plain)), volumes)
    assert list(back.masks) == list(sent.masks)
    assert all(np.array_equal(back.masks[key], mask) for key, mask in sent.masks.items())
    assert back.reference.same_geometry(sent.reference)
    assert back.provenance == PROVENANCE and back.warnings == ("Look.",)
    assert dict(back.doubt) == {name: 0.25} and dict(back.origins) == origins


def compared(drawn, **changes):
    masks = {key: np.roll(mask, 1, axis=2) for key, mask in drawn.masks.items()}
    moved = Segmentation(masks, drawn.reference)
    (first, some), (second, more) = packed(drawn), packed(moved)
    asked = {"first": first, "second": second, "names": ["real", "synthetic"]}
    return run("contour_comparison", asked, [*some, *more], **changes)


def test_two_are_compared_structure_by_structure(drawn) -> None:
    info = compared(drawn).info
    assert len(info["rows"]) == len(drawn.masks) and info["columns"][:2] == ["structure", "Dice"]
    found = info["comparison"]["structures"]
    empty = {name for name, mask in drawn.masks.items() if not mask.any()}
    assert {name for name, row in found.items() if row["dice"] is None} == empty
    assert any(0 < (row["dice"] or 0) < 1 and row["centre_shift_mm"] > 0 for row in found.values())
    assert info["csv"].splitlines()[0].startswith("structure,")
    assert "contoured on" in info["markdown"]


def test_a_comparison_tells_how_far_it_is_and_stops_when_asked(drawn) -> None:
    seen = []
    compared(drawn, callbacks=Callbacks(on_progress=seen.append))
    assert [(each.stage, each.done) for each in seen] == [
        ("measure", n) for n in range(len(drawn.masks))
    ]
    with pytest.raises(Cancelled):
        compared(drawn, callbacks=Callbacks(cancelled=lambda: True))


@pytest.mark.parametrize("name", ["theirs.seg.nrrd", "rtstruct", "dicom-seg"])
def test_contours_are_read_from_any_file(drawn, image, t1, tmp_path, name) -> None:
    path = tmp_path / (name if "." in name else f"{name}.dcm")
    if "." in name:
        save_segmentation(drawn, path)
    else:
        export(drawn, name, path, t1)
    result = run("contours", {"path": str(path)}, [image])
    volumes = [volume for _, volume in result.volumes]
    back = unpacked(result.info["segmentation"], volumes)
    assert set(back.masks) == set(drawn.masks)
    assert all(np.array_equal(back.masks[key], mask) for key, mask in drawn.masks.items())
    with pytest.raises(InputError, match="no file or folder"):
        run("contours", {"path": str(tmp_path / "none.dcm")}, [image])


def export(segmentation, kind, path, *places, **more):
    plain, volumes = packed(segmentation)
    asked = {
        "format": kind,
        "path": str(path),
        "references": [str(place) for place in places],
        "segmentation": plain,
        **more,
    }
    return run("export", asked, volumes).info


@pytest.mark.parametrize("kind", ["rtstruct", "dicom-seg"])
def test_contours_are_written_on_the_files_that_slicer_names(drawn, t1, tmp_path, kind) -> None:
    """Slicer's database gives single files; who drew what comes from the scene."""
    types = dict.fromkeys(drawn.masks, MANUAL)
    path = tmp_path / "plan.dcm"
    said = export(drawn, kind, path, *sorted(t1.iterdir()), types=types)
    assert said["files"] == [str(path)]
    empty = [name for name, mask in drawn.masks.items() if not mask.any()]
    assert [name in said["warnings"][0] for name in empty] == [True] * len(empty)
    record, header = pydicom.dcmread(path), slice_data(0)
    assert record.StudyInstanceUID == header.StudyInstanceUID
    assert record.PatientID == header.PatientID
    back = load_any(path, drawn.reference, exact=True)
    assert {origin.kind for origin in back.origins.values()} == {MANUAL}


def test_an_incomplete_series_is_refused_and_nothing_is_written(drawn, t1, tmp_path) -> None:
    files = sorted(t1.iterdir())
    path = tmp_path / "plan.dcm"
    for places, words in ((files[:-1], "lacks 1 of"), ([], "give the folder of the series")):
        with pytest.raises(InputError, match=words):
            export(drawn, "rtstruct", path, *places)
        assert not path.exists()
    with pytest.raises(OutputError, match="no folder"):
        export(drawn, "rtstruct", tmp_path / "nowhere" / "plan.dcm", t1)


def test_a_label_map_needs_no_series(drawn, tmp_path) -> None:
    said = export(drawn, "nii.gz", tmp_path / "map.nii.gz")
    assert {Path(file).name for file in said["files"]} >= {"map.nii.gz", "map.json"}


def image_export(volumes, folder, *places, **more):
    asked = {
        "format": "dicom-mr",
        "path": str(folder),
        "references": [str(place) for place in places],
        **more,
    }
    return run("export", asked, volumes).info


def test_a_synthetic_image_becomes_a_series_of_the_same_study(image, t1, tmp_path) -> None:
    t2 = write_series(tmp_path / "t2", series="1.2.3.2")
    other = load_one(t2).replace(name="t2")
    said = image_export([made_on(image), image, other], tmp_path / "new", t1, t2)
    assert len(said["files"]) == image.shape[0] and not said["warnings"]
    record = pydicom.dcmread(said["files"][0])
    assert list(record.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert record.SeriesDescription.startswith("SYNTHETIC")
    assert record.StudyInstanceUID == slice_data(0).StudyInstanceUID
    with pytest.raises(InputError, match="too small for the word"):
        image_export([made_on(image)], tmp_path / "marked", t1, burn_in=True)
    far = np.diag((1.0, 1.0, 1.0, 1.0))
    stranger = Volume(np.zeros((3, 4, 5), np.float32), far, name="from a NIfTI file")
    said = image_export([made_on(image), image, stranger], tmp_path / "more", t1)
    assert "Not referred to: from a NIfTI file" in said["warnings"][0]


def test_no_patient_is_invented(image, tmp_path) -> None:
    with pytest.raises(InputError, match="no patient is invented"):
        image_export([made_on(image)], tmp_path / "new")
    stated = {"patient_id": "P7", "patient_name": "Doe^John"}
    said = image_export([made_on(image)], tmp_path / "new", study=stated)
    assert pydicom.dcmread(said["files"][0]).PatientID == "P7"
    said = image_export([made_on(image)], tmp_path / "nobody", study={})
    assert pydicom.dcmread(said["files"][0]).PatientID != "P7"
