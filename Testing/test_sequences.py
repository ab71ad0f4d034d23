"""Sequences are known by all their names, and a scan is recognised with honest confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MRISynthLib.sequences import (
    CONFIDENT,
    SEQUENCE_NAMES,
    SEQUENCES,
    Recognition,
    canonical_name,
    nearest_names,
    recognise,
)
from MRISynthLib.volume import Volume


def _found(name: str = "", **acquisition: object) -> Recognition:
    volume = Volume(np.zeros((2, 3, 4)), np.eye(4), name=name, acquisition=acquisition)
    return recognise(volume)


@pytest.mark.parametrize("info", SEQUENCES.values(), ids=lambda info: info.name)
def test_every_alias_names_its_sequence(info: object) -> None:
    for alias in (info.name, *info.aliases):
        for spelling in (alias, alias.upper(), f"  {alias.replace(' ', '_')} "):
            assert canonical_name(spelling) == info.name, spelling


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T1 post FS", "CE-T1w-FS"),
        ("fat-sat T1 with Gd", "CE-T1w-FS"),
        ("T1 SPIR", "T1w-FS"),
        ("T2 TIRM", "STIR"),
        ("t2_tirm_dark-fluid", "FLAIR"),
        ("T1 FLAIR", "T1w"),
        ("T1w dixon water", "T1w-FS"),
        ("DWI ADC", "ADC"),
        ("T1 C-", "T1w"),
        ("T1（增强）", "CE-T1w"),
        ("T2 fs tra", "T2w-FS"),
        ("T1 MIT KONTRASTMITTEL", "CE-T1w"),
    ],
)
def test_users_words(text: str, name: str) -> None:
    assert canonical_name(text) == name


@pytest.mark.parametrize(
    "text",
    (
        *("", "T3", "set1", "patient1", "T10", "T12", "swi", "T2*", "T1 map", "T1 and T2", "PET"),
        *("fat-suppressed", "CE-T2w", "purple T1", "cT1N0M0", "T1 dixon fat", "STIR no fs"),
    ),
)
def test_what_is_no_name(text: str) -> None:
    assert canonical_name(text) is None


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    assert canonical_name(text) in (None, *SEQUENCE_NAMES)
    assert len(set(nearest_names(text))) == 3
    found = _found(text, SeriesDescription=text)
    assert 0 <= found.confidence <= 1 and found.reason.endswith(".")


@pytest.mark.parametrize(
    ("text", "best"),
    [("flare", "FLAIR"), ("stirr", "STIR"), ("T1gado", "CE-T1w"), ("adcmap", "ADC")],
)
def test_nearest_names_help(text: str, best: str) -> None:
    assert nearest_names(text)[0] == best


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("T1W.nii.gz", "T1w"),
        ("CE-T1w.nii.gz", "CE-T1w"),
        ("t1_mprage_post.nii", "CE-T1w"),
        ("t1_mprage_pre.nii", "T1w"),
        ("case_01_IMG_MR_T1.nrrd", "T1w"),
        ("case_01_IMG_CT.nrrd", "CT"),
        ("2_preRT_T2.nii.gz", "T2w"),
        ("T1 post RT.nii", "T1w"),
        ("sub-01_FLAIR.nii.gz", "FLAIR"),
        ("t1_tse_fs_tra_KM.nii", "CE-T1w-FS"),
        ("T1 ohne KM.nii", "T1w"),
        ("t2_spair_cor.nii", "T2w-FS"),
        ("t1_vibe_dixon_tra_W.nii", "T1w-FS"),
        ("平扫T1.nii", "T1w"),
        ("增强T1压脂.nii", "CE-T1w-FS"),
        ("t1_tse_wo_contrast.nii", "T1w"),
        ("T1_dixon_in_phase.nii", "T1w"),
        ("T2_csf_suppressed.nii", "FLAIR"),
    ],
)
def test_names_alone_are_enough(name: str, sequence: str) -> None:
    found = _found(name)
    assert found.sequence == sequence
    assert found.confident and found.confidence < 1
    assert sequence not in found.alternatives


SPIN_T1 = {"ScanningSequence": "SE", "RepetitionTime": 620.0, "EchoTime": 9.8}
SPIN_T2 = {"ScanningSequence": "SE", "RepetitionTime": 4000.0, "EchoTime": 90.0}


@pytest.mark.parametrize(
    ("acquisition", "sequence"),
    [
        (SPIN_T1 | {"SeriesDescription": "t1_tse"}, "T1w"),
        (SPIN_T1 | {"SeriesDescription": "T1", "ContrastBolusAgent": "GADOVIST"}, "CE-T1w"),
        (SPIN_T1 | {"SeriesDescription": "T1 KM", "ScanOptions": ("PFP", "FS")}, "CE-T1w-FS"),
        (SPIN_T1 | {"SeriesDescription": "T1", "ContrastBolusAgent": "NONE"}, "T1w"),
        (SPIN_T2 | {"SeriesDescription": "T2 fs"}, "T2w-FS"),
        (SPIN_T2 | {"SeriesDescription": "T2", "ContrastBolusAgent": "GADOVIST"}, "T2w"),
        (
            SPIN_T2
            | {"SeriesDescription": "tirm", "InversionTime": 160.0, "ScanningSequence": "IR"},
            "STIR",
        ),
        (SPIN_T2 | {"SeriesDescription": "T2", "SpectrallySelectedSuppression": "FAT"}, "T2w-FS"),
        ({"Modality": "CT"}, "CT"),
        ({"ImageType": ("DERIVED", "PRIMARY", "ADC"), "SeriesDescription": "ep2d_diff"}, "ADC"),
    ],
)
def test_dicom_attributes(acquisition: dict, sequence: str) -> None:
    found = _found(**acquisition)
    assert found.sequence == sequence and found.confident, found.reason


@pytest.mark.parametrize(
    ("acquisition", "sequence"),
    [
        (SPIN_T1, "T1w"),
        (SPIN_T2, "T2w"),
        ({"ScanningSequence": "SE", "RepetitionTime": 2500, "EchoTime": 15}, "PDw"),
        ({"ScanningSequence": "GR", "RepetitionTime": 8, "EchoTime": 3, "FlipAngle": 15}, "T1w"),
        (
            SPIN_T2 | {"RepetitionTime": 9000, "InversionTime": 2500, "ScanningSequence": "IR"},
            "FLAIR",
        ),
        (
            SPIN_T2 | {"EchoTime": 50, "InversionTime": 160, "ScanningSequence": "IR"},
            "STIR",
        ),
    ],
)
def test_timing_alone_gives_a_guess_that_is_asked_about(acquisition: dict, sequence: str) -> None:
    found = _found(**acquisition)
    assert found.sequence == sequence
    assert 0.5 < found.confidence < CONFIDENT


@pytest.mark.parametrize(
    ("name", "acquisition"),
    [
        ("T1w.nii", SPIN_T2),
        ("T1_T2.nii", {}),
        ("ct1.nii", {"SeriesDescription": "T1 T2"}),
        ("T1.nii", {"SeriesDescription": "T1 pre", "ContrastBolusAgent": "Dotarem"}),
        ("T1 pre and post.nii", {}),
        ("T1_with_and_without_gad.nii", {}),
        ("T1 dixon.nii", {}),
        ("gado.nii", {}),
        ("ROI-T1.nii", {}),
        ("T2 no fat sat.nii", {"ScanOptions": "FS"}),
    ],
)
def test_what_contradicts_itself_is_asked_about(name: str, acquisition: dict) -> None:
    found = _found(name, **acquisition)
    assert not found.confident
    assert found.confidence < CONFIDENT and found.alternatives


@pytest.mark.parametrize("name", ["image.nii", "set1.nii", "scan_0012", "swi.nii", "T2star.nii"])
def test_what_says_nothing_is_not_guessed(name: str) -> None:
    assert _found(name).sequence is None and not _found(name).confident


def test_an_image_that_says_what_it_is_is_believed() -> None:
    volume = Volume(np.zeros((2, 3, 4)), np.eye(4), sequence="STIR", name="T1w.nii")
    assert recognise(volume).sequence == "STIR" and recognise(volume).confidence == 1
