"""The Segmenter and its cleaning-up."""

from __future__ import annotations

import numpy as np
import pytest

from models import segmentation_bundle
from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.progress import Callbacks
from MRISynthSegmentLib.segmenter import Segmenter, clean, sided, without_small_holes


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return Segmenter(segmentation_bundle(tmp_path_factory.mktemp("bundle") / "Tiny"), "cpu")


def test_masks_lie_on_the_reference_and_only_those_asked_for(segmenter, patient):
    reference = patient.volumes["T1w"]
    result = segmenter.segment([reference], ["Brainstem", "GTVp"])
    assert set(result.segmentation.masks) == {"Brainstem", "GTVp"}
    assert result.segmentation.masks["GTVp"].shape == reference.shape
    assert result.segmentation.provenance.bundle_hash == segmenter.bundle.hash


def test_unknown_structure_is_refused_with_the_choices(segmenter, patient):
    with pytest.raises(InputError, match=r"Elbow.*Brainstem"):
        segmenter.segment([patient.volumes["T1w"]], ["Elbow"])


def test_cancel_ends_the_work(segmenter, patient):
    with pytest.raises(Cancelled):
        segmenter.segment([patient.volumes["T1w"]], callbacks=Callbacks(cancelled=lambda: True))


def test_cleaning_keeps_the_largest_part_of_an_organ_and_real_parts_of_a_target():
    mask = np.zeros((10, 40, 40), bool)
    mask[2:8, 5:20, 5:20] = True
    mask[3:7, 28:38, 28:38] = True
    mask[0, 0, 0] = True
    organ, target = clean(mask, 0.01, keep_parts=False), clean(mask, 0.01, keep_parts=True)
    assert organ.sum() == 6 * 15 * 15
    assert target.sum() == 6 * 15 * 15 + 4 * 10 * 10
    assert not clean(np.zeros_like(mask), 0.01, keep_parts=True).any()


def test_specks_inside_an_outline_are_filled_and_real_openings_are_not():
    mask = np.zeros((3, 40, 40), bool)
    mask[1, 5:35, 5:35] = True
    mask[1, 8:10, 8:10] = False
    mask[1, 18:28, 18:28] = False
    filled = without_small_holes(mask, 50)
    assert filled[1, 8:10, 8:10].all() and not filled[1, 18:28, 18:28].any()
    assert filled.sum() == mask.sum() + 4


def test_a_structure_gets_the_name_of_the_side_it_lies_on():
    body = np.zeros((4, 20, 41), bool)
    body[:, 2:18, 4:35] = True  # its midline is not the image's
    left, right = np.zeros(body.shape, np.float32), np.zeros(body.shape, np.float32)
    right[1, 5:8, 28:31] = 0.7  # on the patient's left, called right
    left[1, 5:8, 8:11], right[1, 5:8, 8:11] = 0.3, 0.4  # on the right, doubtful
    found = sided({"Eye_L": left, "Eye_R": right, "Brain": left}, body)
    assert found["Eye_L"][1, 6, 29] == pytest.approx(0.7) and found["Eye_R"][1, 6, 29] == 0
    assert found["Eye_R"][1, 6, 9] == pytest.approx(0.7) and found["Eye_L"][1, 6, 9] == 0
    assert found["Brain"] is left
