"""How near simulated images are to real ones: contrast, histograms, spectra.

    python Testing/benchmarks/realism.py [--cases N]

Needs the real scans of the test data; prints that it skips without them. Real scans are only
measured here, never learned from. Regions in the real scans were placed by eye.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from MRISynthLib.io import load_one
from MRISynthLib.preprocessing.background import body_mask
from MRISynthLib.preprocessing.normalisation import normalise
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.simulation.cases import VirtualPatient
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.volume import Volume

DATA = Path(
    os.environ.get("MRISYNTH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)

TISSUE_OF = {
    "white matter": "white matter",
    "grey matter": "deep grey matter",
    "CSF": "CSF",
    "fat": "fat",
    "muscle": "muscle",
    "globe": "vitreous",
}

ADI_ORIGIN = np.array((-6.5, -26.0, 35.0))
ADI_REGIONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "white matter": (
        (-22, 21, 18, 2.5),
        (24, 25, 16, 2.5),
        (-22, -46, 16, 2.5),
        (15, -50, 16, 2.5),
    ),
    "grey matter": ((-30, -12, 10, 2), (29.5, -12, 10, 2)),
    "CSF": ((-19, 40, 7.5, 2), (20.5, 28, 12.5, 2), (9.5, -32.5, 7.5, 2)),
    "fat": ((-59.5, -35, -47.5, 2), (63, -35, -47.5, 2), (-2, 86.5, -47.5, 2)),
    "muscle": (
        (-40, -12.5, -52.5, 2.5),
        (34.5, -12.5, -50, 2.5),
        (-23.5, 68, -50, 2.5),
        (17, 63, -52.5, 2.5),
    ),
    "globe": ((-30, -66, -36, 5), (28, -68, -36, 5)),
}
"""Spheres (x, y, z, radius), LPS mm from :data:`ADI_ORIGIN`: lentiform and insular grey matter,
lateral ventricles for CSF, cheeks and nape for fat, lateral pterygoid and nape for muscle."""

OPENMS_ORIGIN = np.array((-1.72, 8.91, 0.2))
OPENMS_REGIONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "white matter": (
        (-30, 12, 16, 2.5),
        (34, 12, 16, 2.5),
        (-24, 48, 8, 2.5),
        (26, -42, 16, 2.5),
    ),
    "grey matter": ((-25, -14, 0, 2), (26, -14, 0, 2)),
    "CSF": ((-14, 17, 8, 1.5), (18, 18, 8, 1.5), (-12, -30, 8, 1.5)),
    "fat": ((-29, -50, -36, 1.5), (28, -50, -36, 1.5), (0, 87, -44, 1.5)),
    "muscle": ((-57, -24, -28, 1.5), (57, -24, -28, 1.5)),
    "globe": ((-31, -66, -32, 4), (31, -67, -32, 4)),
}
"""Putamen for grey matter, orbit and nape for fat, temporalis for muscle. Its three images lie
within a millimetre of each other."""


@dataclass(frozen=True)
class RealScan:
    """One real image with the regions that were placed in it."""

    name: str
    path: Path
    sequence: str
    origin: np.ndarray
    regions: dict[str, tuple[tuple[float, float, float, float], ...]]

    def ratios(self, volume: Volume) -> dict[str, float]:
        """Each region's mean over that of white matter."""
        means = {}
        for name, spheres in self.regions.items():
            each = [sphere_mean(volume, self.origin + s[:3], s[3]) for s in spheres]
            means[name] = float(np.median(each))
        return {name: value / means["white matter"] for name, value in means.items()}


_ADI, _OPENMS = DATA / "mr_adi", DATA / "mr_openms" / "patient01_study1"
REAL = (
    RealScan("mr_adi", _ADI / "T1w.nii.gz", "T1w", ADI_ORIGIN, ADI_REGIONS),
    RealScan("mr_adi", _ADI / "T2w.nii.gz", "T2w", ADI_ORIGIN, ADI_REGIONS),
    RealScan("mr_openms", _OPENMS / "T1W.nii.gz", "T1w", OPENMS_ORIGIN, OPENMS_REGIONS),
    RealScan("mr_openms", _OPENMS / "T2W.nii.gz", "T2w", OPENMS_ORIGIN, OPENMS_REGIONS),
    RealScan("mr_openms", _OPENMS / "FLAIR.nii.gz", "FLAIR", OPENMS_ORIGIN, OPENMS_REGIONS),
)


def sphere_mean(volume: Volume, centre: np.ndarray, radius: float) -> float:
    """Mean of the voxels whose centres lie within ``radius`` of ``centre`` (LPS mm)."""
    matrix = volume.index_to_world
    index = np.linalg.inv(matrix) @ np.append(centre, 1)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    low = np.maximum(np.floor(index[:3] - radius / spacing).astype(int), 0)
    high = np.ceil(index[:3] + radius / spacing).astype(int) + 1
    i, j, k = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(i, j, k, indexing="ij"), -1)
    world = grid @ matrix[:3, :3].T + matrix[:3, 3]
    inside = grid[((world - centre) ** 2).sum(-1) <= radius**2]
    if len(inside) == 0:
        inside = np.rint(index[:3]).astype(int)[None]
    return float(volume.voxels[inside[:, 2], inside[:, 1], inside[:, 0]].mean())


def simulated_ratios(image: Volume, patient: VirtualPatient) -> dict[str, float]:
    """The same from voxels of nothing else, a voxel away from every edge in the slice."""
    means = {}
    for name, label in TISSUE_OF.items():
        inside = (patient.tissue == TISSUE_INDEX[label]) & (patient.tissue_share > 0.99)
        mask = ndimage.binary_erosion(inside, np.ones((1, 3, 3), bool))
        means[name] = float(np.median(image.voxels[mask])) if mask.sum() > 20 else np.nan
    return {name: value / means["white matter"] for name, value in means.items()}


def spectrum(volume: Volume, bins: int = 8) -> np.ndarray:
    """Share of the in-plane power in ``bins`` rings up to 0.4 cycles per millimetre, in decibel.

    The mean over the middle third of the slices; the first ring holds the coarse shape.
    """
    image = normalise(volume.voxels)[0]
    spacing = np.linalg.norm(volume.index_to_world[:3, :3], axis=0)
    third = image.shape[0] // 3
    power = (np.abs(np.fft.fft2(image[third : 2 * third])) ** 2).mean(0)
    frequency = np.hypot(
        np.fft.fftfreq(image.shape[1], spacing[1])[:, None],
        np.fft.fftfreq(image.shape[2], spacing[0])[None],
    )
    rings = np.digitize(frequency, np.linspace(0, 0.4, bins + 1)) - 1
    total = np.array([power[rings == ring].sum() for ring in range(bins)])
    return 10 * np.log10(total / total.sum())


def histogram(volume: Volume, bins: int = 40) -> np.ndarray:
    """Normalised intensities in the body, 0 to 1.2, as shares."""
    values = normalise(volume.voxels)[0][body_mask(volume.voxels)]
    counts, _ = np.histogram(values, bins, (0, 1.2))
    return counts / counts.sum()


def transport(first: np.ndarray, second: np.ndarray) -> float:
    """Earth mover's distance between two histograms, in units of the intensity scale."""
    return float(np.abs(np.cumsum(first - second)).sum() * 1.2 / len(first))


@dataclass(frozen=True)
class Measured:
    """One simulated image: ratios to white matter, power in rings (dB), histogram."""

    ratios: dict[str, float]
    power: np.ndarray
    shares: np.ndarray


def measure_simulated(cases: int) -> dict[str, list[Measured]]:
    """Sequence -> what was measured on each simulated patient of the hospitals for training."""
    found: dict[str, list[Measured]] = {scan.sequence: [] for scan in REAL}
    for number in range(cases):
        patient = virtual_patient(70_000 + number, tuple(found))
        for sequence, image in patient.volumes.items():
            ratios = simulated_ratios(image, patient)
            found[sequence].append(Measured(ratios, spectrum(image), histogram(image)))
    return found


def compare(scan: RealScan, simulated: list[Measured]) -> None:
    """Print one real image beside the simulated ones."""
    volume = load_one(scan.path)
    print(f"\n{scan.sequence} of {scan.name} and {len(simulated)} simulated patients")
    print("  signal over white matter:")
    for name, value in scan.ratios(volume).items():
        drawn = np.array([one.ratios[name] for one in simulated])
        low, high = np.nanmin(drawn), np.nanmax(drawn)
        inside = low <= value <= high
        print(
            f"  {name:13s} real {value:5.2f}  simulated {low:5.2f} to {high:5.2f}, "
            f"median {np.nanmedian(drawn):5.2f}{'' if inside else '  OUTSIDE'}"
        )
    power = np.median([one.power for one in simulated], 0)
    print("  power in rings of 0.05/mm (dB), real:", np.round(spectrum(volume), 1))
    print("                      simulated median:", np.round(power, 1))
    shares = histogram(volume)
    distance = np.median([transport(one.shares, shares) for one in simulated])
    among = np.median([transport(a.shares, b.shares) for a, b in itertools.pairwise(simulated)])
    print(
        f"  histograms, earth mover's distance: real to simulated median {distance:.3f}, "
        f"simulated to simulated {among:.3f}"
    )


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=26)
    cases = parser.parse_args().cases
    if not _ADI.is_dir() or not _OPENMS.is_dir():
        print("The real scans are not here: skipped.")
        return 0
    simulated = measure_simulated(cases)
    for scan in REAL:
        compare(scan, simulated[scan.sequence])
    return 0


if __name__ == "__main__":
    sys.exit(main())
