"""Inputs as they were loaded -> one stack on one grid, ready for a network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..progress import SILENT, Callbacks
from ..volume import Volume
from . import registration
from .background import body_mask
from .checks import check_inputs
from .grid import PIXEL_MM, WorkingGrid
from .normalisation import Normalisation, find_normalisation
from .overlap import check_overlap, label, share_inside
from .registration import Registration, Target
from .resampling import covered, resample_to
from .verification import WEAK_QUALITY

LITTLE_COVER = 0.5


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network needs to know of one patient.

    Attributes
    ----------
    reference:
        The first input; every result comes back on its grid.
    grid:
        The working grid.
    stack:
        Sequence -> float32 (slices, rows, columns) on the grid, normalised.
    valid:
        Sequence -> where on the grid that input has voxels; None is everywhere.
    body:
        Boolean on the grid: inside the reference's body.
    registered:
        All inputs on the reference's exact grid, in their own units and in the given order; the
        first is the reference itself.
    matrices:
        Sequence -> 4x4 from the reference's LPS to the input's LPS.
    registrations:
        One plain dict per input but the first, ready for JSON.
    normalisations:
        Sequence -> how it was normalised.
    warnings:
        Sentences for the user, each once.
    timings:
        Seconds: ``register``, and ``prepare`` for everything else.
    """

    reference: Volume
    grid: WorkingGrid
    stack: dict[str, np.ndarray]
    valid: dict[str, np.ndarray | None]
    body: np.ndarray
    registered: list[Volume]
    matrices: dict[str, np.ndarray]
    registrations: list[dict[str, Any]]
    normalisations: dict[str, Normalisation]
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)


def prepare(
    inputs: Sequence[Volume],
    targets: Sequence[str] = (),
    *,
    register: bool = True,
    pixel_mm: float = PIXEL_MM,
    normalisation: str = "robust",
    callbacks: Callbacks = SILENT,
) -> Prepared:
    """Check, register, resample and normalise.

    An input that could not be registered stays where its header places it, and a warning and
    its entry in ``registrations`` (``succeeded`` False, with the reason) say so.

    Parameters
    ----------
    inputs:
        Each with its sequence; the first is the reference.
    targets:
        Canonical names that are to be made, none of which may be given.
    register:
        False trusts the headers.
    normalisation:
        One of :data:`~MRISynthLib.preprocessing.normalisation.METHODS`; the networks know
        ``robust``.

    Raises
    ------
    InputError
        As :func:`~MRISynthLib.preprocessing.checks.check_inputs` does, and if inputs do not
        overlap in space.
    Cancelled
        If the caller wants to stop.
    """
    started = time.perf_counter()
    warnings = [
        *check_inputs(inputs, targets),
        *(text for volume in inputs for text in volume.warnings),
    ]
    if normalisation != "robust":
        warnings.append(
            f"The grey values were scaled by the method '{normalisation}', which the model was not "
            "trained with."
        )
    check_overlap(inputs)
    reference = inputs[0]
    reference_body = body_mask(reference.voxels, reference.spacing)
    callbacks.check()

    before = time.perf_counter()
    found = _register_all(inputs, reference_body, register, callbacks)
    register_seconds = time.perf_counter() - before

    grid = WorkingGrid.for_reference(reference, pixel_mm)
    stack, valid, normalisations, matrices = {}, {}, {}, {}
    registered, registrations = [], []
    for volume, result in zip(inputs, found, strict=True):
        callbacks.check()
        sequence, matrix = str(volume.sequence), result.matrix
        body = reference_body if volume is reference else None
        scale = find_normalisation(volume.voxels, body, normalisation, sequence)
        on_grid = grid.to_grid(volume, matrix, cval=scale.offset)
        stack[sequence] = scale.apply(on_grid)
        valid[sequence] = covered(grid.index_in(volume, matrix), grid.shape, volume.shape)
        normalisations[sequence], matrices[sequence] = scale, matrix
        if volume is reference:
            registered.append(volume)
            continue
        registered.append(resample_to(volume, reference, matrix, cval=scale.offset))
        registrations.append(_entry(volume, reference, result, register))
        warnings.extend(_registration_warnings(volume, reference, result, register))

    body_on_grid = grid.to_grid(reference.with_voxels(reference_body.astype(np.float32)), order=1)
    total = time.perf_counter() - started
    return Prepared(
        reference,
        grid,
        stack,
        valid,
        body_on_grid > 0.5,
        registered,
        matrices,
        registrations,
        normalisations,
        tuple(dict.fromkeys(warnings)),
        {"register": register_seconds, "prepare": total - register_seconds},
    )


def _register_all(
    inputs: Sequence[Volume], reference_body: np.ndarray, wanted: bool, callbacks: Callbacks
) -> list[Registration]:
    reference, *others = inputs
    found = [Registration.unmoved("The reference itself.", 1.0)]
    if not others:
        return found
    if not wanted:
        for volume in others:
            overlap = share_inside(reference, volume, mask=reference_body)
            found.append(Registration.unmoved("Registration was switched off.", overlap))
        return found
    callbacks.progress("register", 0, len(others))
    target = Target(reference, reference_body)
    for done, volume in enumerate(others, start=1):
        found.append(registration.register(volume, target, callbacks=callbacks))
        callbacks.progress("register", done, len(others))
    return found


def _entry(volume: Volume, reference: Volume, result: Registration, wanted: bool) -> dict[str, Any]:
    return {
        "sequence": volume.sequence,
        "name": volume.name,
        "reference": reference.sequence,
        "asked": wanted,
        **result.to_dict(),
    }


def _registration_warnings(
    volume: Volume, reference: Volume, result: Registration, wanted: bool
) -> list[str]:
    found = []
    if wanted and not result.succeeded:
        found.append(
            f"{label(volume)} could not be registered to {label(reference)} and stays where its "
            f"header places it: {result.reason}"
        )
    elif wanted and result.quality < WEAK_QUALITY:
        found.append(
            f"{label(volume)} matches {label(reference)} only weakly; check that they are of one "
            "patient and lie on each other."
        )
    if result.succeeded and result.overlap < LITTLE_COVER:
        found.append(
            f"{label(volume)} covers only {100 * result.overlap:.0f} % of the body in "
            f"{label(reference)}; elsewhere it says nothing."
        )
    return found
