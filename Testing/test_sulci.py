"""Labelled heads count the fluid between gyri to the brain, as contours of radiotherapy do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MRISynthLib.simulation.head_maps import prepare_head
from MRISynthLib.simulation.inferred import BRAIN, flag
from MRISynthLib.simulation.label_volumes import read_label_map, read_mapping
from MRISynthLib.simulation.sulci import sulci

MAPPING = Path(__file__).parents[1] / "Resources" / "LabelMaps" / "freesurfer_whole_head.json"


def test_a_narrow_gap_is_a_sulcus_and_a_wide_one_a_cistern():
    """Gyri 20 mm wide with gaps of 4 and of 14 mm between them, fluid all around; 1 x 2 x 1 mm."""
    tissue = np.zeros((30, 20, 100), bool)
    tissue[5:25, 4:16, 10:30] = tissue[5:25, 4:16, 34:54] = tissue[5:25, 4:16, 68:88] = True
    found = sulci(tissue, ~tissue, np.array((1.0, 2.0, 1.0)))
    assert found[10:20, 7:13, 30:34].all()
    assert not found[:, :, 54:68].any() and not found[:, :, :8].any()
    assert not (found & tissue).any()


def test_what_is_no_fluid_stays_outside_even_at_the_edge_of_the_image():
    tissue = np.zeros((12, 40, 40), bool)
    tissue[:, :, :18] = tissue[:, :, 21:] = True
    wet = np.ones_like(tissue)
    wet[:, 10:20] = False
    found = sulci(tissue, wet, np.ones(3))
    assert found[3:9, 25:35, 18:21].all() and not found[:, 10:20].any()


@pytest.mark.parametrize("number", ["01", "16"])
def test_the_brain_of_real_heads_has_its_sulci_but_not_the_water_around_it(shared_data, number):
    mapping = read_mapping(MAPPING, ("tissues", "soft_tissue"))
    file = shared_data / "labels_heads" / f"training_seg_{number}.nii.gz"
    head = prepare_head(read_label_map(file), mapping, None)
    tissue = np.isin(head.volume.labels, mapping["structures"][BRAIN])
    added = (head.inferred & flag(BRAIN)) != 0
    fluid = np.isin(head.volume.labels, mapping["tissues"]["CSF"])
    assert not (added & ~fluid).any()
    assert 0.08 < added.sum() / tissue.sum() < 0.25
    assert 0.2 < added.sum() / (fluid & ~tissue).sum() < 0.8
