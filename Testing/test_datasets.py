"""Datasets by their published layouts: recognised, read exactly, checked, parted, drawn from."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dataset_layouts import HANSEG, SEGRAP, WRITERS, write_image, write_mask
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one, save
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.training.datasets import (
    LAYOUTS,
    DatasetCase,
    detect,
    hanseg,
    open_dataset,
    read_split,
    segrap,
    split,
)
from MRISynthLib.volume import Volume


@pytest.fixture
def copied(folders, tmp_path):
    """A function that copies a kind's folder for a test to break."""
    return lambda kind: shutil.copytree(folders[kind], tmp_path / kind)


def _case(dataset, name) -> DatasetCase:
    return next(case for case in dataset.cases if case.name == name)


def _texts(findings) -> str:
    return "\n".join(map(str, findings))


# --- which dataset it is ------------------------------------------------------------------


def test_every_layout_is_recognised_from_its_folder_and_from_above(folders, tmp_path):
    assert set(folders) == set(LAYOUTS)
    for kind, folder in folders.items():
        dataset = open_dataset(folder)
        assert detect(folder) == detect(dataset.root) == dataset.kind == kind
        assert len({case.patient for case in dataset.cases}) == 2
        assert all(case.patient.startswith(f"{kind}/") for case in dataset.cases)
        assert open_dataset(dataset.root, kind).cases == dataset.cases


def test_other_folders_are_refused_in_words(folders, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"beach\.jpg.*foshan.*T1WI.*hntsmrg.*hanseg.*segrap"):
        detect(tmp_path / "holiday")
    with pytest.raises(InputError, match="no folder"):
        detect(tmp_path / "none")
    with pytest.raises(InputError, match="one patient of Foshan"):
        detect(folders["foshan"] / "data" / "MRI-Segments" / "001")
    with pytest.raises(InputError, match="choose cohort, foshan"):
        open_dataset(folders["foshan"], "fohsan")
    with pytest.raises(InputError, match=r"no layout that is known.*case_01_IMG_CT"):
        open_dataset(folders["foshan"], "hanseg")
    mixed = tmp_path / "mixed"
    for kind in ("hanseg", "hntsmrg"):
        shutil.copytree(next(folders[kind].iterdir()), mixed / kind)
    with pytest.raises(InputError, match="several datasets"):
        detect(mixed)


# --- what is read -------------------------------------------------------------------------


def test_foshan_gives_each_sequence_its_own_mask_on_its_own_grid(people, tmp_path):
    who = people[0].moved((7.0, -3.0, 2.0), "T2w")
    WRITERS["foshan"](tmp_path, who, 12)
    (case,) = open_dataset(tmp_path).cases
    assert case.patient == "foshan/012" and not case.registered
    loaded = case.load()
    assert list(loaded.volumes) == ["T1w", "T2w", "CE-T1w"]
    for name, volume in loaded.volumes.items():
        assert volume.sequence == name and volume.same_geometry(who.volumes[name], 1e-3)
        np.testing.assert_array_equal(volume.voxels, who.volumes[name].voxels)
        # masks of 0 and 255, 0 and 1, 3 and 7
        np.testing.assert_array_equal(loaded.masks[name]["GTVp"], who.masks["GTVp"])
    assert loaded.volumes["T2w"].acquisition["EchoTime"] == 80
    assert set(case.load(["T2w"]).volumes) == {"T2w"}


def test_foshan_says_so_where_the_header_says_that_fat_is_suppressed(people, tmp_path):
    from dataset_layouts import FOSHAN

    FOSHAN["CE-T1w"][3]["ScanOptions"] = "FS"
    FOSHAN["CE-T1w"][3]["SeriesDescription"] = "Ax T1 FS+C"
    try:
        WRITERS["foshan"](tmp_path, people[0], 1)
    finally:
        del FOSHAN["CE-T1w"][3]["ScanOptions"], FOSHAN["CE-T1w"][3]["SeriesDescription"]
    (case,) = open_dataset(tmp_path).cases
    assert list(case.images) == ["T1w", "T2w", "CE-T1w-FS"]
    assert case.labels_on("CE-T1w-FS") and case.image("CE-T1w-FS").sequence == "CE-T1w-FS"


def test_hntsmrg_keeps_the_examinations_of_a_patient_apart_and_his_name(people, folders):
    dataset = open_dataset(folders["hntsmrg"])
    assert [case.name for case in dataset.cases[:3]] == ["1_preRT", "1_midRT", "1_preRT_registered"]
    assert {case.patient for case in dataset.cases[:3]} == {"hntsmrg/1"}
    assert [case.derived_from for case in dataset.cases[:3]] == [None, None, "1_preRT"]
    before, after = dataset.cases[0].load(), dataset.cases[1].load()
    np.testing.assert_array_equal(before.masks["T2w"]["GTVp"], people[0].masks["GTVp"])
    np.testing.assert_array_equal(before.masks["T2w"]["GTVn"], people[0].masks["Brainstem"])
    assert after.masks["T2w"]["GTVp"].any() and not after.masks["T2w"]["GTVn"].any()
    assert not before.volumes["T2w"].same_geometry(after.volumes["T2w"])


def test_hanseg_puts_cropped_and_divided_masks_together_on_the_ct(people, folders):
    loaded = open_dataset(folders["hanseg"]).cases[0].load()
    assert loaded.masks["T1w"] == {}
    assert set(loaded.masks["CT"]) == {*HANSEG, "Eye_L", "Eye_R"}
    for name, mask in loaded.masks["CT"].items():
        np.testing.assert_array_equal(mask, people[0].masks[name])


def test_segrap_reads_masks_of_any_values_and_joins_the_mandible(people, folders):
    plain, agent = open_dataset(folders["segrap"]).cases[:2]
    assert plain.patient == agent.patient and plain.name != agent.name
    loaded = plain.load()
    for ours in (*SEGRAP.values(), "Bone_Mandible"):
        np.testing.assert_array_equal(loaded.masks["CT"][ours], people[0].masks[ours])
    assert not loaded.masks["CT"]["GTVn"].any()
    assert agent.image("CT").acquisition["ContrastBolusAgent"]
    assert "ContrastBolusAgent" not in loaded.volumes["CT"].acquisition


def test_the_cohorts_own_folder(people, folders):
    case = open_dataset(folders["cohort"]).cases[0]
    loaded = case.load()
    assert set(loaded.volumes) == {"T1w", "T2w", "CE-T1w"}
    drawn_on = {image for image, masks in loaded.masks.items() if masks}
    assert len(drawn_on) == 1
    masks = loaded.masks[drawn_on.pop()]
    np.testing.assert_array_equal(masks["Parotid_R"], people[0].masks["Parotid_R"])
    assert not masks["Cochlea_L"].any()  # absent, and known to be
    assert case.tissue is not None


def test_labels_of_the_cohort_belong_to_the_image_whose_grid_they_have(people, folders, copied):
    folder = copied("cohort") / "sub-virtual000001"
    image = people[0].volumes["T1w"].replace(voxels=people[0].volumes["T1w"].voxels[:-2])
    write_image(folder / "anat" / "sub-virtual000001_T1w.nii.gz", image)
    case = open_dataset(folder.parent).cases[0]
    assert case.labels_on("T1w") == {} and "GTVp" in case.labels_on("CE-T1w")
    record = json.loads((folder / "case.json").read_text(encoding="utf-8")) | {"reference": "T2w"}
    (folder / "case.json").write_text(json.dumps(record))
    assert "GTVp" in open_dataset(folder.parent).cases[0].labels_on("T2w")


def test_bids_names_and_dicom_series_are_read_as_well(people, tmp_path):
    from dataset_layouts import write_series

    write_image(tmp_path / "sub-01" / "anat" / "sub-01_ce-gd_T1w.nii.gz", people[0].volumes["T1w"])
    write_series(tmp_path / "sub-01" / "dicom" / "T2w", people[0].volumes["T2w"], "1.2.9")
    (case,) = open_dataset(tmp_path).cases
    assert list(case.images) == ["CE-T1w", "T2w"]
    assert case.image("T2w").shape == people[0].volumes["T2w"].shape


def test_a_mask_stored_in_another_order_of_axes_is_the_same_mask(people, copied):
    root = copied("foshan")
    path = root / "data" / "MRI-Segments" / "001" / "ROI-T1.nii"
    label = load_one(path)
    turned = label.index_to_world @ np.array(
        [[0, -1, 0, label.shape[2] - 1], [0, 0, 1, 0], [-1, 0, 0, label.shape[0] - 1], [0, 0, 0, 1]]
    )
    # new (column, row, slice) = old (slice reversed, column reversed, row)
    voxels = label.voxels.transpose(1, 2, 0)[:, ::-1, ::-1]
    save(Volume(np.ascontiguousarray(voxels), turned), path)
    assert not load_one(path).same_geometry(label)
    loaded = open_dataset(root).cases[0].load(["T1w"])
    np.testing.assert_array_equal(loaded.masks["T1w"]["GTVp"], people[0].masks["GTVp"])


def test_the_published_names_are_all_known_and_none_is_used_twice():
    for module, count in ((hanseg, 30), (segrap, 47)):
        parts = [part for group in module.STRUCTURES.values() for part in group]
        assert len(parts) == len(set(parts)) == count
    mapped = set(LABELLED_STRUCTURES) & set(segrap.STRUCTURES)
    assert {"GTVp", "GTVn", "Joint_TM_L", "Musc_Constrict", "Lobe_Temporal_R"} <= mapped
    assert set(hanseg.STRUCTURES) & set(LABELLED_STRUCTURES) >= {"A_Carotid_L", "Eye_R"}
    assert not {"Larynx", "Esophagus"} & set(hanseg.STRUCTURES)  # only parts are drawn there


# --- what is missing or odd ---------------------------------------------------------------


def test_sound_folders_are_found_sound(folders):
    for folder in folders.values():
        dataset = open_dataset(folder)
        findings = dataset.check()
        assert not [finding for finding in findings if finding.unusable], folder
        assert dataset.sound(findings) == dataset.cases


def _foshan(root):
    return root / "data" / "MRI-Segments" / "002"


def _remove_mask(root, who):
    (_foshan(root) / "ROI-T2.nii").unlink()


def _empty_mask(root, who):
    image = who.volumes["T2w"]
    write_mask(_foshan(root) / "ROI-T2.nii", np.zeros(image.shape, bool), image)


def _shift_mask(root, who):
    image = who.moved((1.3, 0, 0), "T2w").volumes["T2w"]
    write_mask(_foshan(root) / "ROI-T2.nii", who.masks["GTVp"], image)


def _shift_mask_by_voxels(root, who):
    image = who.moved((4 * 3 * 0.94, 0, 0), "T2w").volumes["T2w"]
    write_mask(_foshan(root) / "ROI-T2.nii", who.masks["GTVp"], image)


def _crop_mask(root, who):
    image = who.volumes["T2w"]
    cut = image.replace(voxels=image.voxels[:-1])
    write_mask(_foshan(root) / "ROI-T2.nii", who.masks["GTVp"][:-1], cut)


def _damage_mask(root, who):
    (_foshan(root) / "ROI-T2.nii").write_bytes(b"not an image")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_remove_mask, r"002 has no mask on T2w: .*ROI-T2\.nii is missing"),
        (_empty_mask, r"ROI-T2\.nii is an empty mask"),
        (_shift_mask, r"ROI-T2\.nii lies on another grid .* 1\.3 mm apart"),
        (_shift_mask_by_voxels, r"ROI-T2\.nii lies on another grid .* 11\.3 mm apart"),
        (_crop_mask, r"another grid .* x 15 voxels instead of .* x 16,"),
        (_damage_mask, r"ROI-T2\.nii is truncated, damaged or not an image"),
    ],
)
def test_a_bad_mask_is_named_and_only_that_mask_is_lost(people, copied, damage, says):
    root = copied("foshan")
    damage(root, people[1])
    dataset = open_dataset(root)
    findings = dataset.check()
    assert re.search(says, _texts(findings))
    assert all("002" in str(f) for f in findings if f.unusable)
    if damage is not _remove_mask:
        with pytest.raises(InputError):
            _case(dataset, "002").load()
    first, second = dataset.sound(findings)
    assert first == _case(dataset, "001")
    assert set(second.images) == {"T1w", "T2w", "CE-T1w"}
    assert second.labels_on("T2w") == {} and "GTVp" in second.labels_on("CE-T1w")
    loaded = second.load()
    assert loaded.masks["T2w"] == {} and loaded.masks["T1w"]["GTVp"].any()
    if damage is not _remove_mask:
        assert re.search(says, " ".join(second.notes))


def test_a_missing_slice_is_said_and_too_many_are_refused(copied):
    root = copied("foshan")
    files = sorted((_foshan(root) / "T1WI").iterdir())
    files[5].unlink()
    dataset = open_dataset(root)
    found = [f for f in dataset.check() if f.case == "002"]
    assert "is missing; it was filled" in _texts(found) and not any(f.unusable for f in found)
    for file in files[7:15:2]:
        file.unlink()
    findings = dataset.check()
    bad = [f for f in findings if f.unusable]
    assert [(f.case, f.image, f.structure) for f in bad] == [("002", "T1w", None)]
    assert set(_case(dataset, "002").images) == {"T1w", "T2w", "CE-T1w"}
    assert set(dataset.sound(findings)[1].images) == {"T2w", "CE-T1w"}


def test_a_slice_missing_at_the_end_shows_in_the_mask(copied):
    root = copied("foshan")
    sorted((_foshan(root) / "T1WI").iterdir())[0].unlink()
    found = _texts(open_dataset(root).check())
    assert re.search(r"ROI-T1.nii .* x 16 voxels instead of .* x 15,", found)


def test_values_without_a_known_meaning_make_a_mask_unusable(copied, people):
    root = copied("hntsmrg")
    path = root / "HNTSMRG24_train" / "1" / "preRT" / "1_preRT_mask.nii.gz"
    label = load_one(path)
    voxels = label.voxels.copy()
    voxels[3, 4, 5] = 7
    save(label.with_voxels(voxels), path)
    dataset = open_dataset(root)
    findings = dataset.check()
    bad = [f for f in findings if f.unusable]
    assert {(f.case, f.structure) for f in bad} == {("1_preRT", "GTVp"), ("1_preRT", "GTVn")}
    assert "only 0, 1, 2 have a meaning" in str(bad[0]) and " 7 " in str(bad[0])
    assert dataset.sound(findings)[0].labels == {}


def test_a_mask_that_is_not_binary_is_remarked(copied):
    root = copied("segrap")
    path = next(root.rglob("segrap_0001/BrainStem.nii.gz"))
    label = load_one(path)
    voxels = label.voxels.copy()
    voxels[0, 0, 0] = 3
    save(label.with_voxels(voxels), path)
    found = [f for f in open_dataset(root).check() if "not binary" in str(f)]
    assert {f.structure for f in found} == {"Brainstem"} and "above 1.5 count" in str(found[0])


def test_an_empty_mask_may_be_right_and_is_said_where_it_is_odd(copied):
    root = copied("hntsmrg")
    path = root / "HNTSMRG24_train" / "2" / "midRT" / "2_midRT_mask.nii.gz"
    label = load_one(path)
    save(label.with_voxels(np.zeros_like(label.voxels)), path)
    dataset = open_dataset(root)
    findings = dataset.check()
    assert {f.case for f in findings if "empty mask" in str(f)} == {"2_midRT"}
    assert not _case(dataset, "2_midRT").load().masks["T2w"]["GTVp"].any()
    assert "GTVp" in dataset.sound(findings)[4].labels  # absent is knowledge


def test_what_is_not_there_or_not_known_is_said(copied):
    root = copied("hntsmrg") / "HNTSMRG24_train"
    (root / "1" / "midRT" / "1_midRT_T2.nii.gz").unlink()
    (root / "2" / "preRT" / "2_preRT_mask.nii.gz").unlink()
    (root / "3").mkdir()
    text = _texts(open_dataset(root).findings)
    assert "1_midRT_T2.nii.gz" in text and "2_preRT has no mask" in text
    assert "3 has no T2w image" in text and "2 of the 150 patients" in text

    root = copied("hanseg") / "set_1"
    shutil.copy(root / "case_01" / "case_01_OAR_Brainstem.seg.nrrd",
                root / "case_01" / "case_01_OAR_Tail.seg.nrrd")  # fmt: skip
    (root / "case_01" / "case_01_OAR_Eye_AL.seg.nrrd").unlink()
    (root / "case_02" / "case_02_IMG_CT.nrrd").unlink()
    dataset = open_dataset(root)
    text = _texts(dataset.findings)
    assert "a mask 'Tail'" in text and "no mask of A_Carotid_L" in text
    assert "Eye_L" not in dataset.cases[0].labels and "Eye_R" in dataset.cases[0].labels
    assert "case_02 has masks but not the CT" in text and dataset.cases[1].labels == {}

    root = copied("cohort")
    (root / "sub-virtual000001" / "labels" / "Parotid_L.nii.gz").unlink()
    (root / "sub-virtual000002" / "case.json").write_text("{")
    text = _texts(open_dataset(root).findings)
    assert "sub-virtual000001 has no mask of Parotid_L" in text and "not readable JSON" in text


def test_one_patient_under_two_names_is_found_and_stays_together(copied):
    root = copied("foshan")
    shutil.copytree(_foshan(root), _foshan(root).with_name("017"))
    dataset = open_dataset(root)
    findings = dataset.check()
    found = [f for f in findings if f.same_patient]
    assert {(f.case, f.same_patient) for f in found} == {("017", "002")}
    assert "voxel for voxel" in str(found[0])
    patients = [case.patient for case in dataset.sound(findings)]
    assert patients == ["foshan/001", "foshan/002", "foshan/002"]


def test_a_header_that_contradicts_the_folder_is_remarked(copied, people):
    from dataset_layouts import write_series

    root = copied("foshan")
    shutil.rmtree(_foshan(root) / "T1WI")
    write_series(_foshan(root) / "T1WI", people[1].volumes["T1w"], "1.2.7",
                 SeriesDescription="Ax T2 FSE", RepetitionTime="4000", EchoTime="80")  # fmt: skip
    assert "says T2w, but its place says T1w" in _texts(open_dataset(root).check())


# --- splits -------------------------------------------------------------------------------


def _people(count, start=0):
    return [
        DatasetCase(f"{n}_{time}", f"hntsmrg/{n}", {})
        for n in range(start, start + count)
        for time in ("preRT", "midRT")
    ]


SHARES = {"training": 0.7, "validation": 0.15, "test": 0.15}


def test_splits_go_by_patient_and_stay_when_patients_are_added(tmp_path):
    cases = _people(200)
    made = split(cases, SHARES, seed=5)
    parts = made.cases(cases)
    patients = {part: {case.patient for case in group} for part, group in parts.items()}
    assert sum(map(len, patients.values())) == 200
    assert sum(map(len, parts.values())) == 400
    for part, share in SHARES.items():
        assert abs(len(patients[part]) - 200 * share) < 25
    later = split(_people(260)[::-1], SHARES, seed=5)
    assert all(later.part_of(name) == part for part, names in patients.items() for name in names)
    assert split(cases, SHARES, seed=6) != made
    made.write(tmp_path / "split.json")
    read = read_split(tmp_path / "split.json")
    assert read == made
    assert {p: read.part_of(p) for p in later.patients["test"]} == dict.fromkeys(
        later.patients["test"], "test"
    )


def test_a_patient_stays_where_a_written_split_has_put_him(tmp_path):
    made = split(_people(40), SHARES, seed=1)
    moved = made.patients["test"][0]
    changed = {
        part: tuple(n for n in names if n != moved) + ((moved,) if part == "training" else ())
        for part, names in made.patients.items()
    }
    replace(made, patients=changed).write(tmp_path / "split.json")
    assert read_split(tmp_path / "split.json").part_of(moved) == "training"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a split"),
        ('{"seed": 1, "shares": {"a": 1.0}}', "not a split"),
        ('{"seed": 1, "shares": {"a": 0.5}, "patients": {"a": []}}', "sum 1"),
        ('{"seed": 1, "shares": {"a": 1.0}, "patients": {"b": []}}', "different parts"),
        (
            '{"seed": 1, "shares": {"a": 0.5, "b": 0.5}, "patients": {"a": ["p"], "b": ["p"]}}',
            "patient p in a and in b",
        ),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(tmp_path, content, says):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=says):
        read_split(tmp_path / "split.json")
    with pytest.raises(InputError, match="no split"):
        read_split(tmp_path / "none.json")


def test_a_part_without_patients_is_refused():
    with pytest.raises(InputError, match="'b' without any of the 2 patients"):
        split(_people(2), {"a": 0.999999, "b": 0.000001}, 0)
    with pytest.raises(InputError, match="positive"):
        split(_people(2), {"a": 1.5, "b": -0.5}, 0)
