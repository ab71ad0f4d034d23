"""Patient, study and series of an image that is made from others: theirs, or as a user states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import uid
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_source import DicomSource, of_study

_OF_SERIES = ("PatientPosition", "BodyPartExamined", "Laterality", "RecognizableVisualFeatures")
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")

_LETTER = r"[^\\\x00-\x1f\x7f]"
_DATE = (
    r"(\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))?",
    "year, month and day as in 20260131, or nothing",
)
_UID = (r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))+", "numbers between dots, 64 characters at most")
_FORMS = {
    "patient_id": (_LETTER + "{1,64}", "1 to 64 characters, no backslash"),
    "patient_name": (_LETTER + "{1,64}", "1 to 64 characters as in Doe^John, no backslash"),
    "patient_birth_date": _DATE,
    "patient_sex": ("[MFO]?", "M, F, O or nothing"),
    "study_uid": _UID,
    "study_date": _DATE,
    "study_id": (_LETTER + "{0,16}", "16 characters at most, no backslash"),
    "study_description": (_LETTER + "{0,64}", "64 characters at most, no backslash"),
    "accession_number": (_LETTER + "{0,16}", "16 characters at most, no backslash"),
    "frame_of_reference_uid": _UID,
}
"""What DICOM can hold (PS3.5, 6.2): a pattern, and the same in words."""


@dataclass(frozen=True)
class Study:
    """Patient and study of images that did not come from DICOM, as the user states them.

    All images of one examination are written with one and the same ``Study``: UIDs that are not
    given are made once, with it. What is not known stays empty.

    Raises
    ------
    InputError
        If DICOM cannot hold a value; names the field.
    """

    patient_id: str
    patient_name: str
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_uid: str | None = None
    study_date: str = ""
    study_id: str = ""
    study_description: str = ""
    accession_number: str = ""
    frame_of_reference_uid: str | None = None

    def __post_init__(self) -> None:
        for field in ("study_uid", "frame_of_reference_uid"):
            if getattr(self, field) is None:
                object.__setattr__(self, field, str(uid.generate_uid()))
        for field, (form, meaning) in _FORMS.items():
            value = getattr(self, field)
            if not re.fullmatch(form, value):
                raise InputError(
                    f"The {field.replace('_', ' ')} {value!r} cannot be written to DICOM; "
                    f"give {meaning}."
                )

    @classmethod
    def placeholder(cls) -> Study:
        """A study that says that it is of nobody: no patient is invented."""
        return cls("NO-PATIENT-DATA", "NO^PATIENT^DATA", study_description="NO PATIENT DATA")


def from_study(study: Study) -> Dataset:
    """Attributes of patient, study, series and frame of reference that all slices share."""
    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"
    common.PatientID, common.PatientName = study.patient_id, study.patient_name
    common.PatientBirthDate, common.PatientSex = study.patient_birth_date, study.patient_sex
    common.StudyInstanceUID, common.StudyID = study.study_uid, study.study_id
    common.StudyDate, common.StudyTime = study.study_date, ""
    common.AccessionNumber, common.ReferringPhysicianName = study.accession_number, ""
    if study.study_description:
        common.StudyDescription = study.study_description
    common.FrameOfReferenceUID = study.frame_of_reference_uid
    common.PositionReferenceIndicator = common.PatientPosition = common.Laterality = ""
    common.BurnedInAnnotation = "NO"
    return common


def from_source(source: DicomSource, made_from: Sequence[DicomSource]) -> Dataset:
    """The same of an image on the grid of ``source``, made from all of ``made_from``.

    Raises
    ------
    InputError
        If the series has no frame of reference.
    """
    header = source.header
    common = of_study(header)
    common.FrameOfReferenceUID = source.frame_of_reference()
    common.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    common.PatientPosition = ""
    headers = [other.header for other in made_from]
    lossy = [each for each in headers if each.get("LossyImageCompression") == "01"]
    for keywords, origin in ((_OF_SERIES, header), (_LOSSY, (*lossy, header)[0])):
        for keyword in keywords:
            if keyword in origin:
                common[keyword] = origin[keyword]
    if "BodyPartExamined" not in common and "Laterality" not in common:
        common.Laterality = ""  # not known whether it is one of a pair, so of type 2 (C.7.3.1)
    marked = any(each.get("BurnedInAnnotation") == "YES" for each in headers)
    common.BurnedInAnnotation = "YES" if marked else "NO"
    return common
