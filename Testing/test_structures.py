"""The list of structures: complete, and every one told apart from every other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthSegmentLib.roi_names import tg263_name
from MRISynthSegmentLib.structures import LEFT, RIGHT, STRUCTURES


def test_all_structures_of_the_virtual_cohort_are_listed():
    assert set(STRUCTURES) == set(LABELLED_STRUCTURES)
    assert [s.name for s in STRUCTURES.values() if s.is_target] == ["GTVp", "GTVn"]


def test_no_two_structures_have_the_same_codes():
    codes = [(s.category, s.type, s.modifier) for s in STRUCTURES.values()]
    assert len(set(codes)) == len(codes)


def test_sides_belong_together():
    for name, structure in STRUCTURES.items():
        other = STRUCTURES[structure.mirror]
        assert other.mirror == name and other.type == structure.type
        assert other.region == structure.region
        side = {"_L": LEFT, "_R": RIGHT}.get(name[-2:])
        assert structure.modifier == side
        assert (other is structure) == (side is None)


def test_colours_can_be_told_apart():
    seen = {name: rgb2lab(np.array(s.colour)[None])[0] for name, s in STRUCTURES.items()}
    for first, second in itertools.combinations(STRUCTURES, 2):
        apart = np.linalg.norm(seen[first] - seen[second])
        least = 35 if "GTV" in first + second else 8  # a tumour is like nothing else
        assert apart > least, f"{first} and {second} look alike"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("GTV_nd", "GTVn"),
        ("TMJ left", "Joint_TM_L"),
        ("Submandibular gland, right", "Glnd_Submand_R"),
        ("SMG_L", "Glnd_Submand_L"),
        ("oral cavity", "Cavity_Oral"),
        ("Thyroid", "Glnd_Thyroid"),
        ("Carotid_R", "A_Carotid_R"),
        ("Oesophagus", "Esophagus"),
        ("Hippocampus L", "Hippocampus_L"),
        ("hypophysis", "Pituitary"),
        ("Lt Lens", "Lens_L"),
        ("Pharyngeal constrictor muscle", "Musc_Constrict"),
        ("Lacrimal", None),
        ("Lens", None),
        ("GTV_n2", None),
    ],
)
def test_clinics_have_other_names_for_them(written, name):
    assert tg263_name(written) == name
