"""Segmentations as files: Slicer's ``.seg.nrrd``, and NIfTI for programs that know no other.

``.seg.nrrd`` keeps everything in one file: names, colours, coded meanings, provenance, who drew
each structure and how doubtful it is, and structures that overlap (in layers). NIfTI has no place
for names and one label a voxel, so the label map is written together with one mask per structure
and a JSON file that names them and holds the rest.
Both keep the geometry of the reference image, in LPS for NRRD and RAS for NIfTI, as the
formats demand.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.io.output import staged_file, staged_folder
from MRISynthLib.provenance import DISCLAIMER, SYNTHETIC_MARK, Provenance
from MRISynthLib.volume import Volume

from .grids import on_grid
from .origins import NOT_RECORDED, UNKNOWN_MODEL, inputs_in_words, provenance_in
from .segmentation import Segmentation
from .structure_record import INPUTS_TAG, Record, records_of, with_records
from .structures import STRUCTURES, UNKNOWN_COLOUR
from .terminology import TAG, terminology_tag

PROVENANCE_KEY = "MRISynth_provenance"
"""NRRD header key that holds :meth:`Provenance.to_dict` as JSON."""

WARNINGS_KEY = "MRISynth_warnings"
NOTE_KEY = "MRISynth_note"

PRIORITY = (
    "Where structures overlap, a tumour volume wins over an organ, and the smaller structure "
    "over the larger; the masks of the single structures are complete."
)
"""What the NIfTI label map shows where structures overlap."""

MOST_LABELS = 512
"""Of a label map that no file describes; the finest parcellations in use have some 200."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    StopIteration,  # what pynrrd raises for an empty file
    TypeError,
    ValueError,
    zlib.error,
)
"""What the readers of files and JSON raise when the content is not what it should be."""


def save_segmentation(segmentation: Segmentation, path: str | Path) -> tuple[Path, ...]:
    """Write a segmentation; the suffix, ``.seg.nrrd`` or ``.nii.gz``, decides on the format.

    Returns the files written: one for ``.seg.nrrd``; for ``.nii.gz`` see
    :func:`save_segmentation_nifti`. A file appears whole or not at all.

    Raises
    ------
    InputError
        If the suffix is another one or there is no structure to write.
    OutputError
        If the file cannot be written; its folder must exist.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return save_segmentation_nifti(segmentation, path.parent, path.name[: -len(".nii.gz")])
    if not name.endswith(".seg.nrrd"):
        raise InputError(
            f"{path.name} is not a name for a segmentation; end it in .seg.nrrd or .nii.gz."
        )
    check_not_empty(segmentation)
    with staged_file(path) as beside:
        _write_nrrd(segmentation, beside)
    return (path,)


def save_segmentation_nifti(
    segmentation: Segmentation, folder: str | Path, name: str = "segmentation"
) -> tuple[Path, ...]:
    """Write ``<name>.nii.gz`` (label map), ``<name>.json`` and a mask per structure.

    The label map holds 0 for background and 1, 2, ... in the order of the segmentation, with
    overlaps resolved as :data:`PRIORITY` says. Each ``<structure>.nii.gz`` is the complete
    mask of one structure (0 and 1), so that no overlap is lost. The JSON file gives for each
    label its structure, colour, SNOMED CT code, volume in millilitres and file, how many of its
    voxels other structures hide in the label map, who drew it and how doubtful it is.

    Raises
    ------
    InputError
        If there is no structure to write.
    OutputError
        If the folder cannot be written; nothing is left behind.
    """
    check_not_empty(segmentation)
    folder = Path(folder)
    label_map = resolved_label_map(segmentation)
    files = _file_names(segmentation.masks, reserved=name)
    records = records_of(segmentation, _LPS_TO_RAS @ segmentation.reference.index_to_world)
    entries = []
    with staged_folder(folder) as staging:
        _write_nifti(label_map, segmentation, staging / f"{name}.nii.gz")
        for label, (structure, mask) in enumerate(segmentation.masks.items(), start=1):
            _write_nifti(mask.astype(np.uint8), segmentation, staging / files[structure])
            hidden = int(np.count_nonzero(mask & (label_map != label)))
            entries.append(
                {
                    "label": label,
                    **_described(structure),
                    "volume_ml": round(segmentation.volume_ml(structure), 4),
                    "file": files[structure],
                    "voxels_hidden_in_label_map": hidden,
                    **records[structure].to_dict(),
                }
            )
        content = {
            "label_map": f"{name}.nii.gz",
            "overlaps": PRIORITY,
            "note": note_of(segmentation),
            "structures": entries,
            "warnings": list(segmentation.warnings),
            "provenance": _provenance(segmentation),
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (staging / f"{name}.json").write_text(text, encoding="utf-8")
    return tuple(folder / file for file in (f"{name}.nii.gz", f"{name}.json", *files.values()))


def resolved_label_map(segmentation: Segmentation) -> np.ndarray:
    """Label map (slices, rows, columns), uint8 or uint16, label n for the n-th structure.

    Overlaps are resolved as :data:`PRIORITY` says.
    """
    names = list(segmentation.masks)

    def painted_later(name: str) -> tuple[bool, int]:
        is_target = name in STRUCTURES and STRUCTURES[name].is_target
        return (is_target, -int(np.count_nonzero(segmentation.masks[name])))

    dtype = np.uint8 if len(names) < 256 else np.uint16
    label_map = np.zeros(segmentation.reference.shape, dtype)
    for name in sorted(names, key=painted_later):
        label_map[segmentation.masks[name]] = names.index(name) + 1
    return label_map


def load_segmentation(path: str | Path, reference: Volume) -> Segmentation:
    """Read a segmentation that was drawn on ``reference``'s grid or on a part of it.

    Takes what :func:`read_segmentation` takes; one on another grid is for
    :func:`~MRISynthSegmentLib.loading.load_any`.

    Raises
    ------
    InputError
        If the file is missing, is no segmentation, or lies on another grid.
    """
    return on_grid(read_segmentation(path), reference, Path(path).name, exact=True)


def read_segmentation(path: str | Path) -> Segmentation:
    """Read a segmentation on its own grid; its reference has that and no grey values.

    Takes ``.seg.nrrd`` (also one that Slicer saved, cropped to its structures) and ``.nii.gz``
    label maps, with the names and complete masks of the JSON file beside it where there is one.

    Raises
    ------
    InputError
        If the file is missing or is no segmentation.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no segmentation file {path}; check the path.")
    name = path.name.lower()
    if name.endswith(".nrrd"):
        return _read_nrrd(path)
    if name.endswith((".nii.gz", ".nii")):
        return _read_nifti(path)
    raise InputError(f"{path.name} is not a segmentation; give a .seg.nrrd or .nii.gz file.")


# --- NRRD ---------------------------------------------------------------------------------


def _write_nrrd(segmentation: Segmentation, path: Path) -> None:
    import slicerio

    reference = segmentation.reference
    columns, rows, slices = reference.shape[::-1]
    voxels, places = _in_layers(segmentation)
    records = records_of(segmentation, _LPS_TO_RAS @ reference.index_to_world)
    segments = []
    for name, (layer, label) in zip(segmentation.masks, places, strict=True):
        structure = STRUCTURES.get(name)
        tags = {} if structure is None else {TAG: terminology_tag(structure)}
        if segmentation.provenance is not None:
            tags[INPUTS_TAG] = inputs_in_words(segmentation).replace("|", "/")
        tags |= records[name].tags()
        colour = UNKNOWN_COLOUR if structure is None else structure.colour
        segments.append(
            {
                "id": name,
                "name": name,
                "color": [round(channel, 6) for channel in colour],
                "labelValue": label,
                "layer": layer,
                # The whole grid: some versions of Slicer crop a layer to its first structure.
                "extent": [0, columns - 1, 0, rows - 1, 0, slices - 1],
                "tags": tags,
            }
        )
    content: dict[str, Any] = {
        "voxels": voxels,
        "ijkToLPS": reference.index_to_world,
        "segments": segments,
        "containedRepresentationNames": ["Binary labelmap"],
        # Written as it is: slicerio leaves out the final "&" and Slicer then skips the value.
        "Segmentation_ConversionParameters": (
            f"Reference image geometry|{_slicer_geometry(reference)}|Grid of the image drawn on.&"
        ),
        NOTE_KEY: note_of(segmentation),
        WARNINGS_KEY: json.dumps(list(segmentation.warnings)),
    }
    if segmentation.provenance is not None:
        content[PROVENANCE_KEY] = json.dumps(_provenance(segmentation))
    slicerio.write_segmentation(str(path), content, compression_level=3)


def _in_layers(segmentation: Segmentation) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Label maps without overlaps, and (layer, label) of each structure.

    The array is (columns, rows, slices) for one layer and (layers, columns, rows, slices) for
    several, in the memory order of the file, where the layer changes fastest.
    """
    layers: list[np.ndarray] = []
    used: list[int] = []
    places = []
    for mask in segmentation.masks.values():
        for layer, occupied in enumerate(layers):
            if used[layer] < 255 and not occupied[mask].any():
                break
        else:
            layer = len(layers)
            layers.append(np.zeros(segmentation.reference.shape, np.uint8))
            used.append(0)
        used[layer] += 1
        layers[layer][mask] = used[layer]
        places.append((layer, used[layer]))
    return (layers[0].T if len(layers) == 1 else np.stack(layers, axis=-1).T), places


def _slicer_geometry(volume: Volume) -> str:
    """A grid as Slicer's vtkSegmentationConverter::SerializeImageGeometry writes it:
    the index-to-RAS matrix row by row, then the extent, each number followed by ``;``."""
    numbers = [repr(float(x)) for x in (_LPS_TO_RAS @ volume.index_to_world).ravel()]
    for count in volume.shape[::-1]:
        numbers += ["0", str(count - 1)]
    return "".join(f"{number};" for number in numbers)


def _read_nrrd(path: Path) -> Segmentation:
    import nrrd
    import slicerio

    try:
        content = slicerio.read_segmentation(str(path))
        kind = content.get("masterRepresentation", "Binary labelmap")
        masks, records = {}, {}
        if kind == "Binary labelmap" and np.issubdtype(content["voxels"].dtype, np.integer):
            for segment in content["segments"]:
                if segment["name"] in masks:
                    raise InputError(
                        f"{path.name} has two structures called {segment['name']}; rename one."
                    )
                mask = slicerio.segment_mask(content, segment).transpose(2, 1, 0)
                masks[segment["name"]] = mask
                records[segment["name"]] = Record.from_tags(segment.get("tags", {}))
        provenance = content.get(PROVENANCE_KEY)
        warnings = json.loads(content.get(WARNINGS_KEY, "[]"))
        if provenance:
            loaded = Provenance.from_dict(json.loads(provenance))
        else:
            loaded = _left_in_tags(content["segments"], records.values())
        matrix = content["ijkToLPS"]
    except (nrrd.NRRDError, *_UNREADABLE) as error:
        raise InputError(
            f"{path.name} is damaged or not a segmentation file of Slicer; export it again."
        ) from error
    if not masks:
        raise InputError(
            f"{path.name} holds no binary label map with named structures; "
            "save it from Slicer as .seg.nrrd."
        )
    shape = next(iter(masks.values())).shape
    found = Segmentation(masks, _grid(shape, matrix, path), loaded, tuple(warnings))
    return with_records(found, records, _LPS_TO_RAS @ matrix, as_written=NOTE_KEY in content)


def _grid(shape: tuple[int, ...], matrix: np.ndarray, path: Path) -> Volume:
    """A file's own grid, with no voxels in memory."""
    return Volume(np.broadcast_to(np.uint8(0), shape), matrix, name=path.name)


def _left_in_tags(
    segments: Iterable[Mapping[str, Any]], records: Iterable[Record]
) -> Provenance | None:
    """What is left of the provenance once Slicer has saved the file again: inputs and model.

    The inputs are those of all structures that a model drew; each says of which, for others may
    have been added by hand. None where no structure has the tag.
    """
    inputs: dict[tuple[str, bool], list[str]] = {}
    tagged = False
    for segment in segments:
        text = segment.get("tags", {}).get(INPUTS_TAG)
        tagged |= text is not None
        for word in (text or NOT_RECORDED).split(", "):
            if word != NOT_RECORDED:
                sequence = word.removeprefix(f"{SYNTHETIC_MARK} ")
                inputs.setdefault((sequence, sequence != word), []).append(segment["name"])
    if not tagged:
        return None
    model = provenance_in(record.origin for record in records if record.origin) or Provenance(False)
    return replace(
        model,
        synthetic=any(synthetic for _, synthetic in inputs),
        kind="segmentation",
        inputs=tuple(
            {"sequence": sequence, "name": "", "synthetic": synthetic, "structures": structures}
            for (sequence, synthetic), structures in inputs.items()
        ),
        warnings=("The full provenance was lost in another program.",),
    )


# --- NIfTI --------------------------------------------------------------------------------


def _write_nifti(labels: np.ndarray, segmentation: Segmentation, path: Path) -> None:
    import nibabel

    affine = _LPS_TO_RAS @ segmentation.reference.index_to_world
    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_intent("label")
    image.header["descrip"] = "MRISynth segmentation: research only"
    text = json.dumps({"note": note_of(segmentation), "provenance": _provenance(segmentation)})
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text.encode()))
    nibabel.save(image, path)


def _read_nifti(path: Path) -> Segmentation:
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    sidecar = path.with_name(f"{stem}.json")
    labels, grid = _nifti_labels(path)
    records: dict[str, Record] = {}
    if sidecar.is_file():
        entries, records, loaded, warnings = _named_labels(sidecar)
    else:
        values = np.unique(labels[labels != 0])
        if len(values) > MOST_LABELS:
            raise InputError(
                f"{path.name} holds {len(values)} different values, as an image does; give a "
                f"label map, where each value is a structure (at most {MOST_LABELS})."
            )
        entries, loaded, warnings = [(f"Segment_{v}", v, None) for v in values], None, ()
    if not entries:
        raise InputError(f"{path.name} holds no labels; give a label map with structures.")
    masks = {}
    for name, label, file in entries:
        masks[name] = labels == label
        complete = path.parent / file if file else None
        if complete is not None and complete.is_file():
            own, own_grid = _nifti_labels(complete)
            alone = Segmentation({name: own != 0}, own_grid)
            masks[name] = on_grid(alone, grid, complete.name, exact=True).masks[name]
    found = Segmentation(masks, grid, loaded, (*grid.warnings, *warnings))
    return with_records(found, records, _LPS_TO_RAS @ grid.index_to_world, as_written=True)


def _named_labels(
    sidecar: Path,
) -> tuple[
    list[tuple[str, int, str | None]], dict[str, Record], Provenance | None, tuple[str, ...]
]:
    """(structure, label, name of its mask file) of a label map; what else is kept of structures;
    provenance; warnings."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        entries, records = [], {}
        for entry in content["structures"]:
            file = entry.get("file")
            entries.append((entry["name"], int(entry["label"]), Path(file).name if file else None))
            records[entry["name"]] = Record.from_dict(entry)
        provenance = content.get("provenance")
        loaded = Provenance.from_dict(provenance) if provenance else None
        return entries, records, loaded, tuple(content.get("warnings", ()))
    except _UNREADABLE as error:
        raise InputError(
            f"{sidecar.name} does not name the labels of the label map beside it; "
            "restore the file that was written with it."
        ) from error


def _nifti_labels(path: Path) -> tuple[np.ndarray, Volume]:
    """Integer labels (slices, rows, columns), and the grid on which they lie."""
    from MRISynthLib.io.nifti import read_nifti

    image = read_nifti(path)
    if image.voxels.dtype.kind == "f" and not np.array_equal(image.voxels, np.rint(image.voxels)):
        raise InputError(f"{path.name} is no label map (whole numbers); give a label map.")
    grid = _grid(image.shape, image.index_to_world, path).replace(warnings=image.warnings)
    return image.voxels.astype(np.int32), grid


# --- common -------------------------------------------------------------------------------


def check_not_empty(segmentation: Segmentation) -> None:
    if not segmentation.masks:
        raise InputError("The segmentation has no structures; ask for at least one.")


def _provenance(segmentation: Segmentation) -> Mapping[str, Any] | None:
    return None if segmentation.provenance is None else segmentation.provenance.to_dict()


def note_of(segmentation: Segmentation) -> str:
    """By what and on what it was drawn, and what that is good for."""
    provenance = segmentation.provenance
    if provenance is None and segmentation.origins:
        return "From another file; each structure says how it was drawn, if that is known."
    if provenance is None:
        return "Origin not recorded."
    model = UNKNOWN_MODEL
    if provenance.bundle:
        model = f"{provenance.bundle} {provenance.bundle_version} [{provenance.bundle_hash[:12]}]"
    return f"Drawn on {inputs_in_words(segmentation)} by {model}. {DISCLAIMER}".replace("\n", " ")


def _described(name: str) -> dict[str, Any]:
    structure = STRUCTURES.get(name)
    if structure is None:
        return {"name": name, "colour": list(UNKNOWN_COLOUR)}
    codes = {"category": structure.category, "type": structure.type, "side": structure.modifier}
    return {
        "name": name,
        "description": structure.label,
        "colour": [round(c, 4) for c in structure.colour],
        "codes": {
            key: dict(zip(("scheme", "value", "meaning"), code, strict=True))
            for key, code in codes.items()
            if code is not None
        },
    }


def _file_names(names: Iterable[str], reserved: str) -> dict[str, str]:
    """Structure -> file name; characters that a file system may refuse become ``_``."""
    taken = {reserved.lower()}
    files = {}
    for name in names:
        stem = unique = re.sub(r"[^\w.+-]", "_", name).strip(".") or "_"
        number = 2
        while unique.lower() in taken:
            unique = f"{stem}_{number}"
            number += 1
        taken.add(unique.lower())
        files[name] = f"{unique}.nii.gz"
    return files
