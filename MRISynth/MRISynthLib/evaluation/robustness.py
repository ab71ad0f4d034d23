"""How quality falls as the inputs get worse.

What is done to the inputs is seeded, and stronger versions of one degradation are the same
pattern with more of it, so that a curve shows the strength and not the luck of a draw.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..preprocessing.background import body_mask
from ..preprocessing.registration import Target as Fixed
from ..preprocessing.registration import register
from ..volume import Volume
from .cases import Aligned
from .metrics import mean_of
from .models import Model
from .tasks import Task, task_name

TASKS: tuple[Task, ...] = ((("T1w", "T2w"), "CE-T1w"), (("T1w",), "T2w"))
PATIENTS = 3

Degrade = Callable[[Volume, float, int], Volume]


def _bright(volume: Volume) -> float:
    """The 99.5th percentile in the body."""
    return float(np.percentile(volume.voxels[body_mask(volume.voxels, volume.spacing)], 99.5))


def with_noise(volume: Volume, strength: float, seed: int) -> Volume:
    """Rician noise (Gudbjartsson and Patz, MRM 34:910, 1995); strength: standard deviation of
    each of both channels over the image's 99.5th percentile in the body."""
    rng = np.random.default_rng(seed)
    real, imaginary = rng.normal(0, 1, (2, *volume.shape)) * (strength * _bright(volume))
    return volume.with_voxels(np.hypot(volume.voxels + real, imaginary).astype(np.float32))


def with_bias(volume: Volume, strength: float, seed: int) -> Volume:
    """A smooth coil pattern, the exponential of a cubic polynomial; strength: largest coefficient
    (MONAI's ``RandBiasField``)."""
    from monai.transforms import RandBiasField

    field = RandBiasField(degree=3, coeff_range=(-strength, strength), prob=1.0)
    field.set_random_state(seed)
    return volume.with_voxels(np.asarray(field(volume.voxels[None].copy())[0], np.float32))


def with_ghosts(volume: Volume, strength: float, seed: int) -> Volume:
    """Ghosts of a moving patient along the rows' axis, as the simulation has them; strength:
    that of each ghost relative to the image."""
    rng = np.random.default_rng(seed)
    step = max(1, round(volume.shape[1] * float(rng.uniform(0.12, 0.45))))
    ghosts = np.roll(volume.voxels, step, 1) + np.roll(volume.voxels, -step, 1)
    return volume.with_voxels((volume.voxels + strength * ghosts).astype(np.float32))


def with_missing_slices(volume: Volume, strength: float, seed: int) -> Volume:
    """Empty slices; strength: share of them, rounded up."""
    order = np.random.default_rng(seed).permutation(volume.shape[0])
    voxels = volume.voxels.copy()
    voxels[order[: math.ceil(strength * volume.shape[0])]] = 0
    return volume.with_voxels(voxels)


def displaced(volume: Volume, strength: float, seed: int) -> Volume:
    """A header that lies: shifted by so many millimetres in some direction, and turned about the
    middle by as many degrees."""
    rng = np.random.default_rng(seed)
    shift, axis = (v / np.linalg.norm(v) for v in rng.normal(0, 1, (2, 3)))
    middle = volume.corners().mean(0)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.deg2rad(strength) * axis).as_matrix()
    move[:3, 3] = middle - move[:3, :3] @ middle + strength * shift
    return volume.replace(index_to_world=move @ volume.index_to_world)


@dataclass(frozen=True)
class Degradation:
    """What is done to inputs, how strongly, and to which.

    ``only_last``: to the last input only, so that the reference keeps its place;
    ``registered``: whether that input is registered before the model sees it.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Degrade
    only_last: bool = False
    registered: bool = False


DEGRADATIONS: tuple[Degradation, ...] = (
    Degradation("noise", "share of the grey scale", (0.0, 0.02, 0.05, 0.1, 0.2), with_noise),
    Degradation("bias field", "largest coefficient", (0.0, 0.1, 0.2, 0.4, 0.6), with_bias),
    Degradation("motion ghosts", "share of the image", (0.0, 0.02, 0.05, 0.1, 0.2), with_ghosts),
    Degradation(
        "missing slices", "share", (0.0, 0.05, 0.1, 0.2, 0.4), with_missing_slices, only_last=True
    ),
    Degradation(
        "misregistration", "mm and degrees", (0.0, 1.0, 2.0, 4.0, 8.0), displaced, True, True
    ),
    Degradation(
        "misregistration, not corrected", "mm and degrees", (0.0, 1.0, 2.0, 4.0, 8.0), displaced,
        only_last=True,
    ),
)  # fmt: skip


def degraded(
    inputs: Sequence[Volume], degradation: Degradation, strength: float, seed: int
) -> list[Volume] | None:
    """The inputs made worse; None where it means nothing, as moving the only one."""
    if degradation.apply is displaced and len(inputs) < 2:
        return None
    worse = list(inputs)
    if not strength:
        return worse
    chosen = [len(worse) - 1] if degradation.only_last else range(len(worse))
    for number in chosen:
        # another pattern in each sequence, as in life
        own = zlib.crc32(f"{degradation.name} {number} {seed}".encode())
        worse[number] = degradation.apply(worse[number], strength, own)
    if degradation.registered:
        found = register(worse[-1], Fixed(worse[0]))
        if found.succeeded:
            matrix = np.linalg.solve(found.matrix, worse[-1].index_to_world)
            worse[-1] = worse[-1].replace(index_to_world=matrix)
    return worse


Curves = dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]
"""Task -> degradation -> strength -> model -> figure -> value."""


def curves_of(aligned: Aligned, models: Sequence[Model], seed: int) -> Curves:
    """SSIM of the body and MAE of the tumour of one patient at every strength.

    Truth, body and tumour are those of the undamaged images.
    """
    found: Curves = {}
    for task in TASKS:
        inputs, target = task
        able = [model for model in models if model.can(task)]
        if not able or not all(aligned.usable(name) for name in (*inputs, target)):
            continue
        frame = aligned.frame(inputs[0])
        yardstick = frame.yardstick(target)
        volumes = aligned.inputs(inputs)
        curves = found.setdefault(task_name(task), {})
        for degradation in DEGRADATIONS:
            for strength in degradation.strengths:
                worse = degraded(volumes, degradation, strength, seed)
                if worse is None:
                    continue
                point = curves.setdefault(degradation.name, {}).setdefault(f"{strength:g}", {})
                for model in able:
                    image = model.make(worse, [target])[target].image
                    image = frame.as_sharp_as(target, image)
                    point[model.label] = _two(yardstick.compare(image))
    return found


def _two(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    two = {"body SSIM": figures["body"]["SSIM"]}
    if "tumour" in figures:
        two["tumour MAE"] = figures["tumour"]["MAE"]
    return two


def robustness(patients: Sequence[Curves]) -> dict[str, Any]:
    """The mean curves over patients, with what the strengths mean; empty without patients."""
    if not patients:
        return {}
    units = {degradation.name: degradation.unit for degradation in DEGRADATIONS}
    return {"patients": len(patients), "strengths in": units, "curves": mean_of(list(patients))}
