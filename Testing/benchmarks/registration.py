"""How well registration finds known offsets, and whether it notices when it cannot.

    python Testing/benchmarks/registration.py [--offsets 10] [--json]

Pairs: the openms examinations with their true (affine) transforms, the T1w and T2w of mr_adi, and
simulated heads where the real scans are absent. Each pair is registered as it is and with the
moving image displaced by random rigid offsets of up to 20 mm and 15 degrees. The error is the
mean and the largest target registration error (TRE) over the whole fixed head; "floor" is what
the best rigid transform leaves of the affine truth. The second table holds pairs that cannot be
registered: they must be reported as failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from MRISynthLib.io import load_one
from MRISynthLib.preprocessing import body_mask, register
from MRISynthLib.preprocessing.registration import Target, displacement
from MRISynthLib.volume import Volume

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from phantoms import head, rigid

MOST_MM, MOST_DEG = 20.0, 15.0
ACCEPTED_MM = 1.5


@dataclass(frozen=True, eq=False)
class Pair:
    """``truth`` takes LPS points of the fixed image to the moving one's; None if not known."""

    name: str
    moving: Volume
    fixed: Volume
    truth: np.ndarray | None


def itk_transform(path: Path) -> np.ndarray:
    """4x4 of an ITK text transform (matrix, translation, centre), LPS."""
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, numbers = line.partition(":")
        if key in ("Parameters", "FixedParameters"):
            values[key] = np.array(numbers.split(), float)
    matrix = np.eye(4)
    matrix[:3, :3] = values["Parameters"][:9].reshape(3, 3)
    centre = values["FixedParameters"]
    matrix[:3, 3] = values["Parameters"][9:] + centre - matrix[:3, :3] @ centre
    return matrix


def openms_pairs(data: Path) -> Iterator[Pair]:
    """The four pairs with a known transform; ITK's direction is fixed -> moving."""
    for study in ("patient01_study1", "patient03_study2"):
        folder = data / "mr_openms" / study
        fixed = load_one(folder / "FLAIR.nii.gz").replace(sequence="FLAIR")
        for name, sequence in (("T1W", "T1w"), ("T2W", "T2w")):
            moving = load_one(folder / f"{name}.nii.gz").replace(sequence=sequence)
            truth = itk_transform(folder / f"{name}_to_FLAIR.txt")
            yield Pair(f"openms {study[:9]} {sequence} -> FLAIR", moving, fixed, truth)


def adi_pair(data: Path) -> Pair:
    """No transform is known: the head nodded between both scans by more than a degree."""
    t1w = load_one(data / "mr_adi" / "T1w.nii.gz").replace(sequence="T1w")
    t2w = load_one(data / "mr_adi" / "T2w.nii.gz").replace(sequence="T2w")
    return Pair("mr_adi T2w -> T1w", t2w, t1w, None)


def phantom_pair() -> Pair:
    """Two contrasts of a simulated head on different grids."""
    return Pair(
        "simulated T2w -> T1w",
        head("T2w", (70, 100, 90), (2.2, 2.2, 2.6), seed=1),
        head("T1w"),
        np.eye(4),
    )


def displaced(volume: Volume, motion: np.ndarray) -> Volume:
    """The same image with its header moved by ``motion``."""
    return volume.replace(index_to_world=motion @ volume.index_to_world)


def body_points(volume: Volume) -> np.ndarray:
    """(n, 3) LPS points all over the body."""
    index = np.argwhere(body_mask(volume.voxels, volume.spacing))
    index = index[:: max(1, len(index) // 5000), ::-1]
    return index @ volume.index_to_world[:3, :3].T + volume.origin


def best_rigid(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The 4x4 rigid matrix nearest to ``affine`` on ``points``, in the least-squares sense."""
    moved = points @ affine[:3, :3].T + affine[:3, 3]
    turn, _ = Rotation.align_vectors(moved - moved.mean(axis=0), points - points.mean(axis=0))
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix()
    matrix[:3, 3] = moved.mean(axis=0) - matrix[:3, :3] @ points.mean(axis=0)
    return matrix


def unregistrable(pairs: list[Pair]) -> Iterator[Pair]:
    """What must be reported as failed, made from the pairs at hand."""
    first, last = pairs[0], pairs[-1]
    rng = np.random.default_rng(0)
    noise = rng.rayleigh(50, first.moving.shape).astype(np.float32)
    yield Pair("noise -> head", first.moving.with_voxels(noise), first.fixed, None)
    yield Pair("head -> noise", first.fixed, first.moving.with_voxels(noise), None)
    ball = head("T1w").with_voxels(_ball(head("T1w")))
    yield Pair("plain ball -> head", ball, first.fixed, None)
    for axis, words in ((0, "upside down"), (1, "upside down, facing on"), (2, "turned by 90")):
        angle = 90 if axis == 2 else 180
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(np.eye(3)[axis] * np.deg2rad(angle)).as_matrix()
        yield Pair(f"head {words}", displaced(first.moving, turn), first.fixed, None)
    slices = last.moving.shape[0]
    low = cropped(last.moving, 0, slices // 4)
    high = cropped(first.fixed, 3 * first.fixed.shape[0] // 4, first.fixed.shape[0])
    yield Pair("base of a skull -> top of another", low, high, None)


def cropped(volume: Volume, first: int, stop: int) -> Volume:
    """Slices ``first`` to ``stop`` - 1, where they were."""
    matrix = np.array(volume.index_to_world)
    matrix[:3, 3] += matrix[:3, 2] * first
    return volume.replace(voxels=volume.voxels[first:stop], index_to_world=matrix)


def _ball(volume: Volume) -> np.ndarray:
    place = np.indices(volume.shape)[::-1].reshape(3, -1).T * volume.spacing
    radius = np.linalg.norm(place - place.mean(axis=0), axis=1).reshape(volume.shape)
    noise = np.random.default_rng(1).normal(0, 15, volume.shape)
    return np.abs(np.where(radius < 80, 400.0, 0.0) + noise).astype(np.float32)


def measure(pair: Pair, offsets: int, seed: int = 0) -> dict:
    """Errors over one registration without and ``offsets`` with a random offset."""
    target = Target(pair.fixed)
    points, rng = body_points(pair.fixed), np.random.default_rng(seed)
    truth, floor = pair.truth, 0.0
    if truth is not None:
        floor = float(displacement(best_rigid(truth, points), truth, points).mean())
    means, maxima, seconds, qualities, succeeded = [], [], [], [], 0
    for trial in range(offsets + 1):
        motion = np.eye(4)
        if trial:
            shift, turn = rng.uniform(0, MOST_MM), rng.uniform(0, MOST_DEG)
            motion = rigid(rng, points.mean(axis=0), shift, turn)
        before = time.process_time()
        result = register(displaced(pair.moving, motion), target)
        seconds.append(time.process_time() - before)
        succeeded += result.succeeded
        qualities.append(result.quality)
        if truth is None:
            # The undisplaced result stands in for the truth: this measures repeatability.
            truth = result.matrix
            continue
        error = displacement(result.matrix, motion @ truth, points)
        means.append(float(error.mean()))
        maxima.append(float(error.max()))
    return {
        "pair": pair.name,
        "runs": offsets + 1,
        "succeeded": succeeded,
        "floor_mm": floor,
        "mean_tre_mm": float(np.mean(means)),
        "worst_mean_tre_mm": float(np.max(means)),
        "max_tre_mm": float(np.max(maxima)),
        "within_1.5_mm": int(np.sum(np.array(means) < ACCEPTED_MM)),
        "counted": len(means),
        "least_quality": float(np.min(qualities)),
        "cpu_seconds": float(np.mean(seconds)),
    }


def measure_failure(pair: Pair) -> dict:
    """Whether a pair that cannot be registered is noticed."""
    result = register(pair.moving, pair.fixed)
    return {
        "pair": pair.name,
        "noticed": not result.succeeded,
        "quality": result.quality,
        "reason": result.reason,
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--offsets", type=int, default=10, help="random offsets for each pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    wanted = parser.parse_args()
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    data = Path(os.environ.get("MRISYNTH_TEST_DATA", default))
    pairs = [*openms_pairs(data), adi_pair(data)] if data.is_dir() else []
    pairs.append(phantom_pair())
    found = [measure(pair, wanted.offsets, wanted.seed) for pair in pairs]
    failures = [measure_failure(pair) for pair in unregistrable(pairs[:-1] or pairs)]
    if wanted.json:
        print(json.dumps({"registrations": found, "unregistrable": failures}, indent=2))
        return
    print(f"{'pair':34} {'TRE mean':>8} {'worst':>6} {'max':>6} {'floor':>6}  ok      CPU s")
    for row in found:
        print(
            f"{row['pair']:34} {row['mean_tre_mm']:8.2f} {row['worst_mean_tre_mm']:6.2f} "
            f"{row['max_tre_mm']:6.2f} {row['floor_mm']:6.2f}  {row['succeeded']}/{row['runs']}"
            f" {row['cpu_seconds']:8.1f}"
        )
    print("\nmust fail:")
    for row in failures:
        verdict = "noticed" if row["noticed"] else "NOT NOTICED"
        print(f"{row['pair']:34} {verdict:12} quality {row['quality']:.3f}")


if __name__ == "__main__":
    main()
