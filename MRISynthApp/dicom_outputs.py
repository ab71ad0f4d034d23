"""DICOM as an output of commands: the series that it refers to, and what must be said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from MRISynthLib.errors import InputError, OutputError

from .options import ExportFormat
from .session import Session

if TYPE_CHECKING:
    from MRISynthLib.io.dicom_source import DicomSource
    from MRISynthLib.provenance import Provenance
    from MRISynthLib.volume import Volume
    from MRISynthSegmentLib.segmentation import Segmentation

    from .inputs import Input

CONTOURS_NEED_IT = (
    "contours in DICOM refer to the slices, the study and the frame of reference of a DICOM "
    "series; give the folder of that series, or keep .seg.nrrd"
)

UNAPPROVED = (
    "A planning system lists this structure set as 'MRISynth', unapproved: look at every contour "
    "there, and correct it, before anybody approves it."
)


# --- what it refers to --------------------------------------------------------------------


def check_is_dicom(place: Path, reason: str) -> None:
    """Raise InputError where no DICOM is; ``reason`` says what needs it, and what to do."""
    from MRISynthLib.io.dicom_source import dicom_files

    if not place.exists():
        raise InputError(f"There is no file or folder {place}; check its name.")
    if not dicom_files([place]):
        raise InputError(f"{place} is not DICOM, and {reason}.")


def series_of(place: Path, image: Volume) -> DicomSource:
    """The DICOM series at ``place`` that ``image`` was read from, fit to be referred to.

    Raises
    ------
    InputError
        If it is not complete, of more than one patient, or lacks UIDs.
    """
    from MRISynthLib.io.dicom_references import check_referable
    from MRISynthLib.io.dicom_source import find_source

    source = find_source([place], image)
    check_referable(source)
    return source


def images_behind(provenance: Provenance | None, images: Sequence[Volume]) -> list[Volume]:
    """Those of the images of one series (its echoes) that a result was made from, by the names in
    its record; the first where it names none."""
    names = {item.get("name") for item in provenance.inputs} if provenance else set()
    return [image for image in images if image.name in names] or [images[0]]


def image_behind(
    run: Session, place: Path, images: Sequence[Volume], provenance: Provenance | None
) -> Volume:
    """The one image of a series, or of its echoes that on which contours were drawn; says which."""
    image = images_behind(provenance, images)[0]
    if len(images) > 1:
        names = ", ".join(each.name for each in images)
        run.warn(
            f"{place.name} holds {len(images)} images on the same slices ({names}); the contours "
            f"refer to {image.name}."
        )
    return image


def source_of(places: Sequence[Path], volume: Volume, images: Sequence[Volume]) -> DicomSource:
    """The series among those at ``places`` on whose slices ``volume`` lies; of several images of
    this series the one among ``images``.

    Raises
    ------
    InputError
        As :func:`~MRISynthLib.io.dicom_source.find_source`.
    """
    from MRISynthLib.io.dicom_source import find_source

    found = find_source(places, volume)
    uid = str(found.header.get("SeriesInstanceUID") or "")
    for image in images:
        if image.acquisition.get("SeriesInstanceUID") == uid:
            like = volume.replace(name=image.name, acquisition=image.acquisition)
            return find_source(places, like)
    return found


def series_behind(run: Session, inputs: Sequence[Input]) -> list[DicomSource]:
    """The series of the inputs, first that of the first one, on which the results lie.

    The others need not be DICOM; then it is said that nobody knows whose they are.

    Raises
    ------
    InputError
        As :func:`series_of`, and if the first has no frame of reference.
    """
    from MRISynthLib.io.dicom_source import dicom_files

    found = [series_of(inputs[0].path, inputs[0].volume)]
    found[0].frame_of_reference()
    for item in inputs[1:]:
        if dicom_files([item.path]):
            found.append(series_of(item.path, item.volume))
        else:
            run.warn(
                f"{item.path.name} is not DICOM: the results do not refer to it, and whether it is "
                f"of the same patient as the series '{found[0].name}' was not checked."
            )
    return found


# --- what is written ----------------------------------------------------------------------


def write_contours(
    run: Session,
    segmentation: Segmentation,
    path: Path,
    source: DicomSource,
    kind: str,
    types: Mapping[str, str] | None = None,
) -> None:
    """Write an RTSTRUCT or a SEG, and say what the user must know of it.

    ``types``: see :func:`~MRISynthSegmentLib.rtstruct.write_rtstruct`.
    """
    from MRISynthSegmentLib.dicom_seg import write_dicom_seg
    from MRISynthSegmentLib.rtstruct import empty_structures, write_rtstruct

    write = write_rtstruct if kind == ExportFormat.RTSTRUCT else write_dicom_seg
    write(segmentation, path, source, algorithm_types=types)
    empty = empty_structures(segmentation)
    if empty:
        run.warn(f"Empty, and named in the file without contours: {', '.join(empty)}.")
    if kind == ExportFormat.RTSTRUCT:
        run.warn(UNAPPROVED)


def refuse_mixing(output: Path, names: Iterable[str]) -> None:
    """Raise OutputError if a series would come to where something is already."""
    for folder in (output / name for name in names):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(
                f"{folder} is there already, and a series needs a folder of its own; choose "
                "another --output."
            )
