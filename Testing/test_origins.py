"""Who or what drew each structure: kept when contours of a file are written as DICOM again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_series import write_series
from MRISynthSegmentLib.dicom_seg import read_dicom_seg, write_dicom_seg
from MRISynthSegmentLib.io import load_segmentation, save_segmentation
from MRISynthSegmentLib.origins import Algorithm, Origin, algorithm_types, unrecorded
from MRISynthSegmentLib.rtstruct import read_rtstruct, write_rtstruct
from MRISynthSegmentLib.segmentation import Segmentation
from rtstruct_cases import Case, items_of, written

ATLAS = Algorithm("Atlas", "3.1", "Planner Inc.", "patients=12", ("DCM", "123111", "Deformable"))
DRAWN = {
    "GTVp": Origin("MANUAL", None, "Consensus of two", "Müller^Jörg", "GTV"),
    "Brainstem": Origin("AUTOMATIC", ATLAS, "Atlas of twelve", "Doe^Jane^^Dr", "ORGAN"),
    "Eye_L": Origin("SEMIAUTOMATIC", ATLAS, "Atlas, edges moved", "", "ORGAN"),
    "Eye_R": Origin("AUTOMATIC", None, "Some atlas", "", "ORGAN"),
    "Brain": Origin("", None, "", "", "ORGAN"),
}
"""As a planning system may say it."""

_FILES = {"rtstruct": (write_rtstruct, read_rtstruct), "seg": (write_dicom_seg, read_dicom_seg)}


@pytest.fixture
def axial(tmp_path: Path) -> Case:
    return written(write_series(tmp_path / "series"), tmp_path / "contours.dcm")


def foreign(case: Case) -> Path:
    """The structure set as a planning system would have written it."""
    record = pydicom.dcmread(case.path)
    record.SpecificCharacterSet = "ISO_IR 192"
    for name, origin in DRAWN.items():
        roi, _, seen = items_of(record, name)
        roi.ROIGenerationAlgorithm = origin.kind
        roi.ROIGenerationDescription = origin.description
        seen.ROIInterpreter = origin.interpreter
        del roi.ROIDerivationAlgorithmIdentificationSequence
        if origin.algorithm:
            roi.ROIDerivationAlgorithmIdentificationSequence = [_identified(origin.algorithm)]
    for keyword in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        kept = {items_of(record, name)[0].ROINumber for name in DRAWN}
        items = record[keyword].value
        numbers = [i.get("ReferencedROINumber", i.get("ROINumber")) for i in items]
        # the first sequence is what items_of looks names up in
        record[keyword].value = [i for i, n in zip(items, numbers, strict=True) if n in kept]
    path = case.path.with_name("foreign.dcm")
    record.save_as(path, enforce_file_format=True)
    return path


def _identified(algorithm: Algorithm) -> Dataset:
    item, family = Dataset(), Dataset()
    family.CodingSchemeDesignator, family.CodeValue, family.CodeMeaning = algorithm.family
    item.AlgorithmFamilyCodeSequence = [family]
    item.AlgorithmName, item.AlgorithmVersion = algorithm.name, algorithm.version
    item.AlgorithmSource, item.AlgorithmParameters = algorithm.source, algorithm.parameters
    return item


# --- read ---------------------------------------------------------------------------------


def test_a_structure_set_says_who_drew_each_structure(axial: Case) -> None:
    found = read_rtstruct(foreign(axial), axial.image)
    assert dict(found.origins) == DRAWN and found.provenance is None
    assert algorithm_types(found) == {
        name: origin.kind or "MANUAL" for name, origin in DRAWN.items()
    }
    assert unrecorded(found) == ("Brain",)


def test_the_products_own_structure_set_keeps_what_it_was_drawn_on(axial: Case) -> None:
    found = read_rtstruct(axial.path, axial.image)
    assert found.provenance.bundle == "npc_segmentation" and found.provenance.synthetic
    drawn_on = {item["sequence"]: item["synthetic"] for item in found.provenance.inputs}
    assert drawn_on == {"T1w": False, "CE-T1w": True}
    assert set(algorithm_types(found).values()) == {"AUTOMATIC"} and not unrecorded(found)


# --- written again ------------------------------------------------------------------------


def test_a_structure_set_of_a_structure_set(axial: Case) -> None:
    found = read_rtstruct(foreign(axial), axial.image)
    again = write_rtstruct(found, axial.path.with_name("again.dcm"), axial.source)
    back = read_rtstruct(again, axial.image).origins
    expected = dict(DRAWN) | {"Brain": Origin("MANUAL", None, "By hand", "", "ORGAN")}
    assert dict(back) == expected
    record = pydicom.dcmread(again)
    assert record.SpecificCharacterSet == "ISO_IR 192"
    assert str(items_of(record, "GTVp")[2].ROIInterpreter) == "Müller^Jörg"
    assert "each structure says how" in record.StructureSetDescription


def test_a_segmentation_of_a_structure_set_and_back(axial: Case) -> None:
    found = read_rtstruct(foreign(axial), axial.image)
    seg = write_dicom_seg(found, axial.path.with_name("seg.dcm"), axial.source)
    segments = {item.SegmentLabel: item for item in pydicom.dcmread(seg).SegmentSequence}
    for name, origin in DRAWN.items():
        assert segments[name].SegmentAlgorithmType == (origin.kind or "MANUAL")
    assert segments["Brainstem"].SegmentAlgorithmName == "Atlas"
    (said,) = segments["Eye_L"].SegmentationAlgorithmIdentificationSequence
    assert (said.AlgorithmVersion, said.AlgorithmSource) == ("3.1", "Planner Inc.")
    assert said.AlgorithmFamilyCodeSequence[0].CodeValue == "123111"
    assert segments["Eye_R"].SegmentAlgorithmName == "Some atlas"
    assert "SegmentationAlgorithmIdentificationSequence" not in segments["Eye_R"]
    assert "Drawn by Atlas 3.1." in segments["Brainstem"].SegmentDescription
    assert "by hand" in segments["GTVp"].SegmentDescription
    for name in ("GTVp", "Brain"):
        assert "SegmentAlgorithmName" not in segments[name]

    again = read_dicom_seg(seg, axial.image)
    back = write_rtstruct(again, axial.path.with_name("back.dcm"), axial.source)
    origins = read_rtstruct(back, axial.image).origins
    assert origins["Brainstem"].algorithm == origins["Eye_L"].algorithm == ATLAS
    assert origins["Eye_R"].description == "Some atlas"
    assert [origins[name].kind for name in ("Brainstem", "Eye_L", "Eye_R", "GTVp", "Brain")] == [
        "AUTOMATIC", "SEMIAUTOMATIC", "AUTOMATIC", "MANUAL", "MANUAL",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_a_file_of_slicer_between_two_of_dicom(axial: Case, kind: str) -> None:
    """DICOM -> .seg.nrrd -> DICOM says the same as the first."""
    write, read = _FILES[kind]
    first = read_rtstruct(foreign(axial), axial.image)
    if kind == "seg":
        first = read(write(first, axial.path.with_name("first.dcm"), axial.source), axial.image)
    between = axial.path.with_name("between.seg.nrrd")
    save_segmentation(first, between)
    loaded = load_segmentation(between, axial.image)
    assert loaded.origins == first.origins and unrecorded(loaded) == unrecorded(first)
    direct = write(first, axial.path.with_name("direct.dcm"), axial.source)
    over = write(loaded, axial.path.with_name("over.dcm"), axial.source)
    assert read(over, axial.image).origins == read(direct, axial.image).origins


def test_a_models_file_of_slicer_says_the_same_in_dicom(axial: Case) -> None:
    between = axial.path.with_name("between.seg.nrrd")
    save_segmentation(axial.segmentation, between)
    loaded = load_segmentation(between, axial.image)
    path = write_rtstruct(loaded, axial.path.with_name("over.dcm"), axial.source)
    assert (
        read_rtstruct(path, axial.image).origins == read_rtstruct(axial.path, axial.image).origins
    )


def test_structures_that_are_not_known_keep_their_type(axial: Case) -> None:
    names = {"Eye_L": "Hot spot", "Eye_R": "PTV_70", "Brain": "BODY", "Brainstem": "Ring"}
    types = {"Hot spot": "CONTROL", "PTV_70": "", "BODY": "", "Ring": "", "GTVp": "CTV"}
    record = pydicom.dcmread(foreign(axial))
    for name, other in names.items():
        items_of(record, name)[0].ROIName = other
    for name, kind in types.items():
        items_of(record, name)[2].RTROIInterpretedType = kind
    record.save_as(axial.path, enforce_file_format=True)
    found = read_rtstruct(axial.path, axial.image)
    save_segmentation(found, axial.path.with_name("between.seg.nrrd"))
    for each in (found, load_segmentation(axial.path.with_name("between.seg.nrrd"), axial.image)):
        again = pydicom.dcmread(write_rtstruct(each, axial.path.with_name("2.dcm"), axial.source))
        assert {n: items_of(again, n)[2].RTROIInterpretedType for n in types} == {
            "Hot spot": "CONTROL", "PTV_70": "PTV", "BODY": "EXTERNAL", "Ring": "ORGAN",
            "GTVp": "GTV",
        }  # fmt: skip


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_a_models_structures_and_those_by_hand_stay_apart(axial: Case, kind: str) -> None:
    """The second file is written from the first, and nobody states the types again."""
    write, read = _FILES[kind]
    types = dict.fromkeys(axial.segmentation.masks, "AUTOMATIC")
    types |= {"GTVp": "SEMIAUTOMATIC", "Bolus": "MANUAL"}
    paths = [axial.path.with_name(f"{number}.dcm") for number in (1, 2)]
    write(axial.segmentation, paths[0], axial.source, algorithm_types=types)
    first = read(paths[0], axial.image)
    write(first, paths[1], axial.source)
    second = read(paths[1], axial.image)
    assert algorithm_types(first) == algorithm_types(second) == types
    assert first.origins == second.origins and first.provenance == second.provenance
    assert second.provenance.bundle_hash == "0123456789abcdef"


def test_a_correction_is_said_of_what_another_program_drew(axial: Case) -> None:
    found = read_rtstruct(foreign(axial), axial.image)
    path = axial.path.with_name("corrected.dcm")
    write_rtstruct(found, path, axial.source, algorithm_types={"Brainstem": "SEMIAUTOMATIC"})
    corrected = read_rtstruct(path, axial.image).origins["Brainstem"]
    assert (corrected.kind, corrected.algorithm) == ("SEMIAUTOMATIC", ATLAS)
    assert corrected.description == "Atlas 3.1, corrected by hand"
    assert corrected.interpreter == "Doe^Jane^^Dr"


def test_long_and_odd_texts_of_others_fit_again(axial: Case) -> None:
    odd = Algorithm("n" * 80, "a\\b", "s" * 90, "p\\q", ("DCM", "123111", "Deformable"))
    found = replace(
        read_rtstruct(foreign(axial), axial.image),
        origins={"Eye_L": Origin("AUTOMATIC", odd, "d" * 90, "x" * 20)},
    )
    for write, read in ((write_rtstruct, read_rtstruct), (write_dicom_seg, read_dicom_seg)):
        path = write(found, axial.path.with_name("odd.dcm"), axial.source)
        algorithm = read(path, axial.image).origins["Eye_L"].algorithm
        assert (algorithm.name, algorithm.version) == ("n" * 64, "a/b")
        assert len(algorithm.source) == 64


def test_origins_are_of_structures_that_are_there(axial: Case) -> None:
    masks = {"GTVp": axial.segmentation.masks["GTVp"]}
    assert dict(Segmentation(masks, axial.image, origins=DRAWN).origins) == {"GTVp": DRAWN["GTVp"]}
