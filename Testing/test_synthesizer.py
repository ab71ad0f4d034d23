"""The Synthesizer: what goes in, what comes out, in which order, and what is refused."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from models import synthesis_bundle
from MRISynthLib import lanes
from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.progress import Callbacks
from MRISynthLib.prompts import understand
from MRISynthLib.synthesis.conditioning import contrast_vector, describe_target
from MRISynthLib.synthesis.direct_net import DirectNet
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthLib.volume import Volume, matrix_from_parts

BFLOAT16 = 10.0
"""What its rounding changes in images of 0 to 1000, where other kernels are used."""


def _head(sequence: str, shape=(12, 90, 84), matrix=None, seed: int = 1) -> Volume:
    """An ellipsoid with inner structure."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (grid**2).sum(0) < 0.8
    image = inside * (300 + 200 * (grid[1] > 0) + 150 * (grid[2] > 0.2))
    image = (image + rng.normal(0, 8, shape)).clip(0).astype(np.float32)
    if matrix is None:
        matrix = matrix_from_parts((1.7, 1.7, 4.0), origin=(-70.0, -75.0, -20.0))
    return Volume(image, matrix, sequence, sequence)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    return Synthesizer(synthesis_bundle(tmp_path_factory.mktemp("bundle") / "Tiny"), "cpu")


def test_output_has_the_reference_geometry_and_says_that_it_is_synthetic(synthesizer):
    angle = np.deg2rad(20)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    matrix = matrix_from_parts((1.7, -1.7, 4.0), tilt, (-70.0, 60.0, 5.0))
    reference = _head("T1w", matrix=matrix)
    result = synthesizer.synthesize(
        [reference, _head("T2w", matrix=matrix, seed=2)], [Target("CE-T1w", "3T"), Target("STIR")]
    )
    assert set(result.volumes) == {"CE-T1w", "STIR"}
    for name, volume in result.volumes.items():
        assert volume.same_geometry(reference)
        assert volume.is_synthetic and volume.name.startswith("SYNTHETIC")
        assert volume.provenance.bundle_hash == synthesizer.bundle.hash
        doubt = result.uncertainty[name]
        assert doubt.same_geometry(reference) and (doubt.voxels >= 0).all()
    assert result.volumes["CE-T1w"].provenance.prompt == "3T"
    assert "3 T" in result.volumes["CE-T1w"].provenance.understood


def test_visible_slice_comes_first_and_equals_the_final_image(synthesizer):
    seen = []
    result = synthesizer.synthesize(
        [_head("T1w")],
        [Target("T2w")],
        visible_slice=9,
        callbacks=Callbacks(on_slice=seen.append),
    )
    assert seen[0].index == 9
    assert sorted(item.index for item in seen) == list(range(12))
    final = result.volumes["T2w"].voxels
    for item in seen:
        np.testing.assert_allclose(item.image, final[item.index], rtol=0.05, atol=8)


def test_same_seed_gives_the_same_image(synthesizer):
    first, second = (
        synthesizer.synthesize([_head("T1w")], [Target("T2w")], seed=3).volumes["T2w"].voxels
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_progress_counts_every_slice_of_every_target(synthesizer):
    steps = []
    synthesizer.synthesize(
        [_head("T1w")],
        [Target("T2w"), Target("STIR")],
        callbacks=Callbacks(on_progress=lambda p: steps.append((p.stage, p.done, p.total))),
    )
    done = [step for step in steps if step[0] == "synthesize"]
    assert done[0] == ("synthesize", 0, 24) and done[-1] == ("synthesize", 24, 24)


def test_cancel_ends_the_work(synthesizer):
    seen = []
    callbacks = Callbacks(on_slice=seen.append, cancelled=lambda: len(seen) >= 2)
    with pytest.raises(Cancelled):
        synthesizer.synthesize([_head("T1w")], [Target("T2w")], callbacks=callbacks)
    assert len(seen) < 12


@pytest.mark.parametrize("cores", [1, 2], ids=["one core", "cores side by side"])
def test_out_of_memory_halves_what_is_made_at_once_and_goes_on(synthesizer, monkeypatch, cores):
    before = synthesizer.synthesize([_head("T1w")], [Target("T2w")]).volumes["T2w"]
    monkeypatch.setattr(lanes, "most_lanes", lambda device: cores)
    encode = DirectNet.encode
    at_once, most = [], []

    def greedy(self, images, *others):
        at_once.append(len(images))
        most.append(sum(at_once))
        try:
            time.sleep(0.02)
            if sum(at_once) > 1:
                raise RuntimeError("CUDA out of memory")
            return encode(self, images, *others)
        finally:
            at_once.pop()

    monkeypatch.setattr(DirectNet, "encode", greedy)
    made = synthesizer.synthesize([_head("T1w")], [Target("T2w")]).volumes["T2w"]
    assert max(most) > 1 and most[-1] == 1
    np.testing.assert_allclose(made.voxels, before.voxels, atol=BFLOAT16)


def test_cores_side_by_side_make_the_same_image(synthesizer, monkeypatch):
    made = {}
    for cores in (1, 3):
        monkeypatch.setattr(lanes, "most_lanes", lambda device, cores=cores: cores)
        handed = []
        result = synthesizer.synthesize(
            [_head("T1w")],
            [Target("T2w"), Target("STIR")],
            visible_slice=3,
            callbacks=Callbacks(on_slice=lambda ready, handed=handed: handed.append(ready.index)),
        )
        made[cores] = result.volumes, handed
    assert made[1][1] == made[3][1]
    for name, volume in made[1][0].items():
        np.testing.assert_allclose(made[3][0][name].voxels, volume.voxels, atol=BFLOAT16)


def test_what_fails_on_one_core_is_said_and_leaves_torch_as_it_was(synthesizer, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(lanes, "most_lanes", lambda device: 2)
    encode = DirectNet.encode
    calls = []

    def broken(self, images, *others):
        calls.append(len(images))
        if len(calls) == 4:
            raise ValueError("a broken network")
        return encode(self, images, *others)

    monkeypatch.setattr(DirectNet, "encode", broken)
    with pytest.raises(ValueError, match="a broken network"):
        synthesizer.synthesize([_head("T1w")], [Target("T2w")])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == threads
    assert torch.get_num_threads() == threads


def test_an_input_that_ends_early_is_not_taken_for_air(synthesizer, monkeypatch):
    counts = []
    encode = DirectNet.encode

    def spy(self, images, *others):
        counts.append(images.shape[1])
        return encode(self, images, *others)

    monkeypatch.setattr(DirectNet, "encode", spy)
    whole = _head("T1w")
    upper = _head("T2w", seed=2)
    matrix = whole.index_to_world @ np.array(
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 6], [0, 0, 0, 1]], float
    )
    upper = Volume(upper.voxels[6:], matrix, "T2w", "T2w upper half")
    synthesizer.synthesize([whole, upper], [Target("STIR")], register=False)
    assert {1, 2} == set(counts)


def _says_how_many(monkeypatch):
    """Every image is as bright as the number of inputs that it is made from."""

    def encode(self, images, *others):
        return [images.new_full((len(images), *images.shape[-2:]), images.shape[1])]

    monkeypatch.setattr(DirectNet, "encode", encode)
    monkeypatch.setattr(DirectNet, "decode", lambda self, features, _: (features[0], features[0]))


def _tilted_slab(sequence: str, below_mm: float) -> Volume:
    """A head that was scanned obliquely, from ``below_mm`` under its middle upwards."""
    angle = np.deg2rad(25)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    shape, spacing = (40, 200, 120), np.array([1.7, 1.7, 4.0])
    corner = tilt @ (-np.array([60 * 1.7, 100 * 1.7, below_mm]))
    voxels = np.full(shape, 200, np.float32)
    voxels += np.random.default_rng(3).normal(0, 8, shape).astype(np.float32)
    return Volume(voxels, matrix_from_parts(spacing, tilt, corner), sequence, sequence)


def test_no_edge_shows_where_an_input_ends(synthesizer, monkeypatch):
    _says_how_many(monkeypatch)
    matrix = matrix_from_parts((1.7, 1.7, 4.0), origin=(-70.0, -75.0, -80.0))
    head = _head("T1w", shape=(40, 90, 84), matrix=matrix)
    head = head.with_voxels(np.repeat(head.voxels[20:21], 40, axis=0))
    result = synthesizer.synthesize(
        [head, _tilted_slab("T2w", -20.0), _tilted_slab("FLAIR", 10.0)],
        [Target("STIR")],
        register=False,
    )
    count = result.volumes["STIR"].voxels[:, 20:-20, 20:-20] / 1000
    assert count[2].max() < 1.01 and count[-3].min() > 2.99
    # 12 mm from no say to full say, for two inputs that end 30 mm apart; 4 mm from slice to slice
    assert np.abs(np.diff(count, axis=0)).max() < 1.1 * 4.0 / 12
    assert np.abs(np.diff(count, axis=1)).max() < 1.1 * 1.7 / 12
    assert (np.abs(count - 2) < 0.01).any()


def test_a_network_that_needs_all_its_inputs_gets_them_everywhere(synthesizer, monkeypatch):
    _says_how_many(monkeypatch)
    monkeypatch.setattr(DirectNet, "tasks", ((("T1w", "T2w"), "STIR"),))
    result = synthesizer.synthesize(
        [_head("T1w"), _tilted_slab("T2w", 0.0)], [Target("STIR")], register=False
    )
    assert np.allclose(result.volumes["STIR"].voxels, 2000)


def test_each_slice_is_seen_with_those_beside_it(synthesizer, monkeypatch):
    encode, seen = DirectNet.encode, {}

    def spy(self, images, described, valid, around):
        for image, near in zip(images[:, 0], around[:, 0], strict=True):
            seen[float(image.sum())] = [float(each.sum()) for each in near]
        return encode(self, images, described, valid, around)

    monkeypatch.setattr(DirectNet, "encode", spy)
    head = _head("T1w")
    steps = np.linspace(1.0, 0.5, head.shape[0], dtype=np.float32)[:, None, None]
    synthesizer.synthesize([head.with_voxels(head.voxels * steps)], [Target("STIR")])
    (first,) = (own for own, (below, _) in seen.items() if below == 0)
    order = [first]  # from the lowest slice up, each the one above the last
    while seen[order[-1]][1] != 0:
        order.append(seen[order[-1]][1])
    assert len(order) == head.shape[0] and order[0] > 1.8 * order[-1]
    assert all(seen[own][0] == below for below, own in itertools.pairwise(order))


@pytest.mark.parametrize(
    ("inputs", "targets", "says"),
    [
        ([], [Target("T2w")], "No input"),
        (["T1w"], [], "No target"),
        ([None], [Target("T2w")], "unknown sequence"),
        (["T1w"], [Target("T1w")], "T1w"),
        (["T1w"], [Target("T2w"), Target("T2w")], "twice"),
        (["T1w"], [Target("T2w", "with gadolinium")], "contrast agent"),
        (["T1w", "T1w"], [Target("T2w")], "T1w"),
    ],
)
def test_requests_that_make_no_sense_are_refused_in_words(synthesizer, inputs, targets, says):
    volumes = [
        _head("T1w", seed=n).replace(sequence=name, name=f"file {n}")
        for n, name in enumerate(inputs)
    ]
    with pytest.raises(InputError, match=says):
        synthesizer.synthesize(volumes, targets)


def test_order_of_inputs_does_not_change_the_features():
    torch.manual_seed(1)
    network = DirectNet((16, 16, 16), 16).eval()
    images, described = torch.rand(1, 3, 32, 32), torch.randn(3, 16)
    turned = [2, 0, 1]
    with torch.inference_mode():
        first = network.encode(images, described)
        second = network.encode(images[:, turned], described[turned])
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_same_meaning_in_three_languages_is_the_same_condition():
    texts = ("fat-suppressed T1 with gadolinium, 3T", "fettgesättigtes T1 mit Kontrastmittel, 3T")
    described = [describe_target(understand(text)) for text in texts]
    vectors = [contrast_vector(item) for item in described]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert described[0].text == described[1].text
    longer = contrast_vector(describe_target(understand("T2w TE 120")))
    assert not np.array_equal(longer, contrast_vector(describe_target(understand("T2w TE 60"))))


def test_what_was_prepared_before_gives_the_same_image_and_a_preview_its_slice(synthesizer):
    inputs = [_head("T1w"), _head("T2w", seed=2)]
    targets = [Target("CE-T1w"), Target("STIR")]
    whole = synthesizer.synthesize(inputs, targets, seed=3)
    prepared = synthesizer.prepare(inputs)
    again = synthesizer.synthesize(inputs, targets, seed=3, prepared=prepared)
    seen = []
    listen = Callbacks(on_slice=seen.append)
    synthesizer.preview(inputs, targets, 4, prepared=prepared, seed=3, callbacks=listen)
    assert [(each.target, each.index) for each in seen] == [("CE-T1w", 4), ("STIR", 4)]
    for each in seen:
        np.testing.assert_array_equal(
            again.volumes[each.target].voxels, whole.volumes[each.target].voxels
        )
        np.testing.assert_allclose(each.image, whole.volumes[each.target].voxels[4], atol=1e-3)


def test_a_target_among_the_inputs_is_refused_also_where_they_were_prepared_before(synthesizer):
    inputs = [_head("T1w")]
    prepared = synthesizer.prepare(inputs)
    with pytest.raises(InputError, match="T1w is asked for but also given"):
        synthesizer.synthesize(inputs, [Target("T1w")], prepared=prepared)
