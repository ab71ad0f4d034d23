"""What a panel says of a study before anything is made: remarks, preparation, preview, devices."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import MRImageStorage, generate_uid

from models import synthesis_bundle
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing import check_volume
from MRISynthLib.preprocessing.study_checks import image_remarks, overlap_remarks, slice_remarks
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.synthesis import task
from MRISynthLib.volume import Volume
from MRISynthLib.worker.tasks import ModelCache
from phantoms import head


def topics(remarks):
    return [remark.topic for remark in remarks]


def write_slices(folder, heights):
    paths = []
    for height in heights:
        header = pydicom.Dataset()
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, generate_uid()
        header.ImagePositionPatient = [-90, -110, height]
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.PixelSpacing = [0.5, 0.7]
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        paths.append(str(folder / f"{height}.dcm"))
        header.save_as(paths[-1], enforce_file_format=True)
    return paths


def test_a_good_image_has_no_remarks_and_a_bad_one_each_its_own():
    good = head("T1w")
    assert image_remarks(good) == []
    levels = good.with_voxels(np.round(good.voxels / good.voxels.max() * 5))
    assert "grey values" in topics(image_remarks(levels))
    (serious,) = image_remarks(good.with_voxels(np.zeros(good.shape)))
    assert serious.serious and "constant" in serious.text
    knee = good.replace(acquisition={"BodyPartExamined": "KNEE"})
    assert topics(image_remarks(knee)) == ["body part"]
    assert image_remarks(good.replace(acquisition={"BodyPartExamined": "BRAIN"})) == []
    filled = good.replace(warnings=("Slice 4 is missing.",))
    assert image_remarks(filled)[0].text == "Slice 4 is missing."


def brain(radius_mm, background=0.0):
    """A ball, seen whole, in a volume of 4 x 2 x 2 mm voxels."""
    z, y, x = np.ogrid[-100:101:4, -110:111:2, -100:101:2]
    inside = x**2 + y**2 + z**2 < radius_mm**2
    grey = 300 + np.random.default_rng(0).normal(0, 20, inside.shape)
    matrix = np.diag([2.0, 2, 4, 1])
    return Volume(np.where(inside, grey, background), matrix, sequence="T1w", name="stripped")


def test_a_brain_without_skull_and_skin_is_remarked_on():
    whole = brain(68)
    for image in (whole, brain(68, background=-700.0)):
        assert "skull-stripped" in topics(image_remarks(image))
    assert any("skull and skin were removed" in text for text in check_volume(whole))
    assert image_remarks(brain(90)) == [], "as large as a head"
    neck = whole.voxels.copy()
    neck[:10, 35:70, 35:70] = 200 + np.random.default_rng(1).normal(0, 20, (10, 35, 35))
    assert image_remarks(whole.with_voxels(neck)) == []
    noise = np.abs(np.random.default_rng(2).normal(0, 5, whole.shape))
    assert image_remarks(whole.with_voxels(whole.voxels + noise)) == [], "the air of a scanner"
    rare = np.zeros(whole.shape)
    rare[1, 1, 1] = 1
    assert "skull-stripped" not in topics(image_remarks(whole.with_voxels(rare)))


def test_of_the_real_scans_only_those_without_skull_are_remarked_on(shared_data):
    for path in sorted(shared_data.glob("*_*/**/*.nii.gz")):
        if path.parent.name.startswith("labels"):
            continue
        found = "skull-stripped" in topics(image_remarks(load_one(path)))
        assert found == ("mr_openms_mni" in path.parts), path


def test_a_missing_slice_is_found_in_the_files_that_slicer_loaded(tmp_path):
    heights = [0, 4, 8, 16, 20, 24, 28, 32, 36, 40]
    paths = write_slices(tmp_path, heights)
    (remark,) = slice_remarks(paths, "t1 tse")
    assert remark.topic == "missing slices" and "t1 tse lacks slice 4 of 11" in remark.text
    assert slice_remarks(write_slices(tmp_path, range(0, 40, 4)), "t1 tse") == []
    (uneven,) = slice_remarks(write_slices(tmp_path, [0, 4, 9, 12, 16, 23]), "t1 tse")
    assert uneven.topic == "slices" and "irregular" in uneven.text
    assert slice_remarks([*paths, str(tmp_path / "gone.dcm")], "t1 tse") == []


def test_an_image_of_another_place_is_said_to_be_so():
    reference = head("T1w")
    away = reference.index_to_world.copy()
    away[2, 3] += 900
    elsewhere = reference.replace(index_to_world=away, sequence="T2w", name="knee")
    nothing, (remark,) = overlap_remarks([reference, elsewhere])
    assert not nothing and remark.serious and "T2w (knee) does not overlap" in remark.text


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return {"bundle": str(synthesis_bundle(tmp_path_factory.mktemp("bundle") / "Tiny").folder)}


def run(name, parameters, volumes, models, callbacks=SILENT):
    return task.HANDLERS[name](parameters, volumes, callbacks, models)


def pair() -> list[Volume]:
    return [head(name, shape=(16, 60, 50), spacing=(3.5, 3.5, 5.0)) for name in ("T1w", "T2w")]


def test_a_study_that_was_looked_at_is_not_prepared_again(asked, monkeypatch):
    from MRISynthLib.synthesis.synthesizer import Synthesizer

    calls, prepare = [], Synthesizer.prepare

    def counted(self, inputs, **options):
        calls.append(options["normalisation"])
        return prepare(self, inputs, **options)

    monkeypatch.setattr(Synthesizer, "prepare", counted)
    models, volumes = ModelCache("cpu"), pair()
    remarks = run("study", {**asked, "register": False}, volumes, models).info["remarks"]
    assert len(remarks) == 2
    wish = {**asked, "register": False, "targets": [{"sequence": "STIR", "prompt": ""}]}
    seen = []
    listen = Callbacks(on_slice=seen.append)
    made = run("preview", {**wish, "visible_slice": 3}, volumes, models, listen)
    assert not made.volumes and [(each.target, each.index) for each in seen] == [("STIR", 3)]
    whole = run("synthesis", wish, volumes, models)
    np.testing.assert_allclose(seen[0].image, whole["STIR"].voxels[3], atol=1e-3)
    assert calls == ["robust"] and whole.info["timings"]["register"] == 0
    run("synthesis", {**wish, "normalisation": "minmax"}, volumes, models)
    assert calls == ["robust", "minmax"]


def test_a_preview_says_whether_there_was_a_slice_and_anything_on_it(asked):
    wish = {**asked, "register": False, "targets": [{"sequence": "STIR", "prompt": ""}]}
    models, (axial, _) = ModelCache("cpu"), pair()
    nothing = axial.voxels.copy()
    nothing[-1] = 0
    axial = axial.with_voxels(nothing)
    sagittal = axial.replace(index_to_world=axial.index_to_world[:, [1, 2, 0, 3]])
    ways = ((axial, 8, (True, True)), (axial, 15, (True, False)), (sagittal, 8, (False, False)))
    for volume, index, expected in ways:
        seen = []
        listen = Callbacks(on_slice=seen.append)
        info = run("preview", {**wish, "visible_slice": index}, [volume], models, listen).info
        assert (info["made"], info["inside"]) == expected and len(seen) == expected[0]


def test_another_way_to_scale_is_said_in_the_result_and_an_unknown_one_refused(asked):
    wish = {**asked, "targets": [{"sequence": "STIR", "prompt": ""}], "normalisation": "minmax"}
    result = run("synthesis", wish, pair()[:1], ModelCache("cpu"))
    assert any("'minmax'" in text for text in result.info["warnings"])
    with pytest.raises(InputError, match="no normalisation 'magic'"):
        run("synthesis", {**wish, "normalisation": "magic"}, pair()[:1], ModelCache("cpu"))


def test_inputs_that_show_different_places_are_remarked_on_without_preparing_them(asked):
    first, second = pair()
    away = second.index_to_world.copy()
    away[0, 3] += 900
    volumes = [first, second.replace(index_to_world=away)]
    remarks = run("study", asked, volumes, ModelCache("cpu")).info["remarks"]
    assert remarks[0] == [] and remarks[1][0]["serious"]


def test_every_device_has_a_name_and_its_memory():
    devices = run("devices", {}, [], ModelCache("cpu")).info["devices"]
    assert devices[-1]["name"] == "cpu" and devices[-1]["label"]
    assert all(0 < each["free_mb"] <= each["total_mb"] for each in devices)
