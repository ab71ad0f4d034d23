"""The temporal lobes of labelled heads lie below the Sylvian fissure, each on its side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MRISynthLib.simulation.head_maps import prepare_head
from MRISynthLib.simulation.inferred import GLAND, INFERRED, LOBES, flag
from MRISynthLib.simulation.label_volumes import LabelVolume, read_label_map, read_mapping
from MRISynthLib.simulation.lobes import above_sylvian, temporal_lobes

MAPPING = Path(__file__).parents[1] / "Resources" / "LabelMaps" / "freesurfer_whole_head.json"
CEREBRUM, TEMPORAL = {"L": [2, 3], "R": [41, 42]}, {"L": [17], "R": [53]}
FLUID = (24,)
LOW, HIGH = (-80, -80, -50), (81, 111, 91)


def brain(gap_mm: float) -> tuple[LabelVolume, np.ndarray]:
    """Two hemispheres of 1 mm voxels with a fissure ``gap_mm`` above the plane that all heads
    share, and a sulcus from below on the left; (labels, millimetres above that plane)."""
    z, y, x = (
        np.arange(a, b, dtype=np.float32) for a, b in zip(LOW[::-1], HIGH[::-1], strict=True)
    )
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    height = above_sylvian(y, z)
    ball = (x / 66) ** 2 + ((y - 16) / 86) ** 2 + ((z - 20) / 62) ** 2 < 1
    labels = np.where(ball, np.where(x > 0, 2, 41), 0)
    fissure = (np.abs(height - gap_mm) < 1.5) & (np.abs(x) > 30) & (y < 40)
    sulcus = (np.abs(y - 10) < 1.5) & (x > 45) & (height < 0)
    labels[ball & (fissure | sulcus)] = 24
    for side, label in ((1, 17), (-1, 53)):
        deep = ((x - side * 26) / 5) ** 2 + ((y - 10) / 14) ** 2 + ((z + 4) / 6) ** 2 < 1
        labels[deep] = label
    matrix = np.eye(4)
    matrix[:3, 3] = LOW
    return LabelVolume(labels.astype(np.int16), matrix, "brain"), height


@pytest.mark.parametrize("gap_mm", [-4.0, 0.0, 4.0])
def test_the_lobe_ends_at_the_fissure_wherever_a_head_has_it(gap_mm):
    volume, height = brain(gap_mm)
    lobes = temporal_lobes(volume, CEREBRUM, TEMPORAL, FLUID)
    x = np.arange(LOW[0], HIGH[0])[None, None, :]
    y = np.arange(LOW[1], HIGH[1])[None, :, None]
    lateral = (np.abs(x) > 34) & (np.abs(x) < 56) & (y > -10) & (y < 20)
    tissue = np.isin(volume.labels, [2, 41])
    under = lateral & tissue & (height < gap_mm - 2) & (height > -15)
    over = lateral & (height > gap_mm + 2)
    assert (lobes[under] > 0).mean() > 0.98
    assert (lobes[over] > 0).mean() < 0.01


def test_each_lobe_lies_on_its_side_with_hippocampus_and_sulci():
    volume, _ = brain(0.0)
    lobes = temporal_lobes(volume, CEREBRUM, TEMPORAL, FLUID)
    x = np.broadcast_to(np.arange(LOW[0], HIGH[0])[None, None, :], lobes.shape)
    assert x[lobes == 1].min() > 0 > x[lobes == 2].max()
    for value, label in ((1, 17), (2, 53)):
        assert 40e3 < np.count_nonzero(lobes == value) < 140e3
        assert (lobes[volume.labels == label] == value).all()
    sulcus = (volume.labels == 24)[:, 85:96, 126:133]  # of the left side, about y = 10, x = 50
    assert (lobes[:, 85:96, 126:133] == 1)[sulcus].sum() > 100


def test_a_head_without_a_side_has_no_lobe_there():
    volume, _ = brain(0.0)
    volume.labels[np.isin(volume.labels, [41, 53])] = 0
    lobes = temporal_lobes(volume, CEREBRUM, TEMPORAL, FLUID)
    assert (lobes == 1).any() and not (lobes == 2).any()


@pytest.mark.parametrize("number", ["05", "12"])
def test_real_heads_have_lobes_and_a_gland_of_published_size(shared_data, number):
    """Temporal lobes of adults have 50 to 110 ml each, the gland 0.2 to 1 ml."""
    mapping = read_mapping(MAPPING, ("tissues", "soft_tissue"))
    file = shared_data / "labels_heads" / f"training_seg_{number}.nii.gz"
    head = prepare_head(read_label_map(file), mapping, None)
    voxel_ml = float(np.prod(head.volume.spacing)) / 1000
    where = {name: (head.inferred & flag(name)) != 0 for name in INFERRED}
    for name, hippocampus, deep in zip(
        LOBES, (17, 53), ((10, 11, 12, 13), (49, 50, 51, 52)), strict=True
    ):
        assert 50 < np.count_nonzero(where[name]) * voxel_ml < 110
        assert where[name][head.volume.labels == hippocampus].all()
        assert where[name][np.isin(head.volume.labels, deep)].mean() < 0.01
    assert 0.2 < np.count_nonzero(where[GLAND]) * voxel_ml < 1.0
    chiasm = head.volume.world(np.argwhere(head.volume.labels == 85)).mean(0)
    below = chiasm - head.volume.world(np.argwhere(where[GLAND])).mean(0)
    assert abs(below[0]) < 3 and 5 < below[2] < 25
