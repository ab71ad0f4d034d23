"""Simulated patients as volumes: what `mrisynth demo`, tests and evaluation work on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..progress import SILENT, Callbacks
from ..sequences import SEQUENCE_NAMES
from ..volume import Volume, matrix_from_parts
from .anatomy import LABELLED_STRUCTURES, Anatomy
from .procedural import build_head
from .protocols import draw_protocol, typical_protocol
from .signal import Protocol
from .tumours import STAGES, add_tumour

SLICES = 40
MATRIX = (256, 224)
PIXEL_MM = 0.94
SLICE_MM = 3.5
"""The grid of a simulated examination: a usual one for the nasopharynx."""


@dataclass(frozen=True)
class VirtualPatient:
    """A simulated patient.

    Attributes
    ----------
    name:
        Such as ``virtual-0007``.
    volumes:
        Canonical sequence name -> image; all share one grid (LPS mm, axial).
    segmentation_masks:
        TG-263 name -> boolean array on that grid; only structures known in this anatomy.
    protocols:
        How each sequence was acquired.
    description:
        Stage, side, seed, source.
    """

    name: str
    volumes: dict[str, Volume]
    segmentation_masks: dict[str, np.ndarray]
    protocols: dict[str, Protocol]
    description: dict = field(default_factory=dict)


def draw_anatomy(rng: np.random.Generator, stage: str | None, source=None) -> Anatomy:
    """A head, procedural or from a :class:`label_maps.LabelMapSource`, with a tumour.

    ``stage`` None gives a healthy head.
    """
    if source is None:
        anatomy, coordinates = build_head(rng)
    else:
        anatomy, coordinates = source.build(int(rng.integers(len(source))), rng)
    if stage is None:
        anatomy.description["stage"] = "healthy"
        return anatomy
    return add_tumour(anatomy, coordinates, stage, rng)


def virtual_patient(
    seed: int,
    sequences: tuple[str, ...] = ("T1w", "T2w", "CE-T1w", "STIR"),
    stage: str | None = "draw",
    source=None,
    typical: bool = False,
    callbacks: Callbacks = SILENT,
) -> VirtualPatient:
    """A simulated examination of one patient; the same seed gives the same images.

    Parameters
    ----------
    sequences:
        Canonical names of the images to make.
    stage:
        One of ``tumours.STAGES``, None for a healthy head, "draw" to let the seed decide.
    source:
        None for procedural anatomy, or a :class:`label_maps.LabelMapSource`.
    typical:
        Use one fixed protocol per sequence instead of a drawn one.
    """
    import torch

    from .imaging import Acquisition, PatientTissues, acquire, tissue_maps

    unknown = [name for name in sequences if name not in SEQUENCE_NAMES]
    if unknown:
        raise InputError(f"Unknown sequence {unknown[0]}; choose from {', '.join(SEQUENCE_NAMES)}.")
    rng = np.random.default_rng(seed)
    if stage == "draw":
        stage = str(rng.choice(STAGES)) if rng.random() < 0.85 else None
    anatomy = draw_anatomy(rng, stage, source)
    callbacks.check()
    field_t = 3.0 if typical else float(rng.choice((1.5, 3.0)))
    patient = PatientTissues.draw(rng, field_t)
    torch_rng = torch.Generator().manual_seed(seed)
    slabs, matrix, index = _slabs(anatomy)
    maps = tissue_maps(torch.from_numpy(slabs.astype(np.int64)), patient, torch_rng)
    volumes, protocols = {}, {}
    for sequence in sequences:
        callbacks.check()
        protocol = (
            typical_protocol(sequence, field_t)
            if typical
            else draw_protocol(sequence, rng, field_t)
        )
        acquisition = Acquisition.draw(rng)
        image = acquire(maps, protocol, acquisition, torch_rng, PIXEL_MM).numpy()
        if sequence not in ("CT", "ADC"):
            image = image * (900.0 / max(float(np.percentile(image, 99.5)), 1e-6))
        protocols[sequence] = protocol
        volumes[sequence] = Volume(
            image.astype(np.float32),
            matrix,
            sequence,
            f"{sequence} (simulated)",
            _acquisition_attributes(protocol),
        )
    masks = {
        name: (anatomy.structures[index] >> position & 1).astype(bool)
        for position, name in enumerate(LABELLED_STRUCTURES)
        if name in anatomy.known
    }
    description = {**anatomy.description, "seed": seed, "field_t": field_t}
    return VirtualPatient(f"virtual-{seed:04d}", volumes, masks, protocols, description)


def _slabs(anatomy: Anatomy):
    """(labels (slices, sub-slices, rows, columns), index-to-world, index of slice centres)."""
    depth, rows, columns = anatomy.tissue.shape
    centre_z = (np.arange(SLICES) - SLICES / 2 + 0.5) * SLICE_MM + depth / 2
    z = np.clip(np.rint(centre_z[:, None] + np.array((-1, 0, 1))), 0, depth - 1).astype(int)
    y = (np.arange(MATRIX[0]) - MATRIX[0] / 2 + 0.5) * PIXEL_MM + rows / 2 - 0.5
    x = (np.arange(MATRIX[1]) - MATRIX[1] / 2 + 0.5) * PIXEL_MM + columns / 2 - 0.5
    yi = np.clip(np.rint(y), 0, rows - 1).astype(int)
    xi = np.clip(np.rint(x), 0, columns - 1).astype(int)
    slabs = anatomy.tissue[z[:, :, None, None], yi[None, None, :, None], xi[None, None, None, :]]
    origin = anatomy.index_to_world[:3, 3] + np.array((x[0], y[0], centre_z[0]))
    matrix = matrix_from_parts((PIXEL_MM, PIXEL_MM, SLICE_MM), None, origin)
    return slabs, matrix, np.ix_(z[:, 1], yi, xi)


def _acquisition_attributes(protocol: Protocol) -> dict:
    """The protocol as DICOM keywords."""
    attributes = {"Modality": "CT" if protocol.technique == "CT" else "MR"}
    if attributes["Modality"] == "CT":
        return attributes
    attributes |= {
        "SeriesDescription": f"{protocol.sequence} (simulated)",
        "MagneticFieldStrength": protocol.field_t,
        "RepetitionTime": round(protocol.tr_ms, 1),
        "EchoTime": round(protocol.te_ms, 1),
    }
    if protocol.ti_ms:
        attributes["InversionTime"] = round(protocol.ti_ms, 1)
    if protocol.technique == "GRE":
        attributes["FlipAngle"] = round(protocol.flip_deg, 1)
    if protocol.dose:
        attributes["ContrastBolusAgent"] = "simulated gadolinium"
    return attributes


def demo_patient(seed: int = 2026, callbacks: Callbacks = SILENT) -> VirtualPatient:
    """The built-in patient of ``mrisynth demo``: a T2 tumour, T1w, T2w and the true targets."""
    return virtual_patient(
        seed, ("T1w", "T2w", "CE-T1w", "STIR"), stage="T2", typical=True, callbacks=callbacks
    )


def simulate(
    cases: int,
    seed: int,
    output: Path,
    sequences: tuple[str, ...] = ("T1w", "T2w", "CE-T1w", "STIR"),
    callbacks: Callbacks = SILENT,
) -> list[Path]:
    """Write simulated patients as a BIDS-like folder each; returns the case folders.

    A case folder holds ``anat/<name>_<sequence>.nii.gz``, ``labels/<structure>.nii.gz`` and
    ``case.json``. Finished cases are kept when the command is run again.
    """
    from ..io import save
    from ..io.output import staged_folder

    folders = []
    for number in range(cases):
        case_seed = seed + number
        folder = Path(output) / f"virtual-{case_seed:04d}"
        folders.append(folder)
        if (folder / "case.json").is_file():
            continue
        patient = virtual_patient(case_seed, tuple(sequences), callbacks=callbacks)
        with staged_folder(folder) as stage:
            (stage / "anat").mkdir()
            (stage / "labels").mkdir()
            for sequence, volume in patient.volumes.items():
                save(volume, stage / "anat" / f"{patient.name}_{sequence}.nii.gz")
            reference = next(iter(patient.volumes.values()))
            for name, mask in patient.segmentation_masks.items():
                label = Volume(mask.astype(np.uint8), reference.index_to_world, name=name)
                save(label, stage / "labels" / f"{name}.nii.gz")
            record = {
                "name": patient.name,
                **patient.description,
                "protocols": {key: vars(value) for key, value in patient.protocols.items()},
            }
            (stage / "case.json").write_text(json.dumps(record, indent=2), encoding="utf-8")
        callbacks.progress("write", number + 1, cases)
    return folders
