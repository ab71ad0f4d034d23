"""Rigid registration of one sequence to another of the same head, which knows when it failed.

A global search by mutual information on 8 mm voxels, from several starts and in a wide range of
angles, then SimpleITK's Mattes mutual information on 4 and 2 mm voxels (Mattes et al., IEEE TMI
2003; regular-step gradient descent, fixed sampling, one thread: the same result every time).
What comes out has to prove itself by :mod:`~MRISynthLib.preprocessing.verification`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..progress import SILENT, Callbacks
from ..volume import Volume
from .similarity import Level, Similarity, finest_level
from .verification import Evidence, gather_evidence

FINEST_MM = 2.0
IDENTITY_MM = 0.5
IDENTITY_LOSS = 0.02
"""The scanner's own alignment is kept if the result moves the body by less than ``IDENTITY_MM``
on average, or matches better by less than ``IDENTITY_LOSS`` and moves it by less than 1 mm."""

_ANGLES = np.deg2rad((-14.0, 0.0, 14.0))
_LOCAL_STARTS = 5


@dataclass(frozen=True, eq=False)
class Registration:
    """Where one image lies in the frame of another.

    Attributes
    ----------
    matrix:
        4x4 rigid matrix that takes LPS points of the fixed image's frame to those of the moving
        image's, which is what resampling the moving image onto the fixed one needs. The identity
        if the registration did not succeed.
    quality:
        0 to 1: the share of the match (normalised mutual information inside the body) that is
        lost when the result is moved by 4 mm or turned by 8 degrees. 0.2 to 0.5 is usual for
        two sequences of one head; below 0.13 the registration counts as failed.
    succeeded:
        Whether the result may be used.
    reason:
        One sentence: what was found, or why it failed.
    overlap:
        Share of the fixed body that lies in the moving image's field of view.
    rotation_deg, translation_mm:
        Angle of the rotation; shift of the fixed body's centre.
    """

    matrix: np.ndarray
    quality: float
    succeeded: bool
    reason: str
    overlap: float
    rotation_deg: float = 0.0
    translation_mm: float = 0.0

    @classmethod
    def unmoved(cls, reason: str, overlap: float, quality: float = 0.0) -> Registration:
        """The identity as a success: the headers are taken as true."""
        return cls(np.eye(4), quality, True, reason, overlap)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "matrix_lps_fixed_to_moving": self.matrix.tolist(),
            "quality": round(self.quality, 4),
            "succeeded": self.succeeded,
            "reason": self.reason,
            "overlap": round(self.overlap, 4),
            "rotation_deg": round(self.rotation_deg, 3),
            "translation_mm": round(self.translation_mm, 3),
        }


class Target:
    """The fixed image, prepared once for all that are registered to it."""

    def __init__(self, fixed: Volume, body: np.ndarray | None = None) -> None:
        self.volume = fixed
        self.fine = finest_level(fixed, FINEST_MM, body)
        self.middle = self.fine.coarser(2)
        self.coarse = self.middle.coarser(2)
        self.centre = self.middle.points(self.middle.body).mean(axis=0)


def register(
    moving: Volume,
    fixed: Volume | Target,
    *,
    callbacks: Callbacks = SILENT,
) -> Registration:
    """Find the rigid transform from ``fixed`` to ``moving``.

    Never raises for images that cannot be registered: look at ``succeeded``. Pass a
    :class:`Target` as ``fixed`` to register several images to the same one.

    Raises
    ------
    Cancelled
        If the caller's ``cancelled`` says so.
    """
    target = fixed if isinstance(fixed, Target) else Target(fixed)
    fine = finest_level(moving, FINEST_MM)
    middle = fine.coarser(2)
    callbacks.check()
    judge = Similarity(target.middle, middle, target.middle.body & target.middle.valid)

    if moving.same_geometry(target.volume) and _nothing_to_gain(judge, target):
        matrix = np.eye(4)
    else:
        matrix = _matrix(_align(target, fine, middle, judge, callbacks), target.centre)
        if _identity_is_as_good(judge, matrix, target.middle):
            matrix = np.eye(4)
    evidence = gather_evidence(target.middle, middle, matrix, target.centre)
    if evidence.problem() and not np.array_equal(matrix, np.eye(4)):
        # A search that went astray says nothing against the scanner's own coordinates.
        unmoved = gather_evidence(target.middle, middle, np.eye(4), target.centre)
        if not unmoved.problem():
            matrix, evidence = np.eye(4), unmoved
    return _conclude(matrix, target.centre, evidence)


def _nothing_to_gain(judge: Similarity, target: Target) -> bool:
    """Whether the best pose near the identity is the identity, for images on one grid."""
    pose = _climb(_Score(judge, target.centre), np.zeros(6), tolerance_mm=0.1, evaluations=150)[1]
    return _identity_is_as_good(judge, _matrix(pose, target.centre), target.middle)


def _align(
    target: Target, fine: Level, middle: Level, judge: Similarity, callbacks: Callbacks
) -> np.ndarray:
    """The pose (rotation vector, translation) from the coarsest level to the finest."""
    centre = target.centre
    search = Similarity(target.coarse, middle.coarser(2), _region(target.coarse))
    poses = _global_search(_Score(search, centre), target, middle, callbacks)
    best = max(
        (_descend(target.middle, middle, pose, centre, 2.0, 0.35) for pose in poses),
        key=lambda pose: judge(_matrix(pose, centre))[0],
    )
    callbacks.check()
    best = _descend(target.fine, fine, best, centre, 0.5, 0.1)
    callbacks.check()
    return _polish(target.fine, fine, best, centre)


def _region(level: Level) -> np.ndarray:
    """The body with some air around it: the outline is part of what must match."""
    reach = max(1, round(8.0 / level.step))
    return ndimage.binary_dilation(level.body, iterations=reach) & level.valid


def _matrix(pose: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """4x4 of (rotation vector in rad, translation in mm) about ``centre``."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(pose[:3]).as_matrix()
    matrix[:3, 3] = centre + pose[3:] - matrix[:3, :3] @ centre
    return matrix


class _Score:
    """Similarity of a pose; poses that lose the common field of view are worth less."""

    def __init__(self, similarity: Similarity, centre: np.ndarray) -> None:
        self.similarity, self.centre = similarity, centre

    def __call__(self, pose: np.ndarray) -> float:
        value, share = self.similarity(_matrix(pose, self.centre))
        return (value - 1.0) * min(1.0, share / 0.3)


def _global_search(
    score: _Score, target: Target, moving: Level, callbacks: Callbacks
) -> list[np.ndarray]:
    """The best one or two distinct poses on the coarsest voxels."""
    shifts = [
        np.zeros(3),
        moving.points(moving.body).mean(axis=0) - target.centre,
        _middle(moving) - _middle(target.middle),
        _top(moving) - _top(target.middle),
    ]
    starts = [np.zeros(6)]
    for shift, *angles in product(_distinct(shifts), _ANGLES, _ANGLES, _ANGLES):
        starts.append(np.concatenate([angles, shift]))
    values = np.array([score(pose) for pose in starts])
    order = [0, *(i for i in np.argsort(-values) if i != 0)][:_LOCAL_STARTS]
    found = []
    for i in order:
        callbacks.check()
        found.append(_climb(score, starts[i]))
    found.sort(key=lambda item: -item[0])
    (highest, first), *others = found
    for value, pose in others:
        if value > 0.85 * highest and _apart(first, pose, score.centre) > 6.0:
            return [first, pose]
    return [first]


def _climb(
    score: _Score, start: np.ndarray, tolerance_mm: float = 0.2, evaluations: int = 300
) -> tuple[float, np.ndarray]:
    """Local maximum by Powell's method; the parameters are scaled to millimetres at 80 mm."""
    scale = np.array([1 / 80] * 3 + [1.0] * 3)
    result = minimize(
        lambda x: -score(x * scale),
        start / scale,
        method="Powell",
        options={"xtol": tolerance_mm, "ftol": 1e-5, "maxfev": evaluations},
    )
    return -float(result.fun), np.asarray(result.x) * scale


def _middle(level: Level) -> np.ndarray:
    points = level.points(level.body)
    return (points.min(axis=0) + points.max(axis=0)) / 2


def _top(level: Level) -> np.ndarray:
    """Centre of the uppermost 12 cm of the body: scans differ in how much neck they show."""
    points = level.points(level.body)
    return points[points[:, 2] > points[:, 2].max() - 120.0].mean(axis=0)


def _distinct(shifts: list[np.ndarray]) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    for shift in shifts:
        if all(np.linalg.norm(shift - other) > 4.0 for other in kept):
            kept.append(shift)
    return kept


def _apart(a: np.ndarray, b: np.ndarray, centre: np.ndarray) -> float:
    """Millimetres between two poses, 80 mm from the centre."""
    spread = centre + 80.0 * np.concatenate([np.eye(3), -np.eye(3)])
    return float(displacement(_matrix(a, centre), _matrix(b, centre), spread).max())


def displacement(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Millimetres between what two 4x4 matrices make of (n, 3) points."""
    difference = np.asarray(a)[:3] - np.asarray(b)[:3]
    return np.linalg.norm(points @ difference[:, :3].T + difference[:, 3], axis=1)


def _descend(
    fixed: Level, moving: Level, pose: np.ndarray, centre: np.ndarray, step: float, share: float
) -> np.ndarray:
    """SimpleITK's gradient descent from ``pose``, first step ``step`` mm."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    matrix = _matrix(pose, centre)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation(pose[3:].tolist())

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(share, 1)
    method.SetMetricFixedMask(_image(_region(fixed).astype(np.uint8), fixed))
    method.SetMetricMovingMask(_image(moving.valid.astype(np.uint8), moving))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step,
        minStep=0.01,
        numberOfIterations=60,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-7,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_image(fixed.voxels, fixed), _image(moving.voxels, moving))
    except RuntimeError:
        # ITK gives up when the samples leave the moving image; the start is then the result.
        return pose
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    vector = Rotation.from_matrix(rotation).as_rotvec()
    # ITK's sums differ in their last bits from call to call; rounded, the result does not.
    return np.round(np.concatenate([vector, transform.GetTranslation()]), 7)


def _polish(fixed: Level, moving: Level, pose: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The last millimetre: Powell's method on what lies inside the body.

    Gradient descent leaves about 1 mm here, for defaced, clipped or swollen outlines pull on it.
    """
    inside = Similarity(fixed, moving, fixed.body & fixed.valid, most=45_000)
    best = _climb(_Score(inside, centre), pose, tolerance_mm=0.02, evaluations=220)[1]
    return np.round(best, 7)


def _image(array: np.ndarray, level: Level):
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    image = sitk.GetImageFromArray(array)
    image.SetSpacing([level.step] * 3)
    image.SetOrigin(level.origin.tolist())
    return image


def _identity_is_as_good(judge: Similarity, matrix: np.ndarray, fixed: Level) -> bool:
    points = fixed.points(fixed.body)[::20]
    moved = float(displacement(matrix, np.eye(4), points).mean())
    if moved < IDENTITY_MM:
        return True
    at_result, at_identity = judge(matrix)[0] - 1, judge(np.eye(4))[0] - 1
    return moved < 1.0 and at_identity > (1 - IDENTITY_LOSS) * at_result


def _conclude(matrix: np.ndarray, centre: np.ndarray, evidence: Evidence) -> Registration:
    problem = evidence.problem()
    angle = float(np.rad2deg(Rotation.from_matrix(matrix[:3, :3]).magnitude()))
    shift = float(np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre))
    if problem:
        return Registration(np.eye(4), evidence.quality, False, problem, evidence.overlap)
    if np.array_equal(matrix, np.eye(4)):
        words = "Already aligned in the scanner's own coordinates; left as it is."
    else:
        words = f"Moved by {shift:.1f} mm and turned by {angle:.1f} degrees."
    return Registration(matrix, evidence.quality, True, words, evidence.overlap, angle, shift)
