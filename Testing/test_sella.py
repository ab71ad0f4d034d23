"""The pituitary gland of labelled heads fills the sella, where their map shows one."""

from __future__ import annotations

import numpy as np
import pytest

from MRISynthLib.simulation.inferred import GLAND, flag, infer_structures
from MRISynthLib.simulation.label_volumes import LabelVolume
from MRISynthLib.simulation.sella import pituitary_gland

LOW, SHAPE = np.array((-25.0, -35.0, -35.0)), (60, 70, 50)
CSF, BONE, AIR = 24, 515, 0


def skull_base(floor: float = -10.0, dorsum: float = -2.0, width: float = 7.0) -> LabelVolume:
    """CSF over a plate of bone with a hollow between y = -12 and -3 whose floor is ``floor`` high
    and whose back is ``dorsum`` high; the sphenoid sinus lies below. 1 mm."""
    z, y, x = (np.indices(SHAPE).reshape(3, -1).T + LOW[::-1]).T.reshape(3, *SHAPE)
    labels = np.full(SHAPE, CSF)
    labels[z < np.where(y < -3, -3, dorsum)] = BONE
    labels[(y > 0) & (z > -30)] = CSF
    labels[(z < floor - 2) & (y < 0)] = AIR
    hollow = (y >= -12) & (y < -3) & (np.abs(x) < width) & (z >= floor)
    labels[hollow] = CSF
    matrix = np.eye(4)
    matrix[:3, 3] = LOW
    return LabelVolume(labels.astype(np.int16), matrix, "skull base")


def test_the_gland_fills_the_hollow_between_tuberculum_and_dorsum():
    volume = skull_base()
    gland = pituitary_gland(volume, [BONE], [CSF])
    x, y, z = volume.world(np.argwhere(gland)).T
    assert 0.4 < np.count_nonzero(gland) / 1000 < 1.0
    assert (volume.labels[gland] == CSF).all()
    assert y.min() > -12.5 and y.max() < -2.5 and np.abs(x).max() < 8
    assert z.min() == pytest.approx(-10, abs=1) and z.max() < -1


def test_a_deep_hollow_is_filled_from_its_floor_only():
    gland = pituitary_gland(skull_base(floor=-18.0), [BONE], [CSF])
    heights = skull_base().world(np.argwhere(gland))[:, 2]
    assert heights.min() < -16 and heights.max() < -8


@pytest.mark.parametrize("volume", [skull_base(floor=-4.0), skull_base(dorsum=-30.0)])
def test_without_a_hollow_there_is_no_gland(volume):
    """Neither where the bone is flat nor where nothing bounds it behind."""
    assert not pituitary_gland(volume, [BONE], [CSF]).any()


def test_a_map_that_names_the_gland_or_no_bone_is_left_as_it_is():
    volume = skull_base()
    mapping = {"tissues": {"CSF": [CSF]}, "soft_tissue": [507], "bone": [BONE]}
    assert (infer_structures(volume, mapping) == flag(GLAND)).any()
    assert not infer_structures(volume, {**mapping, "structures": {GLAND: [7]}}).any()
    assert not infer_structures(volume, {**mapping, "bone": []}).any()
