"""What the worker runs for contours that are there: to compare them, read them, write them.

All of it needs packages that a window must not load (torch, SimpleITK, highdicom). Segmentations
travel as :mod:`.packed` has them.

``"contour_comparison"``::

    first, second    the plain part of each; their volumes follow one another
    names            what tables and messages call the two
    structures       names; None for all that both have

Result: ``info`` with ``comparison`` (``Comparison.to_dict``), ``columns`` and ``rows`` of the table
as texts, ``csv`` and ``markdown``.

``"contours"`` reads a file::

    path             anything that :func:`~MRISynthSegmentLib.loading.load_any` takes

Volume: the image on whose grid they are wanted. Result: a packed segmentation, its plain part in
``info["segmentation"]``.

``"export"``::

    format           rtstruct, dicom-seg, dicom-mr, nii.gz
    path             the file to write; for dicom-mr a folder that is new or empty
    references       files or folders of the DICOM series behind it
    segmentation     the plain part; its volumes are the task's (not for dicom-mr)
    types            structure -> AUTOMATIC, SEMIAUTOMATIC or MANUAL
    study            for dicom-mr without a series: values of ``Study``, or {} for nobody's
    burn_in          for dicom-mr: write SYNTHETIC into the pixels

Volumes for dicom-mr: the synthetic image, then the images that it was made from. Result: ``info``
with ``files`` and ``warnings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MRISynthLib.errors import InputError
from MRISynthLib.progress import Callbacks
from MRISynthLib.volume import Volume
from MRISynthLib.worker.tasks import ModelCache, TaskResult

from .packed import count_of, packed, unpacked

if TYPE_CHECKING:
    from MRISynthLib.io.dicom_source import DicomSource
    from MRISynthLib.io.dicom_study import Study

NEEDS_SERIES = (
    "Contours in DICOM refer to the slices of a DICOM series; give the folder of the series from "
    "which {name} was loaded, or save them as .seg.nrrd."
)


def _comparison(
    parameters: dict[str, Any], volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    from .comparison import compare

    cut = count_of(parameters["first"])
    found = compare(
        unpacked(parameters["first"], volumes[:cut]),
        unpacked(parameters["second"], volumes[cut:]),
        parameters.get("structures"),
        tuple(parameters["names"]),
        callbacks=callbacks,
    )
    table = found.table()
    return TaskResult(
        [],
        {
            "comparison": found.to_dict(),
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
            "csv": found.csv(),
            "markdown": found.markdown(),
            "warnings": list(found.warnings),
        },
    )


def _contours(
    parameters: dict[str, Any], volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    from .loading import load_any

    callbacks.progress("read", 0, 1)
    segmentation = load_any(parameters["path"], volumes[0])
    callbacks.progress("read", 1, 1)
    plain, parts = packed(segmentation)
    return TaskResult(
        [(volume.name or "grid", volume) for volume in parts],
        {"segmentation": plain, "warnings": list(segmentation.warnings)},
    )


def _export(
    parameters: dict[str, Any], volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    callbacks.progress("write", 0, 1)
    if parameters["format"] == "dicom-mr":
        info = _export_image(parameters, volumes)
    else:
        info = _export_contours(parameters, volumes, callbacks)
    callbacks.progress("write", 1, 1)
    return TaskResult([], info)


def _export_contours(
    parameters: dict[str, Any], volumes: list[Volume], callbacks: Callbacks
) -> dict[str, Any]:
    segmentation = unpacked(parameters["segmentation"], volumes)
    path, kind = Path(parameters["path"]), parameters["format"]
    if kind == "nii.gz":
        from .io import save_segmentation

        files = save_segmentation(segmentation, path)
        return {"files": [str(file) for file in files], "warnings": []}
    from .dicom_seg import write_dicom_seg
    from .rtstruct import empty_structures, write_rtstruct

    image = segmentation.reference
    source = _series_of(_places(parameters, image), image)
    callbacks.check()
    write = {"rtstruct": write_rtstruct, "dicom-seg": write_dicom_seg}[kind]
    write(segmentation, path, source, algorithm_types=parameters.get("types"))
    warnings = []
    empty = empty_structures(segmentation)
    if empty:
        warnings.append(f"Empty, and named in the file without contours: {', '.join(empty)}.")
    return {"files": [str(path)], "warnings": warnings, "series": source.name}


def _export_image(parameters: dict[str, Any], volumes: list[Volume]) -> dict[str, Any]:
    from MRISynthLib.io.dicom_derived import write_synthetic_series
    from MRISynthLib.io.dicom_source import find_source

    image, *inputs = volumes
    places = [Path(place) for place in parameters.get("references") or ()]
    warnings, origin, sources = [], None, []
    if places:
        origin = find_source(places, image)
        for each in inputs:
            try:
                source = _series_of(places, each)
            except InputError as error:
                warnings.append(f"Not referred to: {each.name}. {error}")
                continue
            if source.instances.isdisjoint(origin.instances):
                sources.append(source)
    else:
        origin = _study(parameters.get("study"), image)
    folder, burn_in = Path(parameters["path"]), bool(parameters.get("burn_in"))
    files = write_synthetic_series(image, folder, origin, burn_in=burn_in, sources=sources)
    return {"files": [str(file) for file in files], "warnings": warnings}


def _places(parameters: dict[str, Any], image: Volume) -> list[Path]:
    places = [Path(place) for place in parameters.get("references") or ()]
    if not places:
        raise InputError(NEEDS_SERIES.format(name=image.name or "the image"))
    return places


def _series_of(places: Sequence[Path], image: Volume) -> DicomSource:
    """The series from which an image was loaded, fit to be referred to."""
    from MRISynthLib.io.dicom_references import check_referable
    from MRISynthLib.io.dicom_source import find_source

    source = find_source(places, image)
    check_referable(source)
    return source


def _study(stated: dict[str, str] | None, image: Volume) -> Study:
    """What the user says of the patient; nobody's, if that was chosen."""
    from MRISynthLib.io.dicom_study import Study

    if stated is None:
        raise InputError(
            f"{image.name or 'The image'} does not say whose it is, and no patient is invented: "
            "give the DICOM series that it was made from, or state the patient."
        )
    return Study(**stated) if stated else Study.placeholder()


HANDLERS = {"contour_comparison": _comparison, "contours": _contours, "export": _export}
