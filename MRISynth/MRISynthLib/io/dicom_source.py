"""The DICOM series that an image came from: what objects made from it must refer to.

A planning system accepts contours, segmentations and derived images only if they name the slices,
the study and the frame of reference of a series that it has. So their headers are read again from
the files, never guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ..errors import InputError
from ..volume import Volume
from .dicom import is_bare_dicom
from .dicom_frames import Frame, frames_of
from .stacking import POSITION_TOLERANCE_MM

_SAME_PATIENT = ("PatientID", "PatientName")
_ALWAYS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Of type 1 or 2: there, if need be empty."""

_OF_STUDY = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "IssuerOfPatientID", "OtherPatientIDsSequence",
    "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyDescription",
    "InstitutionName",
)  # fmt: skip
_TELLS_APART = ("EchoTime", "DiffusionBValue", "ImageType", "ContrastBolusAgent")


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """One slice: the header of its file (without pixels), and which frame of it, from 1; 0 in a
    classic file, which has one."""

    header: Dataset
    frame: int
    path: Path


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A series, in the order of an image's slices.

    Attributes
    ----------
    slices:
        ``slices[k]`` is slice k of the image.
    turned:
        Axes of an array (slices, rows, columns) of the image that run the other way in the
        series; none where the image was read from it.
    """

    slices: tuple[SourceSlice, ...]
    turned: tuple[int, ...] = ()

    @property
    def header(self) -> Dataset:
        """Of the first slice: patient, study, series and frame of reference."""
        return self.slices[0].header

    @property
    def name(self) -> str:
        """What a user calls the series."""
        header = self.header
        return str(header.get("SeriesDescription") or header.get("ProtocolName") or "series")

    @property
    def is_multiframe(self) -> bool:
        """Whether it is one enhanced file with many frames."""
        return any(each.frame for each in self.slices)

    def frame_of_reference(self) -> str:
        """UID of the frame of reference.

        Raises
        ------
        InputError
            If the series has none: nothing can be placed on it.
        """
        found = str(self.header.get("FrameOfReferenceUID") or "")
        if not found:
            raise InputError(
                f"The series '{self.name}' has no FrameOfReferenceUID, so a planning system could "
                "not place anything on it; export it again from the scanner or the archive."
            )
        return found

    def in_series(self, array: np.ndarray) -> np.ndarray:
        """An array of the image (slices, rows, columns) as the series has it."""
        return np.flip(array, self.turned) if self.turned else array


def find_source(files: Iterable[Path], image: Volume) -> DicomSource:
    """The series among DICOM files whose slices are those of ``image``.

    Files that are not DICOM are passed over. An image that was converted before (NIfTI) may have
    its axes the other way round; its voxels must lie where the series has them.

    Raises
    ------
    InputError
        If there is no such series, a slice is missing, slices were resampled (gantry tilt), or
        the series is of more than one patient.
    """
    label = image.name or "the image"
    series = _series(files)
    if not series:
        raise InputError(
            f"There is no DICOM image among the files given for {label}; give the folder of the "
            "series that it was read from."
        )
    wanted = image.acquisition.get("SeriesInstanceUID")
    order = sorted(series, key=lambda uid: uid != wanted)
    found = [_placed(series[uid], image) for uid in order]
    slices, turned = max(found, key=lambda placed: sum(each is not None for each in placed[0]))
    there = [each for each in slices if each is not None]
    if 2 * len(there) < len(slices):
        names = ", ".join(f"'{_name(series[each][0][0])}'" for each in order[:3])
        raise InputError(
            f"None of the series found ({names}) has its slices where {label} has them; give the "
            "series that it was read from, not one of another examination or a resampled image."
        )
    if len(there) < len(slices):
        missing = [str(k + 1) for k, each in enumerate(slices) if each is None]
        some = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise InputError(
            f"The series '{_name(there[0].header)}' lacks {len(missing)} of {len(slices)} slices "
            f"of {label} (number {some}); get it complete, for contours on slices that do not "
            "exist are refused or misplaced by planning systems."
        )
    check_one_patient([each.header for each in there])
    return DicomSource(tuple(there), turned)


def check_one_patient(headers: Sequence[Dataset]) -> None:
    """Raise InputError where headers are of more than one patient, saying in what they differ."""
    for keyword in _SAME_PATIENT:
        values = sorted({str(header.get(keyword, "")) for header in headers})
        if len(values) > 1:
            raise InputError(
                f"These images are of more than one patient ({keyword} differs); nothing is "
                "exported: use images of one patient only."
            )


def dicom_files(places: Iterable[Path]) -> list[Path]:
    """All DICOM files in these files and folders."""
    found = []
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        found += [path for path in inside if path.is_file() and _is_dicom(path)]
    return found


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(352)
    except OSError:
        return False
    return start[128:132] == b"DICM" or is_bare_dicom(path, start)


def _series(files: Iterable[Path]) -> dict[str, list[tuple[Dataset, Frame, bool]]]:
    found: dict[str, dict[str, tuple[Dataset, Frame, bool]]] = defaultdict(dict)
    for path in dicom_files(files):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            frames = frames_of(header, path)
        except (InputError, OSError, EOFError, InvalidDicomError, ValueError, TypeError, KeyError):
            continue  # not an image; that none was found is said if it matters
        many = "PerFrameFunctionalGroupsSequence" in header
        for frame in frames:
            found[str(header.get("SeriesInstanceUID", ""))][frame.uid] = (header, frame, many)
    return {uid: list(frames.values()) for uid, frames in found.items()}


def _name(header: Dataset) -> str:
    return str(header.get("SeriesDescription") or header.get("ProtocolName") or "series")


def _placed(
    frames: list[tuple[Dataset, Frame, bool]], image: Volume
) -> tuple[list[SourceSlice | None], tuple[int, ...]]:
    """For each slice of the series' grid the frame that lies there, and how the image's arrays
    are turned to it; all None where the grids differ."""
    count = image.shape[0]
    first = frames[0][1]
    to_index = np.linalg.inv(image.index_to_world)
    step = np.stack(
        (first.axes[0] * first.pixel_spacing[0], first.axes[1] * first.pixel_spacing[1])
    )
    inside = (to_index[:3, :3] @ step.T).T  # of one column and of one row, in indices of the image
    signs = np.sign(np.rint(inside[[0, 1], [0, 1]]))
    expected = np.array([[signs[0], 0, 0], [0, signs[1], 0]])
    size = image.shape[1:]
    if not signs.all() or np.abs((inside - expected) * max(image.shape)).max() > 0.5:
        return [None] * count, ()
    turned = tuple(axis for axis, sign in ((1, signs[1]), (2, signs[0])) if sign < 0)
    corner = np.array([0 if signs[0] > 0 else size[1] - 1, 0 if signs[1] > 0 else size[0] - 1])
    tolerance = POSITION_TOLERANCE_MM / image.spacing
    slices: list[SourceSlice | None] = [None] * count
    # of several images at one place (echoes, b-values) the one that was read comes last
    for header, frame, many in sorted(frames, key=lambda item: _likeness(item[1], image)):
        if frame.size != size:
            continue
        index = (to_index @ [*frame.position, 1.0])[:3]
        k = round(index[2])
        near = np.abs(index - [*corner, k]) <= tolerance
        if near.all() and 0 <= k < count:
            slices[k] = SourceSlice(header, frame.number + 1 if many else 0, frame.path)
    return slices, turned


def _likeness(frame: Frame, image: Volume) -> int:
    return sum(frame.acquisition.get(key) == image.acquisition.get(key) for key in _TELLS_APART)


def of_study(header: Dataset) -> Dataset:
    """A new dataset with the patient and the study of ``header``, as far as it says them, and its
    character set: what every object made from an image has in common with it (PS3.3, C.7.1,
    C.7.2)."""
    made = Dataset()
    for keyword in (*_OF_STUDY, *_ALWAYS):
        if keyword in header:
            made[keyword] = header[keyword]
        elif keyword in _ALWAYS:
            setattr(made, keyword, "")
    return made
