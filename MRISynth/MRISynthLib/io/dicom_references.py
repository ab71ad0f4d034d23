"""Which images a derived image was made from, as DICOM refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_frames import Frame, frames_of
from .dicom_source import DicomSource, SourceSlice

_SHARES = 0.9
"""A slice of the image was made from those slices of a source that are nearer to it than this part
of the source's spacing: interpolated between two, each has a share of a tenth or more."""

_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def frames_in(source: DicomSource) -> list[Frame]:
    """The frame of each slice of a source, in its order."""
    files: dict[Path, list[Frame]] = {}
    for each in source.slices:
        if each.path not in files:
            files[each.path] = frames_of(each.header, each.path)
    return [files[each.path][max(each.frame - 1, 0)] for each in source.slices]


def check_referable(source: DicomSource) -> None:
    """Raise InputError where an image of the series lacks a UID that a reference needs."""
    for each in source.slices:
        for keyword in _NEEDED:
            if not each.header.get(keyword):
                raise InputError(
                    f"The series '{source.name}' has no {keyword} in {each.path}, so nothing can "
                    "refer to it; export it again from the scanner or the archive."
                )


def slices_at(
    planes: np.ndarray, frame_of_reference: str, sources: Sequence[DicomSource]
) -> list[list[SourceSlice]]:
    """For each slice of an image the slices of the sources from which it was made: those that it
    crosses or lies between, and on the same grid the one in its plane.

    All slices of a source in another frame of reference, for there nothing says which.

    Parameters
    ----------
    planes:
        (slices, 4, 3) LPS mm of the corners of the image's slices.
    """
    found: list[list[SourceSlice]] = [[] for _ in planes]
    for source in sources:
        there = np.ones((len(planes), len(source.slices)), bool)
        if str(source.header.get("FrameOfReferenceUID") or "") == frame_of_reference:
            frames = frames_in(source)
            normal, extent = frames[0].normal, frames[0].slice_spacing
            heights = np.array([frame.position for frame in frames]) @ normal
            if len(heights) > 1:
                extent = np.ptp(heights) / (len(heights) - 1)
            away = (planes @ normal)[:, None] - heights[:, None]  # of each corner from each slice
            near = np.abs(away).min(axis=2) < _SHARES * (extent or 1.0)
            there = near | ((away.min(axis=2) <= 0) & (away.max(axis=2) >= 0))
        for used, row in zip(found, there, strict=True):
            used += [source.slices[n] for n in np.flatnonzero(row)]
    return found


def source_images(slices: Sequence[SourceSlice], purpose: Dataset) -> list[Dataset]:
    """Items of SourceImageSequence, one for each file (PS3.3, C.12.4.1.2).

    Frames are named where not all of a file's are meant (PS3.3, table 10-3).
    """
    frames: dict[str, set[int]] = {}
    headers: dict[str, Dataset] = {}
    for each in slices:
        uid = str(each.header.SOPInstanceUID)
        headers[uid] = each.header
        frames.setdefault(uid, set()).add(each.frame)
    items = []
    for uid, header in headers.items():
        item = _instance(header)
        if 0 < len(frames[uid]) < int(header.get("NumberOfFrames") or 1):
            item.ReferencedFrameNumber = sorted(frames[uid])
        item.PurposeOfReferenceCodeSequence = [purpose]
        items.append(item)
    return items


def refer_to(record: Dataset, headers: Iterable[Dataset]) -> None:
    """Say in ``record`` in which series of which studies the images lie that it refers to: the
    Common Instance Reference module (PS3.3, C.12.2)."""
    studies: dict[str, dict[str, dict[str, Dataset]]] = {}
    for header in headers:
        series = studies.setdefault(str(header.StudyInstanceUID), {})
        images = series.setdefault(str(header.SeriesInstanceUID), {})
        images[str(header.SOPInstanceUID)] = header
    others = []
    for study, series in studies.items():
        items = []
        for uid, images in series.items():
            item = Dataset()
            item.SeriesInstanceUID = uid
            item.ReferencedInstanceSequence = [_instance(header) for header in images.values()]
            items.append(item)
        if study == str(record.StudyInstanceUID):
            record.ReferencedSeriesSequence = items
        else:
            other = Dataset()
            other.StudyInstanceUID, other.ReferencedSeriesSequence = study, items
            others.append(other)
    if others:
        record.StudiesContainingOtherReferencedInstancesSequence = others


def _instance(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item
