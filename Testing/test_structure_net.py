"""The network that delineates and corrects, and the maps in which it sees clicks."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from MRISynthLib.loaded_model import convert_weights
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthSegmentLib.click_maps import CLICK_MM, click_map
from MRISynthSegmentLib.structure_net import StructureNet
from MRISynthSegmentLib.structures import STRUCTURES

SMALL = (8, 8, 8, 8, 8, 8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    found = StructureNet(5, SMALL).eval().requires_grad_(False)
    found.told.weight.normal_(std=0.2)  # as if it had learned something
    return found


@pytest.fixture(scope="module")
def given():
    """Two slices of two sequences, and their neighbours."""
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.rand(2, 64, 96, generator=generator) for name in ("T1w", "CE-T1w")}
    around = {name: torch.rand(2, 2, 64, 96, generator=generator) for name in images}
    return images, around


def flags(*names: str) -> torch.Tensor:
    """The same two slices, in which these sequences are synthetic."""
    return torch.tensor([name in names for name in SEQUENCE_NAMES]).expand(2, -1)


def edits(adds=(), removes=()) -> torch.Tensor:
    """Nothing found so far, and clicks at (row, column)."""
    found = torch.zeros(2, 3, 64, 96)
    for channel, points in ((1, adds), (2, removes)):
        spots = click_map([(0, *point) for point in points], (1, 64, 96), (1, 1, 4))
        found[:, channel] = torch.from_numpy(spots)
    return found


def test_every_structure_and_the_corrected_one_have_logits(network, given):
    logits = network(*given)
    assert logits.shape == (2, 6, 64, 96) and logits.dtype == torch.float32
    assert logits.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(*given).dtype == torch.float32


def test_what_is_shipped_fits_into_a_file():
    count = sum(weight.numel() for weight in StructureNet(len(STRUCTURES)).parameters())
    assert 2 * count < 16 * 2**20 and count < 8e6


def test_one_slice_is_not_changed_by_another(network, given):
    images, around = given
    alone = network(*({name: each[1:] for name, each in part.items()} for part in given))
    # sums of another order; a norm over the batch would change logits by tenths
    torch.testing.assert_close(network(images, around)[1:], alone, rtol=0, atol=1e-3)


def test_neighbours_matter_and_unknown_ones_are_zeros(network, given):
    images, around = given
    without = network(images)
    assert not torch.allclose(network(images, around), without, atol=1e-3)
    nothing = {name: torch.zeros_like(each) for name, each in around.items()}
    torch.testing.assert_close(network(images, nothing), without)
    torch.testing.assert_close(network(images, {}), without)
    some = {"T1w": around["T1w"]}
    assert not torch.allclose(network(images, some), without, atol=1e-3)


def test_it_matters_which_image_is_synthetic(network, given):
    real = network(*given)
    torch.testing.assert_close(network(*given, flags()), real)
    torch.testing.assert_close(network(*given, flags("STIR")), real)  # no such image is given
    first, second = (network(*given, flags(name)) for name in ("T1w", "CE-T1w"))
    assert not torch.allclose(first, real, atol=1e-3)
    assert not torch.allclose(first, second, atol=1e-3)


def test_it_matters_without_training_that_an_image_is_synthetic(given):
    torch.manual_seed(3)
    fresh = StructureNet(5, SMALL).eval()
    assert not torch.allclose(fresh(*given, flags("T1w")), fresh(*given), atol=1e-4)


def test_adding_and_removing_are_different_things(network, given):
    none, adds, removes = (
        network(*given, None, edit) for edit in (None, edits([(30, 50)]), edits((), [(30, 50)]))
    )
    assert not torch.allclose(adds, removes, atol=1e-3)
    assert not torch.allclose(adds, none, atol=1e-3)
    elsewhere = network(*given, None, edits([(10, 20)]))
    assert not torch.allclose(adds, elsewhere, atol=1e-3)


def test_a_click_is_a_spot_in_millimetres():
    spots = click_map([(2, 30, 20)], (5, 61, 41), (2.0, 0.5, 4.0))
    assert spots.dtype == np.float32 and spots.shape == (5, 61, 41)
    assert spots[2, 30, 20] == 1 and (spots <= 1).all()
    one_sigma = pytest.approx(np.exp(-0.5), rel=1e-5)
    assert spots[3, 30, 20] == spots[1, 30, 20] == one_sigma  # 4 mm away
    assert spots[2, 30 + round(CLICK_MM / 0.5), 20] == one_sigma
    assert spots[2, 30, 20 - round(CLICK_MM / 2.0)] == one_sigma
    assert spots[2, 0, 20] < 0.01


def test_a_part_of_a_map_is_the_map_of_the_part():
    points = [(1.0, 12.0, 9.5), (4.0, 20.0, 30.0), (9.0, 0.0, 0.0)]
    spacing = (0.9, 0.8, 3.0)
    whole = click_map(points, (6, 40, 48), spacing)
    part = click_map(points, (1, 16, 24), spacing, first=(3, 8, 12))
    np.testing.assert_allclose(part, whole[3:4, 8:24, 12:36], atol=1e-6)
    assert whole[3].max() < whole[4].max() == 1  # a neighbouring slice sees it fainter


def test_of_two_clicks_the_nearer_counts_and_none_is_nothing():
    shape, spacing = (1, 20, 40), (1, 1, 4)
    first, second = (click_map([point], shape, spacing) for point in ((0, 10, 10), (0, 10, 16)))
    both = click_map([(0, 10, 10), (0, 10, 16)], shape, spacing)
    np.testing.assert_array_equal(both, np.maximum(first, second))
    assert not click_map([], shape, spacing).any()


def test_weights_that_are_converted_once_change_no_result(network, given) -> None:
    converted = copy.deepcopy(network)
    convert_weights(converted, torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(converted(*given), network(*given))
    assert converted.told.weight.dtype is torch.bfloat16
