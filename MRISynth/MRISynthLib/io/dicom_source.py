"""The DICOM series that an image came from: what objects made from it must refer to.

A planning system accepts contours, segmentations and derived images only if they name the slices,
the study and the frame of reference of a series that it has. So their headers are read again from
the files, never guessed.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ..errors import InputError
from ..volume import Volume
from .dicom import images_in, is_bare_dicom
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
)  # fmt: skip
"""Not the institution: it is that of the scanner, and what is made here is of other equipment."""


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
        return _name(self.header)

    @property
    def is_multiframe(self) -> bool:
        """Whether it is one enhanced file with many frames."""
        return any(each.frame for each in self.slices)

    @property
    def instances(self) -> frozenset[tuple[str, int]]:
        """SOPInstanceUID and frame of every slice: what tells one image of a series from another,
        such as its echoes."""
        return frozenset(
            (str(each.header.get("SOPInstanceUID") or ""), each.frame) for each in self.slices
        )

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
    candidates = [(each, *_placed(each, image)) for each in _images(files)]
    if not candidates:
        raise InputError(
            f"There is no DICOM image among the files given for {label}; give the folder of the "
            "series that it was read from."
        )

    def fitness(candidate: tuple[_Image, list[SourceSlice | None], tuple[int, ...]]) -> tuple:
        found, slices, _ = candidate
        count = sum(each is not None for each in slices)
        # the series that was read goes before others, even if it lacks slices by now
        read = found.uid == image.acquisition.get("SeriesInstanceUID") and 2 * count >= len(slices)
        return read, count, found.name == image.name, found.likeness(image)

    best, slices, turned = max(candidates, key=fitness)
    there = [each for each in slices if each is not None]
    if 2 * len(there) < len(slices):
        names = ", ".join(list(dict.fromkeys(f"'{each.name}'" for each, *_ in candidates))[:3])
        raise InputError(
            f"None of the series found ({names}) has its slices where {label} has them; give the "
            "series that it was read from, not one of another examination or a resampled image."
        )
    if len(there) < len(slices):
        missing = [str(k + 1) for k, each in enumerate(slices) if each is None]
        some = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise InputError(
            f"The series '{best.name}' lacks {len(missing)} of {len(slices)} slices "
            f"of {label} (number {some}); get it complete, for what refers to slices that do not "
            "exist is refused or misplaced by planning systems."
        )
    check_one_patient([each.header for each in there])
    return DicomSource(tuple(there), turned)


def check_one_patient(headers: Sequence[Dataset]) -> None:
    """Raise InputError where headers are of more than one patient, saying in what they differ.

    What a header does not say is not known, and so no difference. Of names neither letters' case
    nor blanks nor empty parts at the end count, and each way to write them (in Latin letters, in
    ideographs, phonetic) goes for itself (PS3.5, 6.2.1).
    """
    for keyword in _SAME_PATIENT:
        values = [_identity(header, keyword) for header in headers]
        if any(len(set(known) - {""}) > 1 for known in zip_longest(*values, fillvalue="")):
            raise InputError(
                f"These images are of more than one patient ({keyword} differs); nothing is "
                "written: use images of one patient only."
            )


def patient_of(header: Dataset) -> str:
    """What tells a header's patient from others, the ID or else the name; empty if not said."""
    known = (_identity(header, keyword) for keyword in _SAME_PATIENT)
    return next(filter(None, ("=".join(parts).rstrip("=") for parts in known)), "")


def _identity(header: Dataset, keyword: str) -> list[str]:
    """What counts of an identifier, or of each way to write a name."""
    text = unicodedata.normalize("NFKC", str(header.get(keyword) or ""))
    if keyword != "PatientName":
        return [text.strip()]
    names = [[" ".join(part.split()) for part in way.split("^")] for way in text.split("=")]
    return ["^".join(parts).rstrip("^").casefold() for parts in names]


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


@dataclass(frozen=True, eq=False)
class _Image:
    """One image of a series, as the reader tells them apart (echoes, b-values, time points):
    frames with their headers, and the name that the reader gives it."""

    uid: str
    name: str
    frames: list[tuple[Dataset, Frame]]

    def likeness(self, image: Volume) -> int:
        """In how many attributes of the acquisition ``image`` agrees."""
        mine = self.frames[0][1].acquisition
        return sum(mine.get(key) == value for key, value in image.acquisition.items())


def _images(files: Iterable[Path]) -> list[_Image]:
    """All images in these files; a series that the reader would refuse is none."""
    series: dict[str, dict[str, tuple[Dataset, Frame]]] = defaultdict(dict)
    for path in dicom_files(files):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            frames = frames_of(header, path)
        except (InputError, OSError, EOFError, InvalidDicomError, ValueError, TypeError, KeyError):
            continue  # not an image; that none was found is said if it matters
        for frame in frames:
            series[str(header.get("SeriesInstanceUID", ""))][frame.uid] = (header, frame)
    images = []
    for uid, found in series.items():
        name = _name(next(iter(found.values()))[0])
        try:
            parts = images_in([frame for _, frame in found.values()], f"The series '{name}'")
        except InputError:
            continue
        for label, frames in parts:
            full = f"{name} ({label})" if label else name
            images.append(_Image(uid, full, [found[frame.uid] for frame in frames]))
    return images


def _name(header: Dataset) -> str:
    return str(header.get("SeriesDescription") or header.get("ProtocolName") or "series").strip()


def _placed(found: _Image, image: Volume) -> tuple[list[SourceSlice | None], tuple[int, ...]]:
    """For each slice of ``image`` the one that lies there, and how the image's arrays are turned
    to it; all None where the grids differ."""
    count = image.shape[0]
    first = found.frames[0][1]
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
    for header, frame in found.frames:
        if frame.size != size:
            continue
        index = (to_index @ [*frame.position, 1.0])[:3]
        k = round(index[2])
        near = np.abs(index - [*corner, k]) <= tolerance
        if near.all() and 0 <= k < count:
            many = "PerFrameFunctionalGroupsSequence" in header
            slices[k] = SourceSlice(header, frame.number + 1 if many else 0, frame.path)
    return slices, turned


def of_study(header: Dataset) -> Dataset:
    """A new dataset with the patient and the study of ``header``, as far as it says them, and its
    character set: what every object made from an image has in common with it (PS3.3, C.7.1,
    C.7.2)."""
    made = Dataset()
    for keyword in (*_OF_STUDY, *_ALWAYS):
        if keyword in header:
            made[keyword] = copy.deepcopy(header[keyword])
        elif keyword in _ALWAYS:
            setattr(made, keyword, "")
    return made


def now_of(header: Dataset) -> datetime:
    """The time, in the zone in which the header states its times if it names one."""
    offset = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    named = re.fullmatch(r"[+-]\d{4}", offset)
    return datetime.now(datetime.strptime(offset, "%z").tzinfo if named else None)
