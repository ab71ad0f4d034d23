"""Training the network that delineates and corrects: what it is shown, and what it learns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import max_pool2d

from models import synthesis_bundle
from MRISynthLib.bundles import verify
from MRISynthLib.errors import BundleError, InputError
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.training import cohort
from MRISynthLib.training.sources import VirtualPatients
from MRISynthSegmentLib import validation
from MRISynthSegmentLib.export_model import export_segmentation
from MRISynthSegmentLib.lessons import (
    LEARNED,
    MIRROR,
    Lesson,
    augmented,
    draw_lesson,
    skull_stripped,
)
from MRISynthSegmentLib.objective import (
    correction_loss,
)
from MRISynthSegmentLib.simulated_clicks import (
    CAREFUL,
    Habits,
    asked_for,
    begin,
    next_place,
    with_mistakes,
)
from MRISynthSegmentLib.stand_ins import Blurred, Synthesised, open_stand_in
from MRISynthSegmentLib.structure_net import StructureNet
from MRISynthSegmentLib.structures import STRUCTURES
from MRISynthSegmentLib.training import DEFAULTS, train_segmentation
from toy_heads import KNOWN, PARTS, toy_head

CPU = torch.device("cpu")
SMALL = (8, 8, 8, 8, 8, 8)
GTVP, BRAIN, EYE = (LEARNED.index(name) for name in ("GTVp", "Brain", "Eye_L"))
SETTINGS = """
steps: 2
size: [64, 64]
cases: 1
slices: 2
procedural: 1
validation_procedural: 1
jobs: 1
threads: 1
precision: fp32
features: [8, 8, 8, 8, 8, 8]
sample_steps: []
edit_share: 1.0
"""


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A cohort folder of two toy heads."""
    folder = tmp_path_factory.mktemp("toy cohort")
    plan = cohort.CohortPlan(procedural=1, healthy=DEFAULTS["healthy"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort, "draw_anatomy", toy_head)
        cohort.prepare_cohort(plan, folder / "training")
        cohort.prepare_cohort(plan, folder / "validation", validation=True)
    return folder


@pytest.fixture(scope="module")
def patients(heads):
    """The virtual patients of that cohort."""
    files = [heads / "training" / "procedural-0000.npz"]
    return VirtualPatients(files, (64, 64), 1.25, 1, 3, focus=0.1, by_structure=0.9, flip=False)


@pytest.fixture(scope="module")
def lesson(patients):
    """Some slices of T1w and T2w."""
    names = ["T1w", "T2w"]
    generator = torch.Generator().manual_seed(4)
    return Lesson.of(patients.draw(np.random.default_rng(4), generator, names, around=True), names)


def logits_of(found: torch.Tensor) -> torch.Tensor:
    """Logits, of the last channel too, of a network that is sure of what it found."""
    sure = 20.0 * found.float() - 10
    return torch.cat([sure, torch.zeros_like(sure[:, :1])], 1)


# what it is shown


def drawn(patients, stand_in, count=8, **settings) -> list[Lesson]:
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    config = {**DEFAULTS, **settings}
    return [draw_lesson(patients, config, stand_in, rng, generator) for _ in range(count)]


def test_all_that_the_cohort_labels_is_learned_in_the_order_of_the_structures():
    assert set(LEARNED) == set(STRUCTURES) == set(LABELLED_STRUCTURES)
    assert tuple(STRUCTURES) == LEARNED


def test_a_lesson_holds_what_the_network_takes(patients):
    for lesson in drawn(patients, Blurred(), 3, neighbours=1.0, synthetic_share=0.0):
        assert 1 <= len(lesson.images) <= 4 and set(lesson.around) == set(lesson.images)
        for name, image in lesson.images.items():
            assert image.shape == (3, 64, 64) and lesson.around[name].shape == (3, 2, 64, 64)
        assert not lesson.synthetic.any()
        assert lesson.truth.shape == (3, len(LEARNED), 64, 64)
        assert lesson.known.tolist() == [[name in KNOWN for name in LEARNED]] * 3
        assert StructureNet(len(LEARNED), SMALL)(lesson.images, lesson.around).isfinite().all()
    for lesson in drawn(patients, Blurred(), 2, neighbours=0.0):
        assert lesson.around is None


def test_synthetic_images_are_marked_and_are_most_often_the_contrast(patients):
    made = []
    for lesson in drawn(patients, Blurred(), 16, synthetic_share=1.0, neighbours=0.0):
        assert (lesson.synthetic == lesson.synthetic[0]).all()
        names = [SEQUENCE_NAMES[n] for n in lesson.synthetic[0].nonzero().flatten().tolist()]
        assert len(names) <= 1 and set(names) < set(lesson.images)
        made += names
    assert made.count("CE-T1w") > 0.5 * len(made) and len(made) > 10


def test_without_a_model_a_blurred_image_stands_in(patients):
    names = ["T1w", "CE-T1w"]
    batch = patients.draw(np.random.default_rng(1), torch.Generator(), names, around=True)
    image, around = Blurred().make(batch, ["T1w"], "CE-T1w", np.random.default_rng(0))
    real = batch.images["CE-T1w"]
    assert image.shape == real.shape and around.shape == batch.around["CE-T1w"].shape
    assert image.diff(dim=-1).abs().mean() < 0.9 * real.diff(dim=-1).abs().mean()
    assert image.mean() == pytest.approx(float(real.mean()), rel=0.05)


def test_a_model_makes_images_that_are_never_simulated(patients, tmp_path, monkeypatch):
    maker = open_stand_in(str(synthesis_bundle(tmp_path / "Tiny").folder), CPU)
    assert isinstance(maker, Synthesised)
    asked = []
    draw = patients.draw

    def noted(rng, torch_rng, names, **more):
        asked.append(list(names))
        return draw(rng, torch_rng, names, **more)

    monkeypatch.setattr(patients, "draw", noted, raising=False)
    weights = {"input_weights": {"T1w": 1.0, "T2w": 1.0, "CE-T1w": 1.0}}
    for lesson in drawn(patients, maker, 3, synthetic_share=1.0, neighbours=1.0, **weights):
        (made,) = (SEQUENCE_NAMES[n] for n in lesson.synthetic[0].nonzero().flatten().tolist())
        assert made not in asked.pop(0) and set(lesson.images) == {"T1w", "T2w", "CE-T1w"}
        assert lesson.images[made].isfinite().all() and (lesson.images[made] >= 0).all()
        # neighbours are synthetic too, and known where those of the others are
        there = [image.flatten(2).any(2) for image in lesson.around.values()]
        assert all(torch.equal(each, there[0]) for each in there)


def test_a_synthetic_image_is_what_the_model_makes_of_these_slices(patients, tmp_path):
    maker = Synthesised(str(synthesis_bundle(tmp_path / "Tiny").folder), CPU)
    names = ["T1w", "T2w"]
    batch = patients.draw(np.random.default_rng(5), torch.Generator(), names, around=True)
    first, _ = maker.make(batch, names, "CE-T1w", np.random.default_rng(0))
    alone, nothing = maker.make(
        replace(batch, around=None), names, "CE-T1w", np.random.default_rng(0)
    )
    assert nothing is None
    if not maker.network.context:
        torch.testing.assert_close(first, alone, rtol=2e-2, atol=2e-2)
    darker = replace(batch, images={name: 0.2 * image for name, image in batch.images.items()})
    other, _ = maker.make(darker, names, "CE-T1w", np.random.default_rng(0))
    assert not torch.allclose(first, other, atol=1e-2)


def test_mirrored_heads_keep_left_and_right_apart(lesson):
    columns, seen = torch.arange(64.0), set()
    for seed in range(8):
        found = augmented(lesson, np.random.default_rng(seed))
        powers = found.images["T1w"].log() / lesson.images["T1w"].log()
        mirrored = not bool(((powers - powers.nanmedian()).abs() < 1e-3).float().mean() > 0.5)
        seen.add(mirrored)
        left, right = (found.truth[:, LEARNED.index(f"Eye_{side}")] for side in "LR")
        places = [(eye.sum((0, 1)) * columns).sum() / eye.sum() for eye in (left, right)]
        assert places[0] > places[1]  # columns run to the patient's left
        # images, neighbours and truth are mirrored together
        brain = lesson.truth[:, BRAIN]
        assert torch.equal(found.truth[:, BRAIN], brain.flip(-1) if mirrored else brain)
        there = lesson.around["T1w"] > 0
        shown = found.around["T1w"] > 0
        expected = there.flip(-1) if mirrored else there
        for side in range(2):  # of the lowest and the highest slice one neighbour is not known
            assert not shown[:, side].any() or torch.equal(shown[:, side], expected[:, side])
    assert seen == {True, False}


@pytest.fixture
def painted() -> Lesson:
    """Three slices with a brain and an eye of random brightness, the last one without brain."""
    generator = torch.Generator().manual_seed(4)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    truth = torch.zeros(3, len(LEARNED), 64, 64, dtype=torch.bool)
    truth[:2, BRAIN] = (rows - 38) ** 2 + (columns - 32) ** 2 < 18**2
    truth[:, EYE] = (rows - 8) ** 2 + (columns - 44) ** 2 < 6**2
    images = {n: torch.rand(3, 64, 64, generator=generator) + 0.2 for n in ("T1w", "T2w")}
    around = {name: image[:, None].repeat(1, 2, 1, 1) for name, image in images.items()}
    flags = torch.zeros(3, len(SEQUENCE_NAMES))
    return Lesson(images, around, flags, truth, torch.ones(3, len(LEARNED), dtype=torch.bool))


def test_a_stripped_head_shows_nothing_but_the_brain(painted):
    brightest = []
    brain = painted.truth[:2, BRAIN]
    away = max_pool2d(brain.float(), 15, stride=1, padding=7) == 0
    for seed in range(6):
        found = skull_stripped(painted, np.random.default_rng(seed))
        for name, image in found.images.items():
            assert (image[:2][brain] > 0).all() and not image[:2][away].any()
            assert not found.around[name][:2].transpose(0, 1)[:, away].any()
            brightest += [float(image[k][brain[k]].quantile(0.99)) for k in range(2)]
            assert torch.equal(image[2], painted.images[name][2]), "it shows no brain"
        # what is no longer to be seen is no longer to be found
        assert torch.equal(found.truth[:, BRAIN], painted.truth[:, BRAIN])
        assert not found.truth[:2, EYE].any() and found.truth[2, EYE].any()
        assert torch.equal(found.known, painted.known)
    # the scale is that of an image of which nothing else is left
    assert min(brightest) > 0.84 and max(brightest) < 1.11 and np.ptp(brightest) > 0.1


def test_without_a_known_brain_and_on_ct_nothing_is_stripped(painted):
    unknown = replace(painted, known=torch.zeros_like(painted.known))
    ct = replace(painted, images={"CT": painted.images["T1w"]}, around=None)
    for lesson in (unknown, ct):
        assert skull_stripped(lesson, np.random.default_rng(0)) is lesson


def test_so_many_batches_are_stripped_as_the_settings_say(patients, monkeypatch):
    stripped = []
    monkeypatch.setattr(
        "MRISynthSegmentLib.lessons.skull_stripped", lambda x, rng: stripped.append(x) or x
    )
    for share, least, most in ((0.0, 0, 0), (0.4, 2, 14), (1.0, 16, 16)):
        stripped.clear()
        drawn(patients, Blurred(), 16, stripped_share=share)
        assert least <= len(stripped) <= most


def test_mirroring_swaps_left_and_right_names():
    for index, other in enumerate(MIRROR):
        first, second = LEARNED[index], LEARNED[other]
        assert first[:-2] == second[:-2]
        assert (first[-2:], second[-2:]) in {("_L", "_R"), ("_R", "_L")} or first == second


# the simulated user


def test_a_click_lies_deep_in_the_largest_mistake():
    truth, found = np.zeros((2, 40, 40), bool)
    truth[10:21, 10:31] = True
    found[10:21, 10:14] = True
    found[30:34, 2:6] = True
    rng = np.random.default_rng(0)
    row, column = next_place(found, truth, rng)
    assert row == 15 and 18 <= column <= 26
    found[10:21, 10:31] = True
    assert next_place(found, truth, rng) in {(31, 3), (31, 4), (32, 3), (32, 4)}
    assert next_place(truth, truth, rng) is None
    places = {next_place(found, truth, rng, anywhere=1.0) for _ in range(40)}
    assert len(places) > 5 and all(found[place] and not truth[place] for place in places)


@pytest.mark.parametrize("window", [32, 64])
def test_clicks_add_what_is_missing_and_take_away_what_is_too_much(lesson, window):
    empty = torch.zeros_like(lesson.truth)
    some = begin(lesson, logits_of(empty), 1.25, np.random.default_rng(0), CAREFUL, (window,))
    everything = begin(
        lesson, logits_of(~empty), 1.25, np.random.default_rng(0), CAREFUL, (window,)
    )
    for correction, adds in ((some, True), (everything, False)):
        edit = correction.edit()
        assert edit.shape == (3, 3, window, window)
        asked = correction.truth
        for place, clicks in enumerate(correction.clicks):
            (click,) = clicks
            assert click.adds is adds and click.beside == 0
            assert bool(asked[place, int(click.row), int(click.column)]) is adds
            channel = 1 if adds else 2
            assert edit[place, channel, int(click.row), int(click.column)] == 1
            assert not edit[place, 3 - channel].any()
    shown = lesson.truth[range(3), some.asked]
    if window == 64:
        torch.testing.assert_close(some.truth, shown)
        torch.testing.assert_close(some.lesson.images["T1w"], lesson.images["T1w"])


def test_a_window_shows_the_same_place_of_everything(lesson):
    rows = torch.arange(64.0 * 64).reshape(64, 64).expand(3, -1, -1)
    marked = replace(
        lesson, images={"T1w": rows}, around={"T1w": torch.stack([rows, rows + 0.5], 1)}
    )
    some = begin(
        marked, logits_of(lesson.truth * 0), 1.25, np.random.default_rng(3), CAREFUL, (32,)
    )
    for place in range(3):
        top, left = divmod(int(some.lesson.images["T1w"][place, 0, 0]), 64)
        there = (slice(top, top + 32), slice(left, left + 32))
        torch.testing.assert_close(some.lesson.images["T1w"][place], rows[place][there])
        torch.testing.assert_close(some.lesson.around["T1w"][place, 1], rows[place][there] + 0.5)
        asked = lesson.truth[place, some.asked[place]]
        torch.testing.assert_close(some.truth[place], asked[there])


def test_what_is_not_known_is_never_corrected():
    known = np.array([name in KNOWN for name in LEARNED])
    sizes = np.array([50 * (name in PARTS) for name in LEARNED])
    rng = np.random.default_rng(0)
    asked = [asked_for(known, sizes, 0 * sizes, rng, Habits(absent=0.2)) for _ in range(300)]
    names = [LEARNED[channel] for channel in asked]
    assert set(names) == set(KNOWN)
    assert names.count("GTVp") > 2 * names.count("Brain")  # what matters most
    assert 30 < names.count("GTVn") < 100  # not there, but at times asked for
    found = 90 * np.array([name in ("Larynx", "GTVn") for name in LEARNED])
    mistaken = {asked_for(known, 0 * sizes, found, rng) for _ in range(5)}
    assert mistaken == {LEARNED.index("GTVn")}


def test_results_with_mistakes_are_other_results():
    mask = np.zeros((48, 48), bool)
    mask[15:30, 18:36] = True
    rng = np.random.default_rng(0)
    results = [with_mistakes(mask, rng) for _ in range(60)]
    assert all(result.shape == mask.shape and result.dtype == bool for result in results)
    assert sum((result != mask).any() for result in results) > 55
    sizes = np.array([result.sum() for result in results])
    assert (sizes > mask.sum()).any() and (sizes == 0).any() and (sizes < mask.sum()).any()
    assert with_mistakes(np.zeros((48, 48), bool), rng).any()  # something where nothing is


def test_clicks_on_a_neighbouring_slice_are_fainter(lesson):
    habits = replace(CAREFUL, beside=1.0)
    empty = logits_of(torch.zeros_like(lesson.truth))
    some = begin(lesson, empty, 1.25, np.random.default_rng(0), habits, (64,))
    heights = some.nearness().flatten(1).amax(1)
    assert ((heights > 0.1) & (heights < 0.98)).all()
    assert all(click.beside > 0 for clicks in some.clicks for click in clicks)


# what it learns


def test_clicks_correct_what_a_network_has_learned_to_correct(lesson):
    """A few steps on three slices: afterwards the structure is where it was clicked."""
    torch.manual_seed(0)
    network = StructureNet(len(LEARNED), (16, 16, 16, 16, 16, 16))
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    empty = logits_of(torch.zeros_like(lesson.truth))

    def correction(seed: int):
        return begin(lesson, empty, 1.25, np.random.default_rng(seed), CAREFUL, (64,))

    several = lesson.truth.flatten(2).any(2).sum(1) > 1

    def overlap(some, clicked: bool = True) -> float:
        """Of slices on which the network cannot know without a click what is meant."""
        edit = some.edit()
        edit[:, 1:] *= float(clicked)
        found, truth = (lesson.logits(network, edit)[:, -1] > 0)[several], some.truth[several]
        both, total = (found & truth).sum((1, 2)), (found.sum((1, 2)) + truth.sum((1, 2)))
        return float((2 * both / total).mean())

    for step in range(30):
        some = correction(step)
        found = lesson.logits(network, some.edit())[:, -1]
        loss = correction_loss(found, some.truth, some.nearness(), some.counts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        tried = [correction(seed) for seed in range(100, 106)]
        after = np.mean([overlap(some) for some in tried])
        assert after > 0.6
        assert after > 0.2 + np.mean([overlap(some, clicked=False) for some in tried])


def test_validation_has_what_held_out_patients_show_and_corrections(patients, monkeypatch):
    monkeypatch.setattr(validation, "BATCHES", 3)
    monkeypatch.setattr(validation, "CLICKED_BATCHES", 1)
    monkeypatch.setattr(validation, "WINDOW", 32)
    torch.manual_seed(1)
    network = StructureNet(len(LEARNED), SMALL)
    figures = validation.validate(network, patients, CPU, 1.25)
    assert figures == validation.validate(network, patients, CPU, 1.25)
    score = figures.pop("score")
    assert score == pytest.approx(np.mean(list(figures.values())), abs=1e-3)
    clicks = {f"after {count} clicks" for count in (0, 1, 3)}
    sets = ("T1w+T2w+CE-T1w", "T1w+T2w", "T1w")
    assert clicks < set(figures)
    assert set(figures) - clicks == {f"{inputs} {name}" for inputs in sets for name in PARTS}
    assert all(0 <= value <= 1 for value in figures.values()) and network.training
    shown = validation.picture(network, patients, CPU)
    assert shown.dtype == np.uint8 and shown.shape == (3 * 64 + 2 * 2, 3 * 64 + 2 * 2)


def run(folder, heads, *overrides, report=lambda text: None) -> None:
    """Train by a file of settings."""
    settings = folder / "settings.yaml"
    settings.write_text(SETTINGS + f"cohort: {heads}\n")
    train_segmentation(settings, folder / "run", False, report, overrides)


def test_a_validation_is_told_in_a_line():
    low = {"GTVp": 0.5, "Cochlea_L": 0.1, "Lens_R": 0.3, "Brain": 0.2}
    dice = dict.fromkeys(LEARNED, 0.8) | low
    figures = {f"T1w+T2w {name}": value for name, value in dice.items() if name != "GTVn"}
    figures |= {f"T1w {name}": 0.25 for name in LEARNED}
    figures |= {"after 0 clicks": 0.5, "after 1 clicks": 0.625, "after 3 clicks": 0.75}
    said = validation.in_short({**figures, "score": 0.6125})
    mean = np.mean([figures[name] for name in figures if name.startswith("T1w+T2w ")])
    assert said == (
        f"mean Dice {mean:.3f} T1w+T2w, 0.250 T1w; targets GTVp 0.50; worst Cochlea_L 0.10, "
        "Brain 0.20, Lens_R 0.30; 0/1/3 clicks 0.50/0.62/0.75; score 0.6125"
    )
    assert validation.in_short({"score": 0.0}) == "score 0.0000"


def test_a_run_becomes_a_bundle_that_says_that_it_takes_clicks(heads, tmp_path, monkeypatch):
    figures = {"T1w Brain": 0.5, "T1w Lens_L": 0.75, "score": 1.0}
    monkeypatch.setattr("MRISynthSegmentLib.training.validate", lambda *a: figures)
    monkeypatch.setattr("MRISynthSegmentLib.training.picture", lambda *a: None)
    told = []
    run(tmp_path, heads, report=told.append)
    assert f"{validation.in_short(figures)}, the best so far" in told
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    logged = {name for record in records for name in record}
    assert {"loss/structures", "loss/corrections", *figures} < logged
    bundle = export_segmentation(tmp_path / "run", tmp_path / "bundle", "Toy", {})
    assert (bundle.metadata["clicks"], bundle.metadata["context"]) == (True, 1)
    assert bundle.structures == LEARNED
    network = verify(bundle.folder).network()
    assert isinstance(network, StructureNet)
    image = {"T1w": torch.rand(1, 64, 64)}
    with torch.no_grad():
        found = network(image)
    assert found.shape == (1, len(LEARNED) + 1, 64, 64)
    small = export_segmentation(tmp_path / "run", tmp_path / "small", "Small", {}, eight_bit=True)
    assert small.metadata["training"] == bundle.metadata["training"]
    with torch.no_grad():
        assert (small.network()(image) - found).abs().max() < 0.02 * found.abs().max()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("features=[8, 8, 8]", r"features .* six multiples of 8"),
        ("features=[8, 8, 8, 8, 8, 12]", r"features .* six multiples of 8"),
        ("size=[64, 72]", r"size .* multiples of 32"),
        ("edit_share=1.5", r"edit_share .* between 0 and 1"),
        ("input_weights={T1w: 0}", r"input_weights .* weight above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, override, says):
    with pytest.raises(InputError, match=says):
        run(tmp_path, tmp_path / "none", override)
    assert not (tmp_path / "run").exists()


def test_a_synthesis_model_that_is_none_is_refused(tmp_path):
    with pytest.raises(BundleError):
        run(tmp_path, tmp_path / "none", f"synthesis={tmp_path / 'nowhere'}")
    assert not (tmp_path / "run").exists()
