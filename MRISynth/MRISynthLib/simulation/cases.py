"""Simulated patients as volumes: what `mrisynth demo`, tests and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError
from ..progress import SILENT, Callbacks
from ..sequences import SEQUENCE_NAMES
from ..volume import Volume
from .acquisition import Acquisition, AcquisitionStyle, displacement, predictable
from .anatomy import LABELLED_STRUCTURES, Anatomy
from .examinations import Examination
from .hospitals import Hospital, inside_hospitals
from .hospitals import hospital as find_hospital
from .procedural import build_head
from .protocols import Protocol, typical_protocol
from .slices import SlicePlan, cut, fractions
from .tumours import STAGES, add_tumour
from .variants import add_variant, draw_condition

TYPICAL = Examination("axial", (0.0, 0.0, 0.0), (40, 256, 224), 0.94, 3.5, 0.0, (0.0, 14.0, -34.0))
"""A usual examination of the nasopharynx, and that of the built-in patient."""

TYPICAL_FIELD_T = 3.0


@dataclass(frozen=True)
class VirtualPatient:
    """A simulated patient.

    Attributes
    ----------
    name:
        Such as ``sub-virtual000007``.
    volumes:
        Canonical sequence name -> image; all share one grid (LPS mm).
    segmentation_masks:
        TG-263 name -> boolean array on that grid; only structures known in this anatomy.
    tissue, second_tissue, tissue_share:
        What each voxel mostly holds, what else (uint8, indices into ``tissues.TISSUES``), and
        the share of the first (float32, 0-1).
    protocols:
        How each sequence was acquired.
    description:
        Condition, side, seed, source, hospital, examination.
    clean:
        Sequence -> the image without noise, motion and failing suppression, for those that
        were asked for so.
    displacements:
        Sequence -> 4x4 from a place in the head to where that image shows it (LPS mm), of the
        patient's rigid motion between the images.
    """

    name: str
    volumes: dict[str, Volume]
    segmentation_masks: dict[str, np.ndarray]
    tissue: np.ndarray
    second_tissue: np.ndarray
    tissue_share: np.ndarray
    protocols: dict[str, Protocol]
    description: dict = field(default_factory=dict)
    clean: dict[str, Volume] = field(default_factory=dict)
    displacements: dict[str, np.ndarray] = field(default_factory=dict)


def draw_anatomy(rng: np.random.Generator, condition: str | None, source=None) -> Anatomy:
    """A head, procedural or from a :class:`label_maps.LabelMapSource`, with its condition.

    ``condition`` is one of ``tumours.STAGES`` or ``variants.VARIANTS``; None is a healthy head.
    """
    if source is None:
        anatomy, coordinates = build_head(rng)
    else:
        anatomy, coordinates = source.build(int(rng.integers(len(source))), rng)
    if condition in STAGES:
        return add_tumour(anatomy, coordinates, condition, rng)
    if condition is not None:
        return add_variant(anatomy, coordinates, condition, rng)
    anatomy.description["stage"] = "healthy"
    return anatomy


def virtual_patient(
    seed: int,
    sequences: tuple[str, ...] = ("T1w", "T2w", "CE-T1w", "STIR"),
    stage: str | None = "draw",
    source=None,
    typical: bool = False,
    hospital: str | None = None,
    name: str | None = None,
    clean: tuple[str, ...] = (),
    callbacks: Callbacks = SILENT,
) -> VirtualPatient:
    """A simulated examination of one patient; the same arguments give the same images.

    Parameters
    ----------
    sequences:
        Canonical names of the images to make.
    stage:
        One of ``tumours.STAGES`` or ``variants.VARIANTS``, None for a healthy head, "draw" to let
        the seed decide.
    source:
        None for procedural anatomy, or a :class:`label_maps.LabelMapSource`.
    typical:
        One usual protocol a sequence and one usual grid, instead of a hospital's.
    hospital:
        Name of a virtual hospital (:data:`hospitals.HOSPITALS`); None lets the seed choose one of
        those that may be trained on.
    name:
        Name of the patient; by default from the seed.
    clean:
        Those of ``sequences`` that are made once more, without noise and motion; the others are
        the same as without.

    Raises
    ------
    InputError
        If a sequence or the hospital is unknown, a sequence is asked for twice, or the head does
        not show where the tumour of that stage grows.
    """
    unknown = [text for text in sequences if text not in SEQUENCE_NAMES]
    if unknown:
        raise InputError(f"Unknown sequence {unknown[0]}; choose from {', '.join(SEQUENCE_NAMES)}.")
    if len(set(sequences)) < len(sequences):
        raise InputError(f"A sequence is asked for twice in {', '.join(sequences)}; ask once.")
    rng = np.random.default_rng(seed)
    if stage == "draw":
        stage = draw_condition(rng)
    anatomy = draw_anatomy(rng, stage, source)
    callbacks.check()
    where = None
    if not typical:
        where = find_hospital(hospital) if hospital else _any_inside(rng)
    examination = TYPICAL if where is None else where.draw_examination(rng)
    return examine(
        anatomy,
        where,
        examination,
        sequences,
        seed,
        rng,
        name or f"sub-virtual{seed:06d}",
        clean,
        callbacks,
    )


def _any_inside(rng: np.random.Generator) -> Hospital:
    choices = inside_hospitals()
    return choices[int(rng.integers(len(choices)))]


def examine(
    anatomy: Anatomy,
    where: Hospital | None,
    examination: Examination,
    sequences: tuple[str, ...],
    seed: int,
    rng: np.random.Generator,
    name: str,
    clean: tuple[str, ...] = (),
    callbacks: Callbacks = SILENT,
) -> VirtualPatient:
    """All images of one anatomy in one hospital, or with typical protocols where it is None.

    ``clean`` as for :func:`virtual_patient`.
    """
    import torch

    from .imaging import PatientTissues, acquire, stored_values, tissue_maps
    from .slabs import slice_profile

    field_t = TYPICAL_FIELD_T if where is None else where.field_t
    patient = PatientTissues.draw(rng, field_t)
    torch_rng = torch.Generator().manual_seed(seed)
    plan = SlicePlan.of(examination)
    labels, structures = cut(anatomy, plan)
    maps = tissue_maps(
        torch.from_numpy(labels.astype(np.int64)),
        patient,
        torch_rng,
        examination.pixel_mm,
        plan.sub_slice_mm,
        examination.levels_mm(),
    )

    def image_of(sequence: str, acquisition: Acquisition, made: str = "simulated") -> Volume:
        protocol = protocols[sequence]
        image = stored_values(
            acquire(maps, protocol, acquisition, torch_rng), protocol, acquisition
        )
        return Volume(
            image.numpy().astype(np.float32),
            plan.index_to_head,
            sequence,
            f"{sequence} ({made})",
            acquisition=_acquisition_attributes(protocol, acquisition, examination, where),
        )

    volumes, protocols, acquisitions = {}, {}, {}
    for number, sequence in enumerate(sequences):
        callbacks.check()
        if where is None:
            protocols[sequence] = typical_protocol(sequence, field_t)
            drawn = AcquisitionStyle().draw(sequence, rng, coil=examination.coil)
            acquisition = replace(drawn, slice_mm=examination.slice_mm)
        else:
            protocols[sequence] = where.draw_protocol(sequence, rng, examination.slice_mm)
            acquisition = where.draw_acquisition(sequence, rng, examination, moved=number > 0)
        acquisitions[sequence] = acquisition
        volumes[sequence] = image_of(sequence, acquisition)
    # after all others, so that their random numbers do not depend on what is asked for here
    without = {
        sequence: image_of(sequence, predictable(acquisitions[sequence]), "simulated, clean")
        for sequence in sequences
        if sequence in clean
    }
    masks = {
        structure: (structures >> np.uint64(position) & np.uint64(1)).astype(bool)
        for position, structure in enumerate(LABELLED_STRUCTURES)
        if structure in anatomy.known
    }
    description = {
        **anatomy.description,
        "seed": seed,
        "field_t": field_t,
        "hospital": where.name if where else "typical",
        "examination": vars(examination),
    }
    profile = slice_profile(labels.shape[1], plan.sub_slice_mm, examination.slice_mm)
    held = fractions(labels, profile)
    moves = {
        sequence: displacement(acquisition, examination.shape, plan.index_to_head)
        for sequence, acquisition in acquisitions.items()
    }
    return VirtualPatient(name, volumes, masks, *held, protocols, description, without, moves)


def _acquisition_attributes(
    protocol: Protocol, acquisition: Acquisition, examination: Examination, where: Hospital | None
) -> dict:
    """The protocol as DICOM keywords."""
    attributes = {"Modality": "CT" if protocol.technique == "CT" else "MR"}
    if attributes["Modality"] == "CT":
        return attributes
    attributes |= {
        "SeriesDescription": f"{protocol.sequence} (simulated)",
        "MagneticFieldStrength": protocol.field_t,
        "RepetitionTime": round(protocol.tr_ms, 1),
        "EchoTime": round(protocol.te_ms, 1),
        "SliceThickness": examination.slice_mm,
    }
    if where is not None:
        attributes["Manufacturer"] = where.vendor
    if protocol.ti_ms:
        attributes["InversionTime"] = round(protocol.ti_ms, 1)
    if protocol.technique in ("GRE", "MPRAGE"):
        attributes["FlipAngle"] = round(protocol.flip_deg, 1)
    if protocol.technique == "DWI":
        attributes["DiffusionBValue"] = protocol.b_value
    # of echo-planar images the acquisition has the bandwidth along the blips, not this one
    elif protocol.technique != "ADC" and acquisition.bandwidth_hz:
        attributes["PixelBandwidth"] = round(acquisition.bandwidth_hz)
    if protocol.dose:
        attributes["ContrastBolusAgent"] = "simulated gadolinium"
    return attributes


def demo_patient(seed: int = 2026, callbacks: Callbacks = SILENT) -> VirtualPatient:
    """The built-in patient of ``mrisynth demo``: a T2 tumour, T1w, T2w and the true targets."""
    return virtual_patient(
        seed, ("T1w", "T2w", "CE-T1w", "STIR"), stage="T2", typical=True, callbacks=callbacks
    )
