"""What the clean-up takes out of masks, and what it must leave."""

from __future__ import annotations

import numpy as np
import pytest

import boxes_of_voxels
from MRISynthLib.preprocessing.grid import WorkingGrid
from MRISynthSegmentLib.cleaning import (
    RULES,
    cleaned,
    inside_body,
    partners,
    without_small_holes,
)
from MRISynthSegmentLib.places import in_words, told_in
from MRISynthSegmentLib.structures import STRUCTURES

SPACING = (1.0, 1.0, 4.0)
SHAPE = (20, 120, 120)


def box(slices, rows, columns):
    return boxes_of_voxels.box(SHAPE, slices, rows, columns)


def clean(name, mask, spacing=SPACING, **others):
    masks = {name: mask, **others}
    found, said = cleaned(masks, spacing, [name])
    return found[name], said


def test_an_organ_is_its_largest_part():
    large, small = box((2, 8), (5, 20), (5, 20)), box((3, 7), (28, 38), (28, 38))
    found, _ = clean("Parotid_L", large | small)
    assert np.array_equal(found, large)
    assert not clean("Parotid_L", np.zeros(SHAPE, bool))[0].any()


def test_what_lies_in_the_air_goes_and_the_rim_of_the_body_stays():
    dark = box((5, 9), (20, 42), (70, 90))  # an eye that looks like the air before it
    body = box((4, 12), (20, 100), (20, 100)) & ~dark
    eye = box((6, 8), (18, 30), (40, 52))  # the cornea is dark
    brain = box((6, 12), (40, 80), (40, 80))
    above = box((12, 16), (40, 80), (40, 80))
    plate = box((18, 19), (0, 120), (0, 120))
    drawn = {"Eye_L": eye, "Eye_R": dark, "Brain": brain | above | plate}
    found = inside_body(drawn, body, SPACING)
    assert np.array_equal(found["Eye_L"], eye) and np.array_equal(found["Eye_R"], dark)
    assert np.array_equal(found["Brain"], brain)
    inner = {"Eye_L": box((6, 8), (30, 40), (40, 52))}
    assert inside_body(inner, body, SPACING)["Eye_L"] is inner["Eye_L"]
    nobody = inside_body({"Brain": plate}, np.zeros(SHAPE, bool), SPACING)
    assert not nobody["Brain"].any()


@pytest.mark.parametrize("name", ("Larynx", "Esophagus", "Parotid_R", "Cavity_Oral"))
def test_the_rim_of_an_organ_outside_the_image_is_not_that_organ(name):
    rim = box((0, 1), (40, 50), (40, 50))  # 0.4 ml at the image's edge, as of a larynx
    assert not clean(name, rim)[0].any() and clean(name, rim)[1] == []
    more = box((0, 2), (40, 50), (40, 50))
    assert np.array_equal(clean(name, more)[0], more)


def test_pieces_are_weighed_together():
    pieces = box((0, 1), (40, 50), (40, 49)) | box((2, 3), (40, 50), (40, 49))  # 0.36 ml each
    assert np.array_equal(clean("Esophagus", pieces)[0], pieces)


@pytest.mark.parametrize("name", ("GTVn", "SpinalCord", "OpticChiasm", "Lens_L"))
def test_a_small_target_organ_or_last_slice_of_the_cord_is_left(name):
    rim = box((0, 1), (40, 50), (40, 50))
    assert np.array_equal(clean(name, rim)[0], rim)


def test_a_speck_is_no_structure_but_a_lens_is_small():
    speck = box((3, 4), (10, 12), (10, 13))  # 0.024 ml
    assert not clean("Parotid_L", speck)[0].any()
    assert np.array_equal(clean("Lens_L", speck)[0], speck)
    assert not clean("Lens_L", box((3, 4), (10, 11), (10, 12)))[0].any()


def test_two_halves_of_the_mandible_stay_where_the_image_ends_above_the_chin():
    halves = box((2, 8), (40, 60), (20, 26)) | box((2, 8), (40, 60), (100, 106))
    assert np.array_equal(clean("Bone_Mandible", halves)[0], halves)
    stray = box((15, 17), (5, 9), (5, 9))
    assert np.array_equal(clean("Bone_Mandible", halves | stray)[0], halves)


def test_pieces_of_a_thin_vessel_stay_and_one_far_away_goes():
    pieces = box((2, 5), (50, 54), (40, 44)) | box((6, 9), (58, 62), (44, 48))
    found, _ = clean("A_Carotid_L", pieces | box((2, 4), (50, 54), (90, 94)))
    assert np.array_equal(found, pieces)


def test_every_node_stays_unless_it_lies_in_the_brain_or_an_eye():
    brain = box((10, 20), (10, 110), (10, 110))
    node, other = box((2, 5), (50, 60), (20, 30)), box((5, 7), (60, 66), (90, 96))
    inside = box((12, 15), (50, 60), (50, 60))
    found, _ = clean("GTVn", node | other | inside, Brain=brain)
    assert np.array_equal(found, node | other)
    assert np.array_equal(clean("GTVn", node | inside)[0], node | inside)  # no brain was looked for


def test_a_tumour_far_from_the_nasopharynx_is_left_out_and_that_is_said():
    pharynx = box((6, 10), (50, 60), (52, 68))
    tumour = box((6, 11), (60, 74), (50, 70)) | box((11, 16), (64, 76), (54, 66))
    near = box((8, 10), (60, 66), (84, 90))
    stray = box((6, 9), (90, 100), (105, 118))
    found, left_out = clean("GTVp", tumour | near | stray, Nasopharynx=pharynx)
    assert np.array_equal(found, tumour)  # the near one is small beside it
    (only,) = left_out
    told = only.sentence(np.diag((-1.0, 1.0, 4.0, 1.0)))
    assert "1.6 ml" in told and "30 mm from the nasopharynx" in told
    assert "around R 111, P 94, S 28 mm" in told  # a voxel in its middle, as Slicer says places
    found, left_out = clean("GTVp", tumour | stray)  # no nasopharynx was looked for
    assert np.array_equal(found, tumour) and not left_out
    found, left_out = clean("GTVp", stray, Nasopharynx=pharynx)
    assert not found.any() and left_out


def test_no_tumour_is_drawn_in_images_that_show_no_nasopharynx():
    mass = box((6, 11), (60, 74), (50, 70))
    found, (only,) = clean("GTVp", mass, Nasopharynx=np.zeros(SHAPE, bool))
    assert not found.any()
    assert "5.6 ml" in only.sentence(np.eye(4)) and "no nasopharynx" in only.sentence(np.eye(4))


def test_a_spot_in_the_mucosa_is_no_tumour_but_said():
    pharynx = box((6, 10), (50, 60), (52, 68))
    spots = box((6, 8), (60, 70), (50, 62)) | box((9, 10), (60, 69), (70, 80))  # 0.96 and 0.36 ml
    found, (only,) = clean("GTVp", spots, Nasopharynx=pharynx)
    assert not found.any()
    told = only.sentence(np.diag((1.0, -1.0, -4.0, 1.0)))
    assert told == (
        "2 places look like tumour (1.3 ml together, the largest around L 55, A 64, I 24 mm) and "
        "are left out of GTVp, as less than 1 ml in one place is not told well from healthy "
        "mucosa; without the clean-up they are drawn."
    )
    _, (only,) = clean("GTVp", box((6, 8), (60, 70), (50, 62)), Nasopharynx=pharynx)
    told = only.sentence(np.eye(4))
    assert told.startswith("One place looks like tumour (0.96 ml around"), "not 1.0 below 1"
    assert told.endswith("without the clean-up it is drawn.")
    small = box((6, 8), (60, 70), (50, 63))  # 1.04 ml
    found, left_out = clean("GTVp", small | box((9, 10), (60, 69), (70, 80)), Nasopharynx=pharynx)
    assert np.array_equal(found & small, small) and not left_out
    assert found.sum() > small.sum()  # a smaller part goes with a larger one


def test_a_lens_lies_at_its_own_eye():
    eye, other_eye = box((4, 10), (20, 44), (20, 44)), box((4, 10), (20, 44), (76, 100))
    lens, wrong = box((6, 8), (20, 24), (28, 36)), box((6, 8), (20, 28), (84, 96))
    found, _ = clean("Lens_R", lens | wrong, Eye_R=eye, Eye_L=other_eye)
    assert np.array_equal(found, lens)
    assert np.array_equal(clean("Lens_R", lens)[0], lens)  # the eye may be gone or not looked for


def test_an_optic_nerve_reaches_from_eye_to_chiasm_in_pieces():
    eye, chiasm = box((6, 10), (10, 34), (20, 44)), box((9, 11), (84, 90), (52, 68))
    nerve = box((8, 9), (35, 55), (36, 39)) | box((9, 10), (66, 80), (44, 47))
    stray = box((8, 10), (35, 55), (100, 104))
    found, _ = clean("OpticNrv_R", nerve | stray, Eye_R=eye, OpticChiasm=chiasm)
    assert np.array_equal(found, nerve)


def test_the_cord_does_not_reach_above_the_middle_of_the_brainstem():
    brainstem = box((8, 18), (50, 70), (50, 70))
    cord = box((0, 10), (60, 70), (56, 64))
    found, _ = clean("SpinalCord", cord | box((15, 20), (60, 70), (56, 64)), Brainstem=brainstem)
    assert np.array_equal(found, cord)


def test_specks_inside_an_outline_are_filled_and_real_openings_are_not():
    mask = np.zeros((3, 40, 40), bool)
    mask[1, 5:35, 5:35] = True
    mask[1, 8:10, 8:10] = False
    mask[1, 18:28, 18:28] = False
    filled = without_small_holes(mask, 50)
    assert filled[1, 8:10, 8:10].all() and not filled[1, 18:28, 18:28].any()
    assert filled.sum() == mask.sum() + 4


def test_rules_are_about_structures_that_there_are():
    names = {name.removesuffix("_L").removesuffix("_R") for name in STRUCTURES}
    assert set(RULES) <= names | set(STRUCTURES)
    assert partners(STRUCTURES) <= set(STRUCTURES)
    assert partners(["Lens_L"]) == {"Eye_L"}
    assert partners(["Hippocampus_R"]) == {"Lobe_Temporal_R"}


def test_true_anatomy_passes_the_rules(patient):
    reference = patient.volumes["T1w"]
    grid = WorkingGrid.for_reference(reference, 1.0)
    masks = {
        name: grid.to_grid(reference.with_voxels(mask.astype(np.float32)), order=1) > 0.5
        for name, mask in patient.segmentation_masks.items()
    }
    found, said = cleaned(masks, grid.spacing, list(masks))
    assert not said
    for name, mask in masks.items():
        lost = np.count_nonzero(mask & ~found[name])
        # a few voxels at the ends of thin things, and what the image cuts off
        assert lost <= max(0.02 * mask.sum(), 8), name


@pytest.mark.parametrize("name", ["GTVp", "SpinalCord", "Lens_L"])
def test_masks_are_not_changed_in_place(name):
    mask = box((2, 8), (5, 20), (5, 20)) | box((3, 4), (28, 29), (28, 29))
    before = mask.copy()
    clean(name, mask)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("point", [(0.2, -0.4, 0), (12, -40, 3), (-111.4, 93.6, -28)])
def test_a_place_that_was_told_is_found_again(point):
    sentence = f"One place (0.48 ml around {in_words(point)}) and others around L 9, P 9, S 9 mm."
    assert told_in(sentence) == pytest.approx(np.round(point))
    assert told_in("A slice is missing.") is None
