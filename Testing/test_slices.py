"""What a slice of an examination holds."""

from __future__ import annotations

import numpy as np

from MRISynthLib.simulation.anatomy import STRUCTURE_DTYPE, Anatomy, bit
from MRISynthLib.simulation.slabs import slice_profile
from MRISynthLib.simulation.slices import SlicePlan, cut, fractions
from MRISynthLib.simulation.tissues import TISSUE_INDEX, TISSUES


def test_partial_volume_is_the_share_of_each_tissue_in_a_slice():
    # fat below, muscle from z = 5 mm on; slices of 4 mm about z = 2, 6 and 10 mm
    tissue = np.full((16, 6, 6), TISSUE_INDEX["fat"], np.uint8)
    tissue[5:] = TISSUE_INDEX["muscle"]
    structures = np.zeros(tissue.shape, STRUCTURE_DTYPE)
    structures[8:] |= bit("Eye_L") | bit("A_Carotid_R")
    plan = SlicePlan.tilted((2.5, 2.5, 6.0), (3, 6, 6), 1.0, 4.0)
    labels, marks = cut(Anatomy(tissue, structures, np.eye(4)), plan)
    weights = slice_profile(plan.sub_slices, plan.sub_slice_mm, plan.thickness_mm)
    first, second, share = (part[:, 3, 3] for part in fractions(labels, weights))
    names = [TISSUES[index].name for index in first]
    assert names == ["fat", "muscle", "muscle"]
    levels = 6.0 + 4.0 * np.arange(-1, 2)[:, None] + plan.offsets() * 4.0
    muscle = (np.rint(levels) >= 5) @ weights  # soft edges: the outer parts count less
    np.testing.assert_allclose(share, np.maximum(muscle, 1 - muscle), atol=1e-6)
    assert 0.5 < share[1] < 1 and TISSUES[second[1]].name == "fat"
    assert share[2] == 1 and second[2] == first[2]
    assert [bool(m & bit("Eye_L")) for m in marks[:, 3, 3]] == [False, False, True]
    assert marks[2, 3, 3] & bit("A_Carotid_R")
