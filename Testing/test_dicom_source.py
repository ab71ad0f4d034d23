"""The series that an image came from: found by where its slices lie, never one that only looks
like it, never put together from two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.valuerep import IS

from dicom_series import (
    AXIAL,
    CORONAL,
    OBLIQUE,
    PRONE,
    SAGITTAL,
    SPACING,
    enhanced,
    picture,
    slice_data,
    write,
    write_series,
)
from MRISynthLib.errors import InputError
from MRISynthLib.io import load, load_one, save
from MRISynthLib.io.dicom_source import check_one_patient, dicom_files, find_source, of_study
from MRISynthLib.volume import Volume


def flipped(volume: Volume, *axes: int) -> Volume:
    """The same image, its array running the other way along these axes."""
    matrix = np.array(volume.index_to_world)
    for axis in axes:
        matrix[:3, 3] += matrix[:3, 2 - axis] * (volume.shape[axis] - 1)
        matrix[:3, 2 - axis] *= -1
    return volume.with_voxels(np.flip(volume.voxels, axes), index_to_world=matrix)


def converted(volume: Volume, path: Path, *axes: int) -> Volume:
    """The image as another program's NIfTI has it: turned, and all that DICOM said forgotten."""
    save(flipped(volume, *axes), path)
    return load_one(path)


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def setting(**values: object) -> Callable[[Dataset, int], None]:
    """A change of every slice for :func:`write_series`."""

    def change(data: Dataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(data, keyword, value)

    return change


# --- which slices ---------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, CORONAL, PRONE, OBLIQUE])
def test_each_slice_of_the_image_has_its_own_header(tmp_path: Path, axes: np.ndarray) -> None:
    image = load_one(write_series(tmp_path, axes=axes))
    source = find_source([tmp_path], image)
    assert source.turned == () and not source.is_multiframe
    assert source.name == "t1_tse_tra" and source.frame_of_reference() == "1.2.4"
    for k, each in enumerate(source.slices):
        place = (image.index_to_world @ (0, 0, k, 1))[:3]
        np.testing.assert_allclose(each.header.ImagePositionPatient, place, atol=1e-4)
        assert each.header.InstanceNumber == k + 1 and each.path.parent == tmp_path


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_an_image_whose_axes_were_turned_on_the_way(tmp_path: Path, axes: tuple) -> None:
    series = write_series(tmp_path / "series", axes=OBLIQUE)
    image = converted(load_one(series), tmp_path / "image.nii.gz", *axes)
    source = find_source([series], image)
    assert set(source.turned) == set(axes) - {0}
    turned = source.in_series(image.voxels)
    for k, each in enumerate(source.slices):
        np.testing.assert_array_equal(turned[k], picture(each.header.InstanceNumber - 1))


def test_frames_of_an_enhanced_file(tmp_path: Path) -> None:
    order = (3, 0, 7, 1, 2, 6, 4, 5)
    path = enhanced(tmp_path / "enhanced.dcm", [slice_data(k, SAGITTAL) for k in order])
    source = find_source([path], load_one(path))
    assert source.is_multiframe
    assert [order[each.frame - 1] for each in source.slices] == list(range(8))


def test_a_part_of_the_slices_is_enough_if_the_image_has_no_others(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path))
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += 2 * matrix[:3, 2]
    part = Volume(image.voxels[2:5], matrix)
    assert [each.header.InstanceNumber for each in find_source([tmp_path], part).slices] == [
        3,
        4,
        5,
    ]


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path / "study" / "series"))
    (tmp_path / "study" / "notes.txt").write_text("nothing")
    (tmp_path / "study" / "empty.dcm").touch()
    (tmp_path / "study" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    report = slice_data(0, series="1.2.3.9")
    del report.Rows, report.Columns, report.PixelData
    write(report, tmp_path / "study" / "report.dcm")
    assert len(find_source([tmp_path], image).slices) == 8
    assert len(dicom_files([tmp_path])) == 10


# --- which series ---------------------------------------------------------------------------


def both(tmp_path: Path, first: str, second: str, **second_differs: object) -> Path:
    """Two series on the same grid, in folders of these names."""
    write_series(tmp_path / first, series="1.2.3.1")
    write_series(tmp_path / second, series="1.2.3.2", change=setting(SeriesDescription="other"))
    return tmp_path


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_two_series_on_one_grid_the_one_that_was_read(tmp_path: Path, names) -> None:
    folder = both(tmp_path, *names)
    for image in load(folder):
        assert find_source([folder], image).name == image.name


def test_the_series_that_was_read_is_not_replaced_by_a_more_complete_one(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path / "read"))
    write_series(tmp_path / "other", series="1.2.3.2", change=setting(SeriesDescription="other"))
    (tmp_path / "read" / "IM004").unlink()
    said = refusal(lambda: find_source([tmp_path], image))
    assert "t1_tse_tra" in said and "lacks 1 of 8" in said and "number 5" in said


def test_a_copy_of_the_series_under_other_uids_will_do(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path / "read"))
    copy = write_series(tmp_path / "anonymised", series="1.2.3.2")
    assert find_source([copy], image).header.SeriesInstanceUID == "1.2.3.2"


@pytest.mark.parametrize(
    "keyword, values",
    [
        ("EchoTime", ("10", "90")),
        ("EchoTime", ("20", "100")),
        ("TemporalPositionIdentifier", (1, 2)),
    ],
)
def test_images_of_one_series_are_never_mixed(tmp_path: Path, keyword: str, values: tuple) -> None:
    for place, number in enumerate(np.random.default_rng(0).permutation(12)):
        data = slice_data(number // 2)
        setattr(data, keyword, values[number % 2])
        write(data, tmp_path / "series" / f"{place:02d}")
    images = load(tmp_path / "series")
    for image, value in zip(images, values, strict=True):
        source = find_source([tmp_path / "series"], image)
        assert {each.header[keyword].value for each in source.slices} == {IS(value)}
    source = find_source([tmp_path], converted(images[1], tmp_path / "image.nii.gz"))
    assert len({each.header[keyword].value for each in source.slices}) == 1


# --- what is refused ------------------------------------------------------------------------


def test_missing_slices_are_named(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path / "whole"))
    part = write_series(tmp_path / "part", indices=(0, 1, 2, 4, 5, 7))
    said = refusal(lambda: find_source([part], image))
    assert "lacks 2 of 8 slices" in said and "number 4, 7" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda data, k: setattr(
            data, "ImagePositionPatient", [-40.0, -28.0, 5 + k * SPACING]
        ),  # 2 mm off
        lambda data, k: setattr(data, "PixelSpacing", [0.9, 0.9]),
        lambda data, k: setattr(data, "ImagePositionPatient", [-40.0, -30 + k, 5 + k * SPACING]),
    ],
    ids=["shifted", "scaled", "tilted"],
)
def test_a_series_that_lies_elsewhere(tmp_path: Path, change) -> None:
    image = load_one(write_series(tmp_path / "one"))
    other = write_series(tmp_path / "other", change=change, series="1.2.3.2")
    said = refusal(lambda: find_source([other], image))
    assert "t1_tse_tra" in said and "where t1_tse_tra has them" in said


def test_a_tilted_series_is_not_the_upright_image_made_from_it(tmp_path: Path) -> None:
    def tilt(data: Dataset, k: int) -> None:
        data.ImagePositionPatient = [-40.0, -30.0 + 1.5 * k, 5.0 + k * SPACING]

    series = write_series(tmp_path, change=tilt)
    assert "resampled" in refusal(lambda: find_source([series], load_one(series)))


def test_no_dicom_at_all(tmp_path: Path) -> None:
    image = load_one(write_series(tmp_path / "series"))
    (tmp_path / "empty").mkdir()
    assert "no DICOM image" in refusal(lambda: find_source([tmp_path / "empty"], image))
    assert "no DICOM image" in refusal(lambda: find_source([tmp_path / "gone"], image))


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName"])
def test_a_series_of_two_patients(tmp_path: Path, keyword: str) -> None:
    def change(data: Dataset, index: int) -> None:
        setattr(data, keyword, f"Doe^{index // 4}")

    image = load_one(write_series(tmp_path, change=change))
    assert keyword in refusal(lambda: find_source([tmp_path], image))


def test_no_frame_of_reference(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        del data.FrameOfReferenceUID

    source = find_source([tmp_path], load_one(write_series(tmp_path, change=change)))
    assert "FrameOfReferenceUID" in refusal(source.frame_of_reference)


# --- patient and study ----------------------------------------------------------------------


def test_one_patient_however_the_name_is_written() -> None:
    latin, utf8 = Dataset(), Dataset()
    latin.SpecificCharacterSet, utf8.SpecificCharacterSet = "ISO_IR 100", "ISO_IR 192"
    latin.PatientName = utf8.PatientName = "Müller^Jörg"
    latin.PatientID = utf8.PatientID = "7"
    check_one_patient([latin, utf8])
    utf8.PatientID = "8"
    assert "PatientID" in refusal(lambda: check_one_patient([latin, utf8]))


def named(**values: object) -> Dataset:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^John", "DOE^JOHN"),
        ("Doe^John^^^", "Doe^John"),
        ("Doe^John ", "Doe ^ John"),
        ("Müller^Jörg", "Mu\u0308ller^Jo\u0308rg"),  # the dots as characters of their own
        ("Wang^XiaoDong=王^小东", "WANG^XIAODONG"),
        ("Wang^XiaoDong=王^小东", "=王^小东"),
        ("Doe^John", ""),
    ],
)
def test_a_name_written_otherwise_or_not_at_all_is_no_other_patient(one: str, other: str) -> None:
    check_one_patient([named(PatientID="7", PatientName=name) for name in (one, other, one)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^John", "Doe^Joan"),
        ("Doe^John", "Doe^^John"),
        ("Wang^Wei=王^伟", "Wang^Wei=王^薇"),
        ("=王^伟", "Wang^Wei=王^薇"),
    ],
)
def test_other_names_are_other_patients(one: str, other: str) -> None:
    headers = [named(PatientID="", PatientName=name) for name in (one, "", other)]
    assert "PatientName differs" in refusal(lambda: check_one_patient(headers))


def test_an_unknown_number_is_no_other_patient() -> None:
    nameless, unnumbered = named(PatientID="7"), named(PatientID="", PatientName="Doe^John")
    check_one_patient([nameless, unnumbered, named(PatientID=" 7 "), named()])
    said = refusal(lambda: check_one_patient([nameless, unnumbered, named(PatientID="8")]))
    assert "PatientID differs" in said


def test_patient_and_study_are_copied_and_the_rest_is_not() -> None:
    header = slice_data(0)
    header.InstitutionName = "Where the scanner stands"
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientName, header.StudyDate, header.PatientAge = "Müller^Jörg", "20260102", "061Y"
    made = of_study(header)
    assert str(made.PatientName) == "Müller^Jörg" and made.SpecificCharacterSet == "ISO_IR 100"
    assert (made.PatientID, made.StudyInstanceUID, made.PatientAge) == ("4711", "1.2.3", "061Y")
    assert made.AccessionNumber == "" and made.PatientSex == ""  # of type 2: there, and empty
    for keyword in ("SeriesInstanceUID", "EchoTime", "PixelData", "PatientWeight",
                    "InstitutionName"):  # fmt: skip
        assert keyword not in made
