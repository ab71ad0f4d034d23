"""Batches drawn from datasets of cases: as simulated ones, and no more said than is known."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from dataset_layouts import WRITERS
from MRISynthLib.errors import InputError
from MRISynthLib.preprocessing import WorkingGrid
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.training.datasets import (
    open_dataset,
)
from MRISynthLib.training.datasets.slices import CaseSlices


def _draw(slices, names, seed=0, **options):
    return slices.draw(np.random.default_rng(seed), torch.Generator(), list(names), **options)


def test_batches_have_the_shape_of_simulated_ones(folders):
    cases = open_dataset(folders["cohort"]).cases
    slices = CaseSlices(cases, (64, 56), 3.0, cases=2, slices=3, focus=1.0)
    names = ["T1w", "T2w", "CE-T1w"]
    batch = _draw(slices, names)
    for name in names:
        image = batch.images[name]
        assert image.shape == (6, 64, 56) and image.dtype == torch.float32
        assert image.isfinite().all() and 0.4 < float(image.max()) <= 2.0
        assert len(batch.mentions[name]) == 6
    assert batch.tissue.shape == (6, 64, 56) and batch.tissue.dtype == torch.int64
    assert batch.structures.shape == (6, len(LABELLED_STRUCTURES), 64, 56)
    assert batch.structures.dtype == batch.known.dtype == torch.bool
    known = {LABELLED_STRUCTURES[n] for n in batch.known[0].nonzero().flatten().tolist()}
    assert {"GTVp", "Parotid_L", "Cochlea_L"} <= known and "Larynx" not in known
    assert not batch.structures[:, ~batch.known[0]].any()
    tumour = batch.structures[:, LABELLED_STRUCTURES.index("GTVp")]
    through = tumour.any((1, 2))
    assert through.sum() >= 4  # focus; a tumour of one voxel may vanish under rotation
    # the tumour enhances: images and labels lie on each other
    gain = (batch.images["CE-T1w"] - batch.images["T1w"])[through]
    assert gain[tumour[through]].mean() > gain[~tumour[through]].mean() + 0.05


def test_tissue_is_claimed_only_where_it_is_known(folders):
    names, unknown, white = ["T1w"], -1, TISSUE_INDEX["white matter"]
    cohort = CaseSlices(open_dataset(folders["cohort"]).cases, (96, 96), 3.0, 1, 4, focus=1.0)
    batch = _draw(cohort, names)
    stem = batch.structures[:, LABELLED_STRUCTURES.index("Brainstem")]
    # the tissue map names number 2, and number 1 has a name that nobody knows
    inner = stem & (batch.tissue == white)
    assert inner.sum() > 0.8 * stem.sum()
    assert set(batch.tissue.unique().tolist()) <= {unknown, 0, white, TISSUE_INDEX["tumour"]}
    public = CaseSlices(open_dataset(folders["segrap"]).cases, (96, 96), 3.0, 1, 4, focus=1.0)
    batch = _draw(public, ["CT"])
    assert set(batch.tissue.unique().tolist()) == {unknown, 0, TISSUE_INDEX["tumour"]}
    air = batch.images["CT"][batch.tissue == 0]
    assert float((air < 0.1).float().mean()) > 0.95


def test_batches_depend_on_the_seed_and_not_on_what_is_in_memory(folders):
    cases = open_dataset(folders["hntsmrg"]).cases
    small = CaseSlices(cases, (48, 48), 3.0, cases=2, slices=2, keep=1)
    large = CaseSlices(cases, (48, 48), 3.0, cases=2, slices=2, keep=9)
    for seed in (0, 1):
        one, two = _draw(small, ["T2w"], seed), _draw(large, ["T2w"], seed)
        assert torch.equal(one.images["T2w"], two.images["T2w"])
        assert torch.equal(one.structures, two.structures)
        assert one.mentions == two.mentions
    assert len(small._ready) == 1
    assert not torch.equal(_draw(large, ["T2w"], 0).images["T2w"], two.images["T2w"])


def test_mirrored_slices_come_only_where_they_are_asked_for(folders):
    cases = open_dataset(folders["cohort"]).cases[:1]
    left, right = (LABELLED_STRUCTURES.index(name) for name in ("Parotid_L", "Parotid_R"))

    def mirrored(flip):
        slices = CaseSlices(cases, (80, 80), 3.0, 1, 32, 0.0, by_structure=1.0, flip=flip)
        batch = _draw(slices, ["T1w"])
        both = batch.structures[:, left].any((1, 2)) & batch.structures[:, right].any((1, 2))
        columns = torch.arange(80.0)
        found = []
        for masks in batch.structures[both]:
            centres = [(masks[n].sum(0) * columns).sum() / masks[n].sum() for n in (left, right)]
            found.append(bool(centres[0] < centres[1]))
        return found

    assert len(mirrored(False)) >= 3 and not any(mirrored(False))
    assert len(set(mirrored(True))) == 2


def test_mentions_say_what_the_header_says_and_nothing_else(folders):
    slices = CaseSlices(open_dataset(folders["cohort"]).cases[:1], (32, 32), 6.0, 1, 1)
    said = [_draw(slices, ["T1w", "T2w"], n, plain=0.0).mentions for n in range(12)]
    texts = {batch["T1w"][0].text for batch in said}
    assert any("3 T" in text for text in texts) and any("TR 600" in text for text in texts)
    assert {m["T1w"][0].tr_ms for m in said} == {None, 600.0}
    assert {batch["T2w"][0].text for batch in said} == {"T2w"}  # it has no header
    assert {_draw(slices, ["T1w"], n, plain=1.0).mentions["T1w"][0].text for n in range(4)} == {
        "T1w"
    }
    contrast = [case for case in open_dataset(folders["segrap"]).cases if "contrast" in case.name]
    (told,) = _draw(CaseSlices(contrast, (32, 32), 6.0, 1, 1), ["CT"]).mentions["CT"]
    assert told.contrast_agent and "contrast-enhanced" in told.text


def test_sequences_that_no_case_has_are_refused(folders):
    slices = CaseSlices(open_dataset(folders["hanseg"]).cases, (32, 32), 6.0, 1, 1)
    with pytest.raises(InputError, match="None of the 2 cases has CT and FLAIR"):
        _draw(slices, ["CT", "FLAIR"])


def test_images_that_lie_apart_are_registered_before_they_are_drawn(people, tmp_path):
    who = people[0].moved((400.0, -250.0, 90.0), "T2w")  # another scanner's frame
    folder = WRITERS["foshan"](tmp_path, who, 1)
    shutil.rmtree(folder / "CE-T1WI")
    cases = open_dataset(tmp_path).cases
    slices = CaseSlices(cases, (64, 64), 3.0, cases=1, slices=2, keep=1)
    case = slices.ready(0)
    truth = WorkingGrid.for_reference(people[0].volumes["T1w"], 3.0)
    truth = truth.to_grid(people[0].volumes["T2w"])
    # 3 mm pixels and 7 mm slices: the registration may be half a pixel off
    assert np.corrcoef(case.stack["T2w"].ravel(), truth.ravel())[0, 1] > 0.9
    slices._ready.clear()
    again = slices.ready(0)  # from the registration that it keeps
    np.testing.assert_array_equal(again.stack["T2w"], case.stack["T2w"])
    drawn = _draw(slices, ["T1w", "T2w"])
    assert drawn.images["T2w"].shape == (2, 64, 64)


def test_a_registration_is_found_again_by_a_later_run_until_the_files_change(
    people, tmp_path, monkeypatch
):
    who = people[0].moved((400.0, -250.0, 90.0), "T2w")
    folder = WRITERS["foshan"](tmp_path / "data", who, 1)
    shutil.rmtree(folder / "CE-T1WI")
    cases, kept = open_dataset(tmp_path / "data").cases, tmp_path / "run" / "registrations"

    def stack():
        slices = CaseSlices(cases, (64, 64), 3.0, 1, 1, registrations=kept)
        return slices.ready(0).stack["T2w"]

    registrations = []
    from MRISynthLib.preprocessing import registration

    register = registration.register
    monkeypatch.setattr(
        registration, "register", lambda *a, **k: registrations.append(1) or register(*a, **k)
    )
    first = stack()
    assert len(registrations) == 1
    np.testing.assert_array_equal(stack(), first)
    assert len(registrations) == 1
    (folder / "ROI-T1.nii").touch()
    np.testing.assert_array_equal(stack(), first)
    assert len(registrations) == 2


@pytest.mark.parametrize(("apart", "known"), [(4.0, True), (7.0, False)])
def test_neighbouring_slices_are_given_where_they_are_near(folders, apart, known):
    slices = CaseSlices(open_dataset(folders["cohort"]).cases[:1], (24, 24), 3.0, 1, 12, focus=0.0)
    case = slices.ready(0)
    count = len(case.body)
    levels = np.broadcast_to(0.05 * np.arange(1, count + 1)[:, None, None], case.tissue.shape)
    stack = {name: levels.astype(np.float32) for name in ("T1w", "T2w")}
    slices._ready[0] = replace(case, stack=stack, spacing=np.array([3.0, 3.0, apart]))
    batch = _draw(slices, ["T1w", "T2w"], clean=("T2w",), around=True, parameters=True)
    alone = _draw(slices, ["T1w", "T2w"], clean=("T2w",))
    assert torch.equal(batch.images["T1w"], alone.images["T1w"])
    assert alone.around is None and batch.parameters is None
    assert batch.around["T1w"].shape == batch.around["T2w"].shape == (12, 2, 24, 24)
    assert not batch.around["T2w"].any()  # of a target nothing else is given
    middle = batch.images["T1w"][:, 12, 12]
    below, above = batch.around["T1w"][:, :, 12, 12].T
    if not known:
        assert not batch.around["T1w"].any()
        return
    level = (batch.images["T2w"][:, 12, 12] / 0.05).round()
    step = middle / level  # brightness varies from batch to batch
    torch.testing.assert_close(below, step * (level - 1))
    torch.testing.assert_close(above, torch.where(level < count, step * (level + 1), 0.0))


def test_what_a_case_can_be_asked_for_shows_one_region(folders):
    slices = CaseSlices(open_dataset(folders["cohort"]).cases[:1], (24, 24), 3.0, 1, 1)
    case = slices.ready(0)
    upper = np.arange(len(case.body)) >= len(case.body) // 2
    cover = {"T1w": np.ones(len(upper)), "T2w": 1.0 * upper, "CE-T1w": 1.0 * ~upper}
    slices._ready[0] = replace(case, cover=cover)
    assert slices.together(0) == {"T1w", "T2w"}
    assert slices.drawable(["T2w", "T1w"]) and not slices.drawable(["CE-T1w", "T2w"])
    assert not slices.drawable(["FLAIR"])
