"""Requests to the command line about small DICOM series, and what they leave on the disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from dicom_series import Change, write_series
from MRISynthApp.__main__ import main

CONTOURS = ("rtstruct", "dicom-seg")
T1, T2 = "1.2.3.1", "1.2.3.2"
GAP = (0, 1, 2, 3, 5, 6, 7)


def setting(**values: object) -> Change:
    """A change of every slice; None takes an attribute away."""

    def change(data: Dataset, index: int) -> None:
        for keyword, value in values.items():
            if value is None:
                del data[keyword]
            else:
                setattr(data, keyword, value)

    return change


def moved(mm: float) -> Change:
    """Every slice elsewhere along its rows."""

    def change(data: Dataset, index: int) -> None:
        data.ImagePositionPatient[0] += mm

    return change


def t2_series(folder: Path, **more: object) -> Path:
    """A T2w series on the slices of the T1w series."""
    known = {"SeriesDescription": "t2_tse_tra", "RepetitionTime": "4500", "EchoTime": "100"}
    return write_series(folder, series=T2, change=setting(**known, **more))


def answer(capfd, *arguments: object) -> tuple[int, dict]:
    """Exit code and the one JSON object."""
    code = main([*map(str, arguments), "--json"])
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def done(capfd, *arguments: object) -> dict:
    code, said = answer(capfd, *arguments)
    assert code == 0, said
    assert all(Path(file).is_file() for file in said.get("files", ()))
    return said


def state(folder: Path) -> dict[str, str]:
    """Everything in a folder, by content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(capfd, folder: Path, *arguments: object) -> str:
    """The sentence with which a request is refused; nothing below ``folder`` has changed."""
    before = state(folder), set(folder.rglob("*"))
    code, said = answer(capfd, *arguments)
    assert (code, said["exit_code"]) == (2, 2), said
    assert (state(folder), set(folder.rglob("*"))) == before
    assert "\n" not in said["error"] and said["error"].endswith(".")
    return said["error"]


def types_in(path: Path) -> dict[str, str]:
    record = pydicom.dcmread(path)
    if "SegmentSequence" in record:
        return {i.SegmentLabel: i.SegmentAlgorithmType for i in record.SegmentSequence}
    return {i.ROIName: i.ROIGenerationAlgorithm for i in record.StructureSetROISequence}
