"""Synthetic images as DICOM: right in every number, and never to be taken for real ones."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from derived_series import PROVENANCE, everything, headers, made_on, read_in, references, refusal
from dicom_series import (
    AXIAL,
    OBLIQUE,
    SAGITTAL,
    SPACING,
    enhanced,
    slice_data,
)
from MRISynthLib.errors import Cancelled, InputError, OutputError
from MRISynthLib.io import dicom_derived, load_one
from MRISynthLib.io.dicom_derived import Study, write_synthetic_series
from MRISynthLib.io.dicom_provenance import found_provenance
from MRISynthLib.io.dicom_source import find_source
from MRISynthLib.provenance import DISCLAIMER, Provenance
from MRISynthLib.volume import Volume

NEWER_THAN_DCIODVFY = "(0x0008,0x001c)"
"""SyntheticData, an attribute of the standard that Debian's dciodvfy of 2022 does not know yet."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "series"


# --- what it says of itself -----------------------------------------------------------------


def test_it_is_marked_as_synthetic_in_every_way_that_there_is(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    for record in headers(write_synthetic_series(made_on(image), out, source)):
        assert list(record.ImageType[:3]) == ["DERIVED", "SECONDARY", "OTHER"]
        assert record.SyntheticData == "YES" and record.Modality == "MR"
        assert record.SeriesDescription == "SYNTHETIC CE-T1w"
        assert record.ImageComments.startswith("SYNTHETIC")
        assert record.Manufacturer == record.ManufacturerModelName == "MRISynth"
        assert record.BurnedInAnnotation == "NO"
        assert DISCLAIMER in record.DerivationDescription
        for said in ("T1w 't1_tse_tra'", "T2w 't2_tse_tra'", "flip angle 70 degrees"):
            assert said in record.DerivationDescription
        code = record.DerivationCodeSequence[0]
        assert (code.CodingSchemeDesignator, code.CodeMeaning) == ("DCM", "Artificial Intelligence")
        maker = record.ContributingEquipmentSequence[0]
        assert maker.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Synthesizing Equipment"
        assert maker.SoftwareVersions == "MRISynth 0.1.0"
        for said in ("npc-synthesis", "1.2", PROVENANCE.bundle_hash):
            assert said in maker.ContributionDescription


def test_patient_study_and_space_are_the_sources_and_the_series_is_new(
    tmp_path: Path, out: Path
) -> None:
    def change(data: Dataset, index: int) -> None:
        data.StudyDate, data.StudyID, data.AccessionNumber = "20260102", "S1", "A1"
        data.PatientPosition, data.BodyPartExamined, data.Laterality = "HFS", "HEAD", ""
        data.PositionReferenceIndicator = "NASION"
        data.InstitutionName, data.LossyImageCompression = "Somewhere", "01"
        data.LossyImageCompressionRatio = "9.5"

    image, source = read_in(tmp_path / "t1", change=change)
    made = headers(write_synthetic_series(made_on(image), out, source))
    again = headers(write_synthetic_series(made_on(image), tmp_path / "again", source))
    for record, each in zip(made, source.slices, strict=True):
        for keyword in (
            "PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate",
            "StudyID", "AccessionNumber", "FrameOfReferenceUID", "PositionReferenceIndicator",
            "PatientPosition", "BodyPartExamined", "SliceThickness", "InstanceNumber",
            "LossyImageCompression", "LossyImageCompressionRatio",
        ):  # fmt: skip
            assert record[keyword].value == each.header[keyword].value, keyword
        assert "InstitutionName" not in record  # of the scanner
    uids = [record.SOPInstanceUID for record in (*made, *again)]
    assert len({*uids, *(each.header.SOPInstanceUID for each in source.slices)}) == 24
    series = {record.SeriesInstanceUID for record in made}
    assert len(series) == 1 and series.isdisjoint({"1.2.3.1", again[0].SeriesInstanceUID})
    assert made[0].SeriesNumber == 9000
    other = write_synthetic_series(made_on(image), tmp_path / "12", source, series_number=12)
    assert headers(other)[0].SeriesNumber == 12


@pytest.mark.parametrize("sequence", ["CE-T1w", "T2w"])
def test_no_acquisition_and_no_contrast_agent_is_claimed(
    tmp_path: Path, out: Path, sequence: str
) -> None:
    def change(data: Dataset, index: int) -> None:
        data.ContrastBolusAgent, data.ContrastBolusRoute = "Gadovist", "IV"
        data.ContrastBolusVolume, data.ContrastBolusStartTime = "8", "120000"
        agent = Dataset()
        agent.CodeValue, agent.CodingSchemeDesignator, agent.CodeMeaning = "1", "99X", "Gadovist"
        data.ContrastBolusAgentSequence = [agent]
        data.ProtocolName = data.SequenceName = "*tse2 post KM"
        data.FlipAngle, data.MagneticFieldStrength, data.PixelBandwidth = "70", "3", "200"
        data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "SK", "FS", "2D"
        data.EchoTrainLength, data.InversionTime, data.DiffusionBValue = "5", "150", 1000.0
        data.AcquisitionDate, data.AcquisitionNumber = "20260102", 4
        data.ManufacturerModelName, data.DeviceSerialNumber = "Skyra", "12345"

    image, source = read_in(tmp_path / "t1", change=change)
    volume = made_on(image, sequence=sequence, name=f"SYNTHETIC {sequence}")
    record = headers(write_synthetic_series(volume, out, source))[0]
    said = {each.keyword: each.value for each in everything(record) if each.value not in ("", None)}
    assert not [keyword for keyword in said if "Contrast" in keyword]
    assert "Gadovist" not in str(record) and "post KM" not in str(record)
    assert said["ScanningSequence"] == "RM" and said["SequenceVariant"] == "NONE"
    acquired = {keyword for keyword in said if keyword and pydicom.tag.Tag(keyword).group == 0x18}
    assert acquired == {
        "ScanningSequence", "SequenceVariant", "SliceThickness", "SpacingBetweenSlices",
        "SoftwareVersions", "ContentQualification", "ContributingEquipmentSequence",
        "ContributionDescription",
    }  # fmt: skip
    assert not {"ProtocolName", "AcquisitionNumber", "AcquisitionDate"} & set(said)
    assert ("No contrast agent was given" in said["DerivationDescription"]) is (
        sequence == "CE-T1w"
    )


@pytest.mark.parametrize("offset", [None, "+0530", "-0800", "noon"])
def test_dates_are_now_in_the_zone_of_the_study(tmp_path: Path, out: Path, offset) -> None:
    def change(data: Dataset, index: int) -> None:
        if offset:
            data.TimezoneOffsetFromUTC = offset

    image, source = read_in(tmp_path / "t1", change=change)
    record = headers(write_synthetic_series(made_on(image), out, source))[0]
    now = datetime.now()
    if offset in ("+0530", "-0800"):
        now = datetime.now(UTC).replace(tzinfo=None)
        now += timedelta(hours=5, minutes=30) if offset == "+0530" else timedelta(hours=-8)
    for begin in ("Series", "Content", "InstanceCreation"):
        stated = record[f"{begin}Date"].value + record[f"{begin}Time"].value
        assert abs(datetime.strptime(stated, "%Y%m%d%H%M%S.%f") - now) < timedelta(minutes=5)


@pytest.mark.parametrize(
    "name, sequence, expected",
    [
        ("SYNTHETIC CE-T1w", "CE-T1w", "SYNTHETIC CE-T1w"),
        ("late\\phase", "CE-T1w", "SYNTHETIC CE-T1w late/phase"),
        ("SYNTHETIC T2w\nkurz " + "x" * 90, "T2w", "SYNTHETIC T2w kurz " + "x" * 45),
        ("", None, "SYNTHETIC CE-T1w"),
        ("T1增强", "CE-T1w", "SYNTHETIC CE-T1w T1??"),
    ],
)
def test_the_series_description_begins_with_the_word(
    tmp_path: Path, out: Path, name: str, sequence: str | None, expected: str
) -> None:
    image, source = read_in(tmp_path / "t1")
    volume = made_on(image, name=name, sequence=sequence)
    record = headers(write_synthetic_series(volume, out, source))[0]
    assert record.SeriesDescription == expected and len(expected) <= 64


def test_an_expected_error_is_not_shown_as_anatomy(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    provenance = Provenance.from_dict(PROVENANCE.to_dict() | {"kind": "uncertainty"})
    volume = made_on(image, name="SYNTHETIC CE-T1w uncertainty", sequence=None)
    volume = volume.replace(provenance=provenance)
    record = headers(write_synthetic_series(volume, out, source))[0]
    assert record.SeriesDescription == "SYNTHETIC CE-T1w uncertainty"
    assert "not anatomy" in record.DerivationDescription
    assert float(record.WindowCenter) == pytest.approx(float(record.WindowWidth) / 2)


def test_long_texts_are_cut_after_what_matters(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    long = PROVENANCE.to_dict() | {"understood": "very " * 400, "bundle": "b" * 2000}
    volume = made_on(image, provenance=Provenance.from_dict(long))
    record = headers(write_synthetic_series(volume, out, source))[0]
    text = record.DerivationDescription
    assert len(text) <= 1024 and text.endswith(" ...") and "No contrast agent" in text
    assert DISCLAIMER in text
    assert len(record.ContributingEquipmentSequence[0].ContributionDescription) <= 1024


@pytest.mark.parametrize("character_set", [None, "ISO_IR 100", "ISO_IR 192"])
def test_names_in_any_alphabet(tmp_path: Path, out: Path, character_set: str | None) -> None:
    name = {None: "Doe^John", "ISO_IR 100": "Müller^Jörg", "ISO_IR 192": "王^小東"}[character_set]

    def change(data: Dataset, index: int) -> None:
        if character_set:
            data.SpecificCharacterSet = character_set
        data.PatientName, data.StudyDescription = name, name

    image, source = read_in(tmp_path / "t1", change=change)
    inputs = ({"sequence": "T1w", "name": "Schädel 增强", "synthetic": False},)
    said = Provenance.from_dict(PROVENANCE.to_dict() | {"inputs": inputs})
    record = headers(write_synthetic_series(made_on(image, provenance=said), out, source))[0]
    assert str(record.PatientName) == name and record.StudyDescription == name
    assert record.get("SpecificCharacterSet") == character_set
    expected = {None: "Sch?del ??", "ISO_IR 100": "Schädel ??", "ISO_IR 192": "Schädel 增强"}
    assert f"'{expected[character_set]}'" in record.DerivationDescription
    assert found_provenance(record)["provenance"] == said


# --- sources --------------------------------------------------------------------------------


def moved(by: Sequence[float], axes: np.ndarray = AXIAL) -> Callable[[Dataset, int], None]:
    def change(data: Dataset, index: int) -> None:
        data.ImagePositionPatient = list(
            np.array([-40.0, -30.0, 5.0]) + by + index * SPACING * axes[:, 2]
        )

    return change


def sideways(data: Dataset, index: int) -> None:
    data.ImagePositionPatient = [-42.0 + 1.5 * index, -30.0, 5.0]


def test_every_slice_names_the_slices_that_it_was_made_from(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    _, same = read_in(tmp_path / "t2", series="1.2.3.2", change=moved((1, 2, 0)))
    _, between = read_in(tmp_path / "flair", series="1.2.3.3", change=moved((0, 0, SPACING / 2)))
    _, across = read_in(tmp_path / "sag", SAGITTAL, "1.2.3.4", change=sideways)
    inputs = [same, source, between, across]
    made = headers(write_synthetic_series(made_on(image), out, source, sources=inputs))
    uids = [[each.header.SOPInstanceUID for each in one.slices] for one in inputs]
    x = [float(each.header.ImagePositionPatient[0]) for each in across.slices]
    crossing = [uid for uid, x in zip(uids[3], x, strict=True) if x > -41.5]  # they end at -40
    assert len(crossing) == 7
    for k, record in enumerate(made):
        found = references(record)
        beside = [uids[2][n] for n in (k - 1, k) if n >= 0]
        assert found == [uids[1][k], uids[0][k], *beside, *crossing]
        named = [
            instance.ReferencedSOPInstanceUID
            for series in record.ReferencedSeriesSequence
            for instance in series.ReferencedInstanceSequence
        ]
        assert sorted(named) == sorted(found)


def test_sources_of_another_study_and_another_space(tmp_path: Path, out: Path) -> None:
    def earlier(data: Dataset, index: int) -> None:
        data.StudyInstanceUID, data.FrameOfReferenceUID = "1.2.77", "1.2.78"
        data.LossyImageCompression, data.BurnedInAnnotation = "01", "YES"

    image, source = read_in(tmp_path / "t1")
    _, other = read_in(tmp_path / "old", series="1.2.3.2", change=earlier)
    record = headers(write_synthetic_series(made_on(image), out, source, sources=[other]))[2]
    assert len(references(record)) == 1 + 8  # nothing says which of them
    (series,) = record.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.3.1" and len(series.ReferencedInstanceSequence) == 1
    (study,) = record.StudiesContainingOtherReferencedInstancesSequence
    assert study.StudyInstanceUID == "1.2.77"
    assert len(study.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 8
    assert record.StudyInstanceUID == "1.2.3" and record.FrameOfReferenceUID == "1.2.4"
    assert (record.LossyImageCompression, record.BurnedInAnnotation) == ("01", "YES")


# --- a study that the user states -------------------------------------------------------------


def test_a_stated_study_is_written_and_nothing_is_invented(tmp_path: Path, small_volume) -> None:
    study = Study("ID 7", "Müller^Jörg", study_date="20260131", study_description="王")
    first, second = (
        headers(write_synthetic_series(made_on(small_volume), tmp_path / name, study))[0]
        for name in ("a", "b")
    )
    assert (str(first.PatientName), first.PatientID) == ("Müller^Jörg", "ID 7")
    assert (first.StudyDate, first.StudyDescription) == ("20260131", "王")
    for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID"):
        assert first[keyword].value == ""
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert "SourceImageSequence" not in first
    nobody = headers(
        write_synthetic_series(made_on(small_volume), tmp_path / "c", Study.placeholder())
    )[0]
    assert (str(nobody.PatientName), nobody.PatientID) == ("NO^PATIENT^DATA", "NO-PATIENT-DATA")
    assert nobody.StudyInstanceUID not in ("", first.StudyInstanceUID)


@pytest.mark.parametrize(
    "field, value",
    [
        ("patient_id", ""), ("patient_id", "x" * 65), ("patient_id", "a\\b"),
        ("patient_name", "a\nb"), ("patient_birth_date", "1950"), ("patient_sex", "W"),
        ("study_uid", "1.02.3"), ("study_uid", "abc"), ("study_uid", "1." + "2" * 64),
        ("study_date", "20261301"), ("study_id", "x" * 17), ("frame_of_reference_uid", ""),
    ],
)  # fmt: skip
def test_a_study_that_dicom_cannot_hold(field: str, value: str) -> None:
    with pytest.raises(InputError, match=f"^The {field.replace('_', ' ')} '.*; give .*\\.$"):
        Study(**({"patient_id": "1", "patient_name": "Doe^John"} | {field: value}))


# --- what is refused ------------------------------------------------------------------------


def test_what_is_no_finished_synthetic_image(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    preview = Provenance.from_dict(PROVENANCE.to_dict() | {"kind": "preview"})
    holes = np.where(np.arange(10) == 3, np.nan, 1.0) * np.ones(image.shape)
    sheared = np.array(image.index_to_world)
    sheared[0, 2] += 0.4
    for volume, said in (
        (image, "real image"),
        (made_on(image, provenance=None), "real image"),
        (made_on(image, provenance=preview), "preview"),
        (made_on(image, holes), "NaN"),
        (made_on(image).replace(index_to_world=sheared), "right angles"),
    ):
        assert said in refusal(lambda v=volume: write_synthetic_series(v, out, source), out)


@pytest.mark.parametrize("shift", [(0.5, 0, 0), (0, -0.5, 0), (0, 0, 1)])
def test_a_series_on_another_grid(tmp_path: Path, out: Path, shift: tuple[float, ...]) -> None:
    image, source = read_in(tmp_path / "t1")
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += shift
    for volume in (
        made_on(image).replace(index_to_world=matrix),
        made_on(Volume(image.voxels[:-1], image.index_to_world)),
        made_on(Volume(image.voxels[:, 1:], image.index_to_world)),
    ):
        said = refusal(lambda v=volume: write_synthetic_series(v, out, source), out)
        assert "t1_tse_tra" in said and "first input" in said


def test_two_patients(tmp_path: Path, out: Path) -> None:
    def stranger(data: Dataset, index: int) -> None:
        data.PatientID = "another"

    image, source = read_in(tmp_path / "t1")
    _, other = read_in(tmp_path / "t2", series="1.2.3.2", change=stranger)
    volume = made_on(image)
    said = refusal(lambda: write_synthetic_series(volume, out, source, sources=[other]), out)
    assert "more than one patient" in said
    study = Study("another one", "Doe^John")
    said = refusal(lambda: write_synthetic_series(volume, out, study, sources=[other]), out)
    assert "more than one patient" in said


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_source_that_cannot_be_referred_to(tmp_path: Path, out: Path, keyword: str) -> None:
    image, source = read_in(tmp_path / "t1", change=lambda data, _: data.pop(keyword))
    assert keyword in refusal(lambda: write_synthetic_series(made_on(image), out, source), out)


def test_an_anonymous_source_with_nothing_but_what_is_needed(tmp_path: Path, out: Path) -> None:
    def bare(data: Dataset, index: int) -> None:
        for keyword in (
            "PatientName", "PatientID", "PatientBirthDate", "SeriesDescription", "SeriesNumber",
            "ImageType", "InstanceNumber", "AcquisitionNumber", "SliceThickness", "EchoTime",
        ):  # fmt: skip
            data.pop(keyword)

    image, source = read_in(tmp_path / "t1", change=bare)
    record = headers(write_synthetic_series(made_on(image), out, source))[0]
    assert str(record.PatientName) == record.PatientID == record.PatientPosition == ""
    assert record.SliceThickness == SPACING
    assert load_one(out).same_geometry(image)


# --- all or nothing -------------------------------------------------------------------------


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    before = {path: path.read_bytes() for path in (tmp_path / "t1").iterdir()}
    with pytest.raises(OutputError, match="not empty"):
        write_synthetic_series(made_on(image), tmp_path / "t1", source)
    assert {path: path.read_bytes() for path in (tmp_path / "t1").iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        write_synthetic_series(made_on(image), tmp_path / "file" / "series", source)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    (tmp_path / "new").mkdir()
    assert len(write_synthetic_series(made_on(image), tmp_path / "new", source)) == 8


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), Cancelled(), KeyboardInterrupt()]
)
def test_what_ends_half_way_leaves_nothing(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    image, source = read_in(tmp_path / "t1")
    written = []
    save_one = dicom_derived._write

    def failing(record: Dataset, path: Path) -> None:
        save_one(record, path)
        written.append(path.exists())
        if len(written) == 3:
            raise error

    monkeypatch.setattr(dicom_derived, "_write", failing)
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_synthetic_series(made_on(image), out, source)
    assert written == [True] * 3 and list(tmp_path.iterdir()) == [tmp_path / "t1"]
    if isinstance(error, OSError):
        assert "disk is full" in str(caught.value) and str(out) in str(caught.value)


# --- reading back ---------------------------------------------------------------------------


def test_the_provenance_is_in_every_file(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    volume = made_on(image, warnings=("An input was of low quality.",))
    for path in write_synthetic_series(volume, out, source):
        kept = found_provenance(pydicom.dcmread(path, stop_before_pixels=True))
        assert Volume(volume.voxels, np.eye(4), **kept).provenance == PROVENANCE
        assert kept["sequence"] == "CE-T1w" and kept["warnings"] == volume.warnings
    assert found_provenance(source.header) == {}


def test_it_stays_synthetic_whatever_an_archive_does(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    path = write_synthetic_series(made_on(image), out, source)[0]
    record = pydicom.dcmread(path)
    record.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    record.save_as(tmp_path / "implicit.dcm", implicit_vr=True)
    implicit = pydicom.dcmread(tmp_path / "implicit.dcm")
    assert isinstance(implicit[0x0071, 0x1001].value, bytes)  # of a kind that nobody else knows
    assert found_provenance(implicit)["provenance"] == PROVENANCE
    record.remove_private_tags()
    for kept in ("SyntheticData", "ImageType", "SeriesDescription"):
        part = Dataset()
        part[kept] = record[kept]
        lost = found_provenance(part)["provenance"]
        assert lost.synthetic and "lost" in lost.warnings[0]


# --- the standard ---------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
@pytest.mark.parametrize("case", ["MR", "CT", "enhanced", "stated", "burnt in", "head", "bare"])
def test_dciodvfy_finds_no_error(tmp_path: Path, out: Path, case: str) -> None:
    def change(data: Dataset, index: int) -> None:
        if case == "head":
            data.BodyPartExamined, data.PatientPosition = "HEAD", "HFS"
            data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "Müller^Jörg"
        if case == "bare":
            for keyword in ("PatientName", "PatientID", "PatientBirthDate", "SeriesDescription"):
                data.pop(keyword)

    image, source = read_in(tmp_path / "t1", OBLIQUE, change=change)
    _, other = read_in(tmp_path / "t2", series="1.2.3.2", change=lambda data, k: (
        change(data, k), setattr(data, "StudyInstanceUID", "1.2.77")
    ))  # fmt: skip
    volume, sources = made_on(image), [source, other]
    if case == "CT":
        volume = made_on(image, sequence="CT", name="SYNTHETIC CT")
    if case == "enhanced":
        path = enhanced(tmp_path / "enhanced.dcm", [slice_data(k, OBLIQUE) for k in range(8)])
        source, sources = find_source([path], image), []
    if case == "stated":
        source, sources = Study("1", "Müller^Jörg", study_description="王"), []
    if case == "burnt in":
        large = Volume(np.ones((2, 20, 60)), np.diag([0.5, 0.7, 3.0, 1.0]))
        volume, source, sources = made_on(large), Study.placeholder(), []
    files = write_synthetic_series(volume, out, source, sources=sources, burn_in=case == "burnt in")
    for path in files[:2]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True).stderr
        errors = [line for line in said.splitlines() if line.startswith("Error")]
        assert [line for line in errors if NEWER_THAN_DCIODVFY not in line] == []
        assert ("CTImage" if case == "CT" else "MRImage") in said
