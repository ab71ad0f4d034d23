"""A synthetic volume as a DICOM series that nobody can take for a scanner's.

Classic MR Image Storage, or CT Image Storage for a synthetic CT, one file a slice (PS3.3, A.3 and
A.4), in the study and the frame of reference of the images that it was made from. Nothing is said
of an acquisition, for there was none, and no contrast agent is ever named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from ..errors import InputError, OutputError
from ..volume import Volume
from .dicom_description import coded, describe
from .dicom_pixels import put_pixels
from .dicom_references import check_referable, frames_in, refer_to, slices_at, source_images
from .dicom_source import DicomSource, check_one_patient
from .dicom_study import Study, from_source, from_study
from .dicom_values import decimal, decimals
from .output import staged_folder
from .stacking import POSITION_TOLERANCE_MM

__all__ = ["SERIES_NUMBER", "Study", "write_synthetic_series"]

SERIES_NUMBER = 9000
"""Of a synthetic series if no other is asked for: behind all that a scanner counts."""

_KINDS = ("image", "uncertainty")
_SOURCE = ("121322", "Source image for image processing operation")  # PS3.16, CID 7202


def write_synthetic_series(
    volume: Volume,
    folder: Path,
    source: DicomSource | Study,
    *,
    series_number: int | None = None,
    burn_in: bool = False,
    sources: Sequence[DicomSource] = (),
) -> list[Path]:
    """Write ``volume`` as ``folder/IM-0001.dcm`` and so on, all files or none.

    Parameters
    ----------
    volume:
        Synthetic. MR keeps its values to half a step of 1/65535 of their range (whole numbers
        exactly, where they fit), CT to half a Hounsfield unit.
    folder:
        New or empty: a series is not mixed with what was there.
    source:
        The series on whose grid the volume lies, that of the first input; slices are turned and
        counted as there. Or a :class:`Study` if the input was no DICOM series; slices are then
        turned as viewers expect them: columns run to the patient's left or back, rows to the
        back or the feet.
    burn_in:
        Write the word SYNTHETIC into a corner of every slice's pixels.
    sources:
        The series of all inputs. All are referred to, and ``source`` in any case.

    Returns
    -------
    The files in the order of their InstanceNumber.

    Raises
    ------
    InputError
        If the volume is not a finished synthetic image, does not lie on the grid of ``source``
        or holds what is no number, if its slices are too small for ``burn_in``, or if the sources
        are of more than one patient or cannot be referred to.
    OutputError
        If the files cannot be written; nothing is left behind.
    """
    folder = Path(folder)
    _check_image(volume)
    inputs = [each for each in dict.fromkeys((source, *sources)) if isinstance(each, DicomSource)]
    for each in inputs:
        check_referable(each)
    if isinstance(source, DicomSource):
        image = _flipped(volume, source.turned)
        _check_grid(image, source)
        common = from_source(source, inputs)
    else:
        image = _flipped(volume, _unusual_axes(volume))
        common = from_study(source)
    check_one_patient([common, *(one.header for each in inputs for one in each.slices)])
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(
            f"{folder} is not empty, and a series needs a folder of its own; choose a new one."
        )
    describe(image, common)
    common.SeriesNumber = SERIES_NUMBER if series_number is None else series_number
    if burn_in:
        common.BurnedInAnnotation = "YES"
    pixels = put_pixels(image, common, burn_in)
    _put_grid(image, common, source)
    planes = _planes(image)
    used = slices_at(planes, common.FrameOfReferenceUID, inputs)
    files = []
    with staged_folder(folder) as work:
        for number, k in enumerate(_order(image, source), start=1):
            record = Dataset()
            record.update(common)
            record.SOPInstanceUID, record.InstanceNumber = uid.generate_uid(), number
            record.ImagePositionPatient = decimals(planes[k, 0])
            if used[k]:
                record.SourceImageSequence = source_images(used[k], coded(*_SOURCE))
                refer_to(record, [each.header for each in used[k]])
            record.PixelData = pixels[k].tobytes()
            files.append(folder / f"IM-{number:04d}.dcm")
            _write(record, work / files[-1].name)
    return files


def _check_image(volume: Volume) -> None:
    label = volume.name or "The image"
    if not volume.is_synthetic:
        raise InputError(
            f"{label} is a real image, or the record of how it was made is lost; only synthetic "
            "images are written as a synthetic series."
        )
    if volume.provenance.kind not in _KINDS:
        raise InputError(
            f"{label} is a {volume.provenance.kind} and no finished image; export the image, or "
            "structures as RTSTRUCT or DICOM SEG."
        )
    if not np.isfinite(volume.voxels).all():
        raise InputError(f"{label} holds values that are no numbers (NaN); make it again.")
    skew = np.abs(volume.direction.T @ volume.direction - np.eye(3)).max()
    if skew * (volume.spacing * volume.shape[::-1]).max() > POSITION_TOLERANCE_MM:
        raise InputError(
            f"{label} has axes that are not at right angles, which a DICOM series cannot have; "
            "resample it to an upright grid."
        )


def _check_grid(image: Volume, source: DicomSource) -> None:
    frames, planes = frames_in(source), _planes(image)
    apart = np.inf
    if len(frames) == len(planes) and all(frame.size == image.shape[1:] for frame in frames):
        rows, columns = (n - 1 for n in image.shape[1:])
        pixels = np.array([(0, 0), (columns, 0), (0, rows), (columns, rows)])
        there = [frame.position + pixels * frame.pixel_spacing @ frame.axes for frame in frames]
        apart = np.linalg.norm(np.array(there) - planes, axis=2).max()
    if apart > 2 * POSITION_TOLERANCE_MM:  # a series may be uneven by one, along and across
        raise InputError(
            f"{image.name or 'The image'} does not lie on the slices of the series "
            f"'{source.name}'; give the series of the first input, on whose grid it was made."
        )


def _flipped(volume: Volume, axes: Sequence[int]) -> Volume:
    """The same image with these axes of its array (1 rows, 2 columns) running the other way."""
    matrix = np.array(volume.index_to_world)
    for axis in axes:
        matrix[:3, 3] += matrix[:3, 2 - axis] * (volume.shape[axis] - 1)
        matrix[:3, 2 - axis] *= -1
    return volume.with_voxels(np.flip(volume.voxels, axes), index_to_world=matrix)


def _unusual_axes(volume: Volume) -> tuple[int, ...]:
    """The axes that run to the patient's right, front or head: a viewer that shows pixels as they
    come would show them mirrored or upside down."""
    usual = np.array([1, 1, -1])
    unusual = []
    for axis in (1, 2):
        direction = volume.direction[:, 2 - axis]
        main = np.argmax(np.abs(direction))
        if direction[main] * usual[main] < 0:
            unusual.append(axis)
    return tuple(unusual)


def _planes(image: Volume) -> np.ndarray:
    """(slices, 4, 3) LPS mm of the centres of each slice's corner pixels: the first one, the end
    of its row, the end of its column, the last one."""
    slices, rows, columns = image.shape
    index = [
        [(i, j, k, 1.0) for j in (0, rows - 1) for i in (0, columns - 1)] for k in range(slices)
    ]
    return (np.array(index) @ image.index_to_world.T)[..., :3]


def _order(image: Volume, source: DicomSource | Study) -> Sequence[int]:
    """The slices as the source counts them, so that both are paged through the same way."""
    order = range(image.shape[0])
    if isinstance(source, Study):
        return order
    ends = (source.slices[0], source.slices[-1])
    first, last = (each.frame or each.header.get("InstanceNumber") for each in ends)
    against = isinstance(first, int) and isinstance(last, int) and first > last
    return order[::-1] if against else order


def _put_grid(image: Volume, common: Dataset, source: DicomSource | Study) -> None:
    common.ImageOrientationPatient = decimals(image.direction[:, :2].T.ravel())
    common.PixelSpacing = decimals(image.spacing[1::-1])  # between rows first
    common.SpacingBetweenSlices = decimal(image.spacing[2])
    common.Rows, common.Columns = image.shape[1:]
    thickness = None
    if isinstance(source, DicomSource):
        thickness = frames_in(source)[0].acquisition.get("SliceThickness")
    common.SliceThickness = decimal(thickness or image.spacing[2])


def _write(record: Dataset, path: Path) -> None:
    record.file_meta = FileMetaDataset()
    record.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    record.save_as(path, enforce_file_format=True)
