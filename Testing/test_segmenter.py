"""The Segmenter: what it gives a network, and what it makes of the answer."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import painting
from models import segmentation_bundle
from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.preprocessing.grid import WorkingGrid
from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.reference_grid import mask_on_reference
from MRISynthSegmentLib.segmenter import Segmenter, doubt_of
from MRISynthSegmentLib.sides import sided

SYNTHETIC = Provenance(True, sequence="CE-T1w")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return Segmenter(segmentation_bundle(tmp_path_factory.mktemp("bundle") / "Tiny"), "cpu")


@pytest.fixture(scope="module")
def head():
    return painting.head()


def segment(network=None, inputs=None, **asked):
    """Result of the painting network; its ``calls`` are on ``network``."""
    inputs = [painting.head()] if inputs is None else inputs
    return painting.segmenter(network).segment(inputs, register=False, **asked)


def test_what_a_model_finds_poorly_is_looked_for_only_if_asked_and_said(untrained, head):
    bundle = replace(
        untrained.bundle, metadata={**untrained.bundle.metadata, "weak_structures": {"Brain": 0.2}}
    )
    cautious = copy.copy(untrained)
    cautious.bundle = bundle
    names = cautious.check_structures(None)
    assert "Brain" not in names and set(names) < set(untrained.check_structures(None))
    asked = cautious.segment([head], ["Brain", "Brainstem"], register=False)
    assert "This model finds Brain poorly" in " ".join(asked.warnings)


def test_masks_lie_on_the_reference_and_only_those_asked_for(untrained, head):
    result = untrained.segment([head], ["Brainstem", "GTVp"])
    assert set(result.segmentation.masks) == {"Brainstem", "GTVp"}
    assert result.segmentation.masks["GTVp"].shape == head.shape
    assert result.segmentation.provenance.bundle_hash == untrained.bundle.hash
    assert result.probabilities is None and set(result.doubt) == {"Brainstem", "GTVp"}


def test_unknown_structure_is_refused_with_the_choices(untrained, head):
    with pytest.raises(InputError, match=r"Elbow.*Brainstem"):
        untrained.segment([head], ["Elbow"])


def test_cancel_ends_the_work(untrained, head):
    with pytest.raises(Cancelled):
        untrained.segment([head], callbacks=Callbacks(cancelled=lambda: True))


def test_what_is_painted_is_found_exactly(head):
    result = segment()
    for name, truth in painting.TRUTH.items():
        assert np.array_equal(result.segmentation.masks[name], truth), name
    assert result.segmentation.masks["Eye_L"].nonzero()[2].mean() > 40  # the patient's left
    assert result.doubt["GTVp"] < 0.01


# ------------------------------------------------------------------ what the network is given


def test_each_slice_comes_with_the_one_below_and_the_one_above(head):
    network = painting.PaintingNet()
    segment(network, flips=False)
    stack = painting.segmenter().prepare([head], register=False).stack["T1w"]
    nothing = np.zeros_like(stack[:1])
    padded = np.concatenate((nothing, stack, nothing))
    rows, columns = stack.shape[1:]
    waiting = {k: padded[k : k + 3] for k in range(len(stack))}
    for call in network.calls:  # several are made side by side, and end in any order
        for image, (below, above) in zip(call.images["T1w"], call.around["T1w"], strict=True):
            seen = torch.stack((below, image, above))[:, :rows, :columns].numpy()
            del waiting[next(k for k, three in waiting.items() if np.array_equal(three, seen))]
    assert not waiting


def test_a_network_without_context_gets_no_neighbours():
    network = painting.PaintingNet()
    network.context = 0
    segment(network)
    assert all(call.around is None for call in network.calls)


def test_the_network_is_told_which_images_are_synthetic(head):
    network = painting.PaintingNet()
    made = painting.head("CE-T1w", provenance=SYNTHETIC)
    result = segment(network, [head, made])
    assert {name for call in network.calls for name in painting.sequences_told(call.synthetic)} == {
        "CE-T1w"
    }
    assert result.segmentation.provenance.synthetic


def test_an_image_is_not_given_where_it_ends(head):
    """Its absence must not be taken for air."""
    other = painting.head("T2w")
    upper = Volume(
        other.voxels[5:],
        matrix_from_parts((1.0, 1.0, 4.0), None, painting.place(other, (5, 0, 0))),
        "T2w",
        "half",
    )
    network = painting.PaintingNet()
    result = segment(network, [head, upper], flips=False)
    given = [tuple(call.images) for call in network.calls]
    assert ("T1w",) in given and ("T1w", "T2w") in given
    assert given[0] == ("T1w",)
    for name, truth in painting.TRUTH.items():
        assert np.array_equal(result.segmentation.masks[name], truth), name


# -------------------------------------------------------------------------- mirrored images


def test_mirrored_images_keep_the_names_of_the_sides():
    network = painting.PaintingNet()
    both, one = segment(network), segment(flips=False)
    for name, truth in painting.TRUTH.items():
        assert np.array_equal(both.segmentation.masks[name], truth), name
        assert np.array_equal(one.segmentation.masks[name], truth), name
    images = [call.images["T1w"] for call in network.calls]
    columns = painting.SHAPE[2]
    assert torch.equal(images[0][..., :columns].flip(-1), images[1][..., :columns])


def test_what_is_seen_in_only_one_of_both_is_half_believed():
    class OneSided(painting.PaintingNet):
        def forward(self, images, around=None, synthetic=None, edit=None):
            logits = super().forward(images, around, synthetic, edit)
            if len(self.calls) % 2 == 0:
                logits[:, 0] = -8.0  # the tumour is not seen in the mirror
            return logits

    inside = painting.TRUTH["GTVp"]
    both = segment(OneSided(), probabilities=True).probabilities["GTVp"].voxels
    one = segment(probabilities=True, flips=False).probabilities["GTVp"].voxels
    assert both[inside].max() == pytest.approx(0.5, abs=0.01)
    assert one[inside].min() > 0.99


# ------------------------------------------------------------------------------- the result


def test_probabilities_lie_on_the_reference_and_decide_the_masks(head):
    result = segment(clean=False, probabilities=True)
    assert result.probabilities.keys() == painting.TRUTH.keys()
    for name, image in result.probabilities.items():
        assert image.same_geometry(head) and image.voxels.dtype == np.float32
        assert image.is_synthetic and image.provenance.kind == "map"  # never taken for a scan
        assert image.voxels.min() >= 0 and image.voxels.max() <= 1
        assert np.array_equal(image.voxels > 0.5, result.segmentation.masks[name])


def test_doubt_grows_with_how_unsure_the_network_is():
    sure, unsure = segment(), segment(painting.PaintingNet(doubt=7.5))
    assert unsure.doubt["GTVp"] > sure.doubt["GTVp"] + 0.1
    assert unsure.doubt["Brainstem"] == pytest.approx(sure.doubt["Brainstem"])


def test_doubt_is_one_minus_the_expected_dice():
    probability = np.zeros((1, 4, 5), np.uint8)
    probability[0, 1:3, 1:3] = 204  # 0.8
    probability[0, 3, :2] = 102  # 0.4
    probability[0, 0] = 10  # too little to count
    mask = probability > 127
    assert doubt_of(probability, mask) == pytest.approx(1 - 2 * 3.2 / (4 + 3.2 + 0.8), abs=1e-3)
    nothing = np.zeros_like(mask)
    assert doubt_of(probability, nothing) == pytest.approx(0.8)  # something looked like it
    assert doubt_of(np.zeros_like(probability), nothing) == 0


def test_a_tumour_of_a_lower_cut_is_drawn_only_about_what_the_network_is_sure_of():
    class Graded(painting.PaintingNet):
        """As sure of GTVp as the image is bright: of its upper half .9, of the lower one .6."""

        def forward(self, images, **given):
            found = super().forward(images, **given)
            lower = torch.arange(found.shape[-2])[:, None] >= 36
            found[:, 0] = torch.where(found[:, 0] > 0, torch.where(lower, 0.4, 2.2), -8.0)
            return found

    def drawn(cuts, network=None, **asked):
        made = painting.segmenter(Graded() if network is None else network)
        made.bundle.cuts = cuts
        return made.segment([painting.head()], register=False, **asked).segmentation.masks["GTVp"]

    truth = painting.TRUTH["GTVp"]
    assert np.array_equal(drawn({}), truth)
    assert np.array_equal(drawn({"GTVp": 0.25}), truth), "the sure half brings the other along"
    faint = painting.PaintingNet(doubt=7.6)  # .6 everywhere, less than .75
    assert np.array_equal(drawn({}, faint), truth)
    assert not drawn({"GTVp": 0.25}, faint).any()
    assert np.array_equal(drawn({"GTVp": 0.25}, faint, clean=False), truth)
    assert np.array_equal(drawn({"GTVp": 0.7}, faint), truth), "a higher cut takes nothing away"


def test_specks_are_left_out_unless_all_is_wanted(head):
    voxels = head.voxels.copy()
    voxels[8, 30:32, 40:42] = painting.GREYS["Brainstem"]
    voxels[5, 52, 31] = painting.HEAD  # a hole
    speckled = [head.with_voxels(voxels)]
    tidy = segment(inputs=speckled).segmentation.masks["Brainstem"]
    whole = segment(inputs=speckled, clean=False).segmentation.masks["Brainstem"]
    assert np.array_equal(tidy, painting.TRUTH["Brainstem"])
    assert whole[8, 30:32, 40:42].all() and not whole[5, 52, 31]


def test_a_tumour_that_is_left_out_as_small_is_not_said_to_be_outside_the_images(head):
    voxels = np.where(painting.TRUTH["GTVp"], painting.HEAD, head.voxels).astype(np.float32)
    voxels[5, 30:36, 36:44] = painting.GREYS["GTVp"]
    result = segment(inputs=[head.with_voxels(voxels)])
    assert not result.segmentation.masks["GTVp"].any()
    said = " ".join(result.warnings)
    assert "One place looks like tumour" in said and "field of view" not in said


def test_nothing_is_found_in_the_noise_above_the_head(head):
    """Where an image goes on beyond the vertex, a network may see most of a structure there."""

    class SeesThingsInNoise(painting.PaintingNet):
        def forward(self, images, around=None, synthetic=None, edit=None):
            logits = super().forward(images, around, synthetic, edit)
            faint = (images["T1w"] > 0.001) & (images["T1w"] < 0.2)
            logits[:, 1][faint] = 8.0  # a brainstem, larger than the true one
            return logits

    above = np.random.default_rng(4).rayleigh(4.0, (8, *head.shape[1:]))
    taller = head.replace(voxels=np.concatenate([head.voxels, above.astype(np.float32)]))
    seen = segment(SeesThingsInNoise(), [taller], clean=False).segmentation.masks["Brainstem"]
    assert seen[12:].sum() > painting.TRUTH["Brainstem"].sum()
    kept = segment(SeesThingsInNoise(), [taller]).segmentation.masks["Brainstem"]
    assert np.array_equal(kept[: len(head.voxels)], painting.TRUTH["Brainstem"])
    assert not kept[len(head.voxels) :].any()


def test_a_reference_of_any_orientation_gets_its_masks_exactly():
    """As if the whole volume had been resampled, for every voxel."""
    rng = np.random.default_rng(3)
    axes = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    for flip, spacing in (((-1, 1, 1), (0.6, 0.7, 3.3)), ((1, 1, -1), (1.3, 0.9, 5.8))):
        matrix = matrix_from_parts(spacing, axes * flip, (3.0, -20.0, 7.0))
        reference = Volume(np.zeros((9, 60, 52), np.float32), matrix)
        grid = WorkingGrid.for_reference(reference, 1.0)
        smooth = rng.random([(n + 7) // 8 for n in grid.shape])
        blobs = np.kron(smooth, np.ones((8, 8, 8)))[tuple(slice(n) for n in grid.shape)]
        probability = (blobs * 255).astype(np.uint8)
        mask = probability > 127
        whole = grid.from_grid(probability) > 127.5
        assert np.array_equal(mask_on_reference(mask, probability, grid), whole)
        mask[: len(mask) // 2] = False  # the clean-up may have left a part out
        part = mask_on_reference(mask, probability, grid)
        assert 0 < part.sum() < whole.sum() and not (part & ~whole).any()
        assert not mask_on_reference(np.zeros_like(mask), probability, grid).any()


def test_what_does_not_fit_into_memory_is_done_in_smaller_parts():
    rows = 96 * 64
    expected = segment().segmentation
    one_by_one = painting.PaintingNet(limit=rows)
    found = segment(one_by_one).segmentation
    assert {len(call.images["T1w"]) for call in one_by_one.calls} == {1}
    for name, mask in expected.masks.items():
        assert np.array_equal(found.masks[name], mask), name


def test_a_slice_that_does_not_fit_is_seen_in_windows(monkeypatch):
    from MRISynthSegmentLib import inference

    monkeypatch.setattr(inference, "WINDOW", (64, 64))
    network = painting.PaintingNet(limit=64 * 64)
    found = segment(network, structures=["GTVp", "Brainstem"], flips=False).segmentation
    assert {tuple(call.images["T1w"].shape) for call in network.calls} == {(1, 64, 64)}
    assert all(call.around["T1w"].shape == (1, 2, 64, 64) for call in network.calls)
    for name in ("GTVp", "Brainstem"):
        assert np.array_equal(found.masks[name], painting.TRUTH[name]), name


def test_another_error_is_not_taken_for_a_lack_of_memory():
    class Broken(painting.PaintingNet):
        def forward(self, *given, **more):
            raise RuntimeError("the sizes do not match")

    with pytest.raises(RuntimeError, match="do not match"):
        segment(Broken())


# -------------------------------------------------------------------------------- the sides


def test_a_structure_gets_the_name_of_the_side_it_lies_on():
    body = np.zeros((4, 20, 61), bool)
    body[:, 2:18, 4:55] = True  # its midline is not the image's
    left, right = np.zeros(body.shape, np.uint8), np.zeros(body.shape, np.uint8)
    right[1, 5:8, 48:51] = 180  # on the patient's left, called right
    left[1, 5:8, 8:11], right[1, 5:8, 8:11] = 80, 100  # on the right, doubtful
    found = sided({"Eye_L": left, "Eye_R": right, "Brain": left}, body, 1.0)
    assert found["Eye_L"][1, 6, 49] == 180 and found["Eye_R"][1, 6, 49] == 0
    assert found["Eye_R"][1, 6, 9] == 180 and found["Eye_L"][1, 6, 9] == 0
    assert found["Brain"] is left


def test_close_to_the_midline_the_network_says_which_side_it_is():
    body = np.ones((3, 20, 61), bool)
    left, right = np.zeros(body.shape, np.uint8), np.zeros(body.shape, np.uint8)
    left[1, 5, 26], right[1, 5, 26] = 230, 60  # a little to the right of the body's midline
    found = sided({"OpticNrv_L": left, "OpticNrv_R": right}, body, 1.0)
    assert found["OpticNrv_L"][1, 5, 26] == 255 and found["OpticNrv_R"][1, 5, 26] == 0
