"""Where training batches come from: folders of patients, the virtual cohort, or both."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from dataset_layouts import WRITERS, person
from MRISynthLib.errors import InputError
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.training import sources, synthesis
from MRISynthLib.training.datasets import open_dataset, read_split
from MRISynthLib.training.sources import MixedPatients, open_sources, trained_on, within

CPU = torch.device("cpu")
ONE, TWO = "cohort/sub-virtual000001", "cohort/sub-virtual000002"
PARTS = {"training": [ONE, "hanseg/1"], "validation": [TWO, "hanseg/2"], "test": []}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Open the sources of settings; the virtual cohort, if asked for, has nobody."""
    monkeypatch.setattr(sources, "cohort_paths", lambda *a: ([], []))
    small = {"cases": 1, "slices": 2, "size": [32, 32], "pixel_mm": 4.0}
    split = tmp_path / "split.json"
    shares = {"training": 0.6, "validation": 0.2, "test": 0.2}
    split.write_text(json.dumps({"seed": 0, "shares": shares, "patients": PARTS}))

    def run(say=lambda text: None, **settings):
        config = {**synthesis.DEFAULTS, **small, "data_split": str(split), **settings}
        config["data"] = settings["data"] and [str(folder) for folder in settings["data"]]
        return open_sources(config, tmp_path / "run", CPU, say)

    return run


def _patients(source) -> set[str]:
    return {case.patient for case in source.patients}


def test_held_out_patients_are_not_learned_from(opened, folders, tmp_path):
    said = []
    found = opened(said.append, data=[folders["cohort"]])
    assert _patients(found.training) == {ONE} and _patients(found.validation) == {TWO}
    assert any("1 training, 1 validation, 0 test" in text for text in said)
    written = read_split(tmp_path / "run" / "split.json")
    assert written.patients["training"] == (ONE,) and written.patients["validation"] == (TWO,)
    assert trained_on(tmp_path / "run") == "1 patient of cohort"
    assert trained_on(tmp_path / "elsewhere") == ""
    rng = np.random.default_rng(0)
    names = found.training.pick(rng).available(rng)
    assert names == {"T1w", "T2w", "CE-T1w"}
    batch = found.training.draw(rng, torch.Generator(), sorted(names), parameters=True, around=True)
    assert batch.images["T1w"].shape == (2, 32, 32) and batch.parameters is None


def test_tasks_are_drawn_of_what_patients_have(opened, folders):
    training = opened(data=[folders["cohort"], folders["hanseg"]]).training
    config, rng, seen = synthesis.DEFAULTS, np.random.default_rng(1), set()
    assert not training.drawable(["CT", "T2w"])
    for _ in range(20):
        names = training.available(rng)
        settings = within(config, names)
        inputs, targets = set(settings["input_weights"]), set(settings["target_weights"])
        assert inputs <= names and targets <= names and settings["targets_per_step"] < len(names)
        seen.add(names)
        assert training.drawable(sorted(names))
    assert seen == {frozenset({"T1w", "T2w", "CE-T1w"}), frozenset({"CT", "T1w"})}


@pytest.mark.parametrize(
    ("inputs", "targets", "available", "left", "count"),
    [
        ("T1w T2w", "T1w T2w STIR", "T1w T2w", ("T1w T2w", "T1w T2w"), 1),
        ("T1w T2w", "STIR FLAIR", "T1w STIR FLAIR", ("T1w", "STIR FLAIR"), 2),
        ("T1w", "T1w T2w STIR", "T1w T2w", ("T1w", "T2w"), 1),
        ("T1w T2w", "STIR", "STIR CT", ("", ""), 0),
        ("T1w T2w", "STIR", "T1w T2w STIR CT", ("T1w T2w", "STIR"), 2),
    ],
)
def test_an_input_is_left_whatever_is_drawn(inputs, targets, available, left, count):
    config = {
        "input_weights": dict.fromkeys(inputs.split(), 1.0),
        "target_weights": dict.fromkeys(targets.split(), 1.0),
        "targets_per_step": 2,
    }
    found = within(config, frozenset(available.split()))
    assert [set(found[f"{kind}_weights"]) for kind in ("input", "target")] == [
        set(names.split()) for names in left
    ]
    assert max(found["targets_per_step"], 0) == count


def test_data_are_read_and_checked_once(opened, folders, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    shutil.copytree(folders["cohort"], folder)
    opened(data=[folder])
    dataset = type(open_dataset(folder))
    checks = []
    monkeypatch.setattr(dataset, "check", lambda self, *rest: checks.append(self.root) or [])
    opened(data=[folder])
    assert checks == []
    image = next(folder.glob("*/anat/*_T1w.nii.gz"))
    image.write_bytes(image.read_bytes())
    opened(data=[folder])
    assert checks == [folder]


def test_a_run_that_goes_on_keeps_its_parts(opened, folders, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(folders["cohort"], folder)
    opened(data=[folder])
    (tmp_path / "run" / "checkpoint.pt").touch()
    swapped = {**PARTS, "training": PARTS["validation"], "validation": PARTS["training"]}
    shares = {"training": 0.5, "validation": 0.4, "test": 0.1}
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"seed": 0, "shares": shares, "patients": swapped}))
    found = opened(data=[folder], data_split=str(other))
    assert _patients(found.training) == {ONE}
    (tmp_path / "run" / "checkpoint.pt").unlink()
    (tmp_path / "run" / "split.json").unlink()
    assert _patients(opened(data=[folder], data_split=str(other)).training) == {TWO}


def test_without_a_split_the_seed_parts_people(opened, patient, tmp_path):
    folder = tmp_path / "many"
    for number in range(1, 9):
        WRITERS["cohort"](folder, person(patient, 1 - 0.05 * number), number)
    (folder / "sub-virtual000003" / "anat" / "sub-virtual000003_T1w.nii.gz").write_bytes(b"no")
    found = opened(data=[folder], data_split=None, seed=4)
    first, second = _patients(found.training), _patients(found.validation)
    assert first and second and not first & second
    lost = next(case for case in found.training.patients + found.validation.patients
                if case.name == "sub-virtual000003")  # fmt: skip
    assert "T1w" not in lost.images


def test_data_that_nothing_can_be_learned_from_are_refused(opened, folders, tmp_path):
    with pytest.raises(InputError, match=r"No case in .*hntsmrg has both an input and a target"):
        opened(data=[folders["hntsmrg"]])
    with pytest.raises(InputError, match=r"leaves nobody for validation of the 2 cases"):
        parts = {**PARTS, "training": [ONE, TWO], "validation": [], "test": []}
        split = tmp_path / "all.json"
        shares = {"training": 0.6, "validation": 0.2, "test": 0.2}
        split.write_text(json.dumps({"seed": 0, "shares": shares, "patients": parts}))
        opened(data=[folders["cohort"]], data_split=str(split))
    with pytest.raises(InputError, match=r"There is no folder .*nowhere"):
        opened(data=[tmp_path / "nowhere"])
    split.write_text('{"seed": 0, "shares": {"a": 1.0}, "patients": {"a": []}}')
    with pytest.raises(InputError, match=r"all\.json has no part 'training'"):
        opened(data=[folders["cohort"]], data_split=str(split))


def test_without_data_everybody_is_virtual_and_has_everything(opened):
    found = opened(data=None)
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert found.training.pick(rng) is found.training
    names = found.training.available(rng)
    assert names == set(SEQUENCE_NAMES) and found.training.drawable(["CT", "DWI"])
    assert within(synthesis.DEFAULTS, names) is synthesis.DEFAULTS
    assert rng.bit_generator.state == before  # older runs go on exactly


def test_real_and_virtual_patients_come_by_their_shares(opened, folders):
    mixed = opened(data=[folders["cohort"]], data_share=0.25).training
    assert isinstance(mixed, MixedPatients)
    rng = np.random.default_rng(0)
    real = [mixed.pick(rng) is mixed.real for _ in range(400)]
    assert np.mean(real) == pytest.approx(0.25, abs=0.06)
    assert mixed.drawable(["FLAIR", "CT"]) and not mixed.real.drawable(["FLAIR", "CT"])
    drawn = []
    for source in (mixed.real, mixed.virtual):
        source.draw = lambda *asked, source=source, **more: drawn.append(source)
    for _ in range(40):
        mixed.draw(rng, None, ["FLAIR", "CT"], plain=1.0)
    assert set(drawn) == {mixed.virtual}
    for _ in range(40):
        mixed.draw(rng, None, ["T1w", "T2w"])
    assert set(drawn) == {mixed.real, mixed.virtual}


def test_synthesis_learns_from_a_folder_and_goes_on_exactly(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "write_survey", lambda *a: None)
    monkeypatch.setattr(synthesis, "VALIDATION_BATCHES", 1)
    monkeypatch.setattr(synthesis, "VALIDATION_TASKS", ((("T1w", "T2w"), "CE-T1w"),))
    split, config = tmp_path / "split.json", tmp_path / "a.yaml"
    shares = {"training": 0.6, "validation": 0.2, "test": 0.2}
    split.write_text(json.dumps({"seed": 0, "shares": shares, "patients": PARTS}))
    config.write_text(
        f"data: {folders['cohort']}\ndata_split: {split}\nsize: [32, 32]\ncases: 1\nslices: 2\n"
        "network_options: {widths: [8, 8], condition: 8}\nthreads: 1\nprecision: fp32\n"
        "checkpoint_every: 2\nsample_steps: []\nvalidate_every: 100\n"
    )
    ends = []
    for name, steps in (("at once", [4]), ("in two", [2, 4])):
        for number, count in enumerate(steps):
            # the rate falls with the number of steps, which the first part must know
            monkeypatch.setattr("MRISynthLib.training.runs.cosine_rate", lambda *a: 1e-3)
            synthesis.train_synthesis(
                config, tmp_path / name, number > 0, lambda text: None, [f"steps={count}"]
            )
        saved = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        ends.append(saved["network"])
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    records = [json.loads(line) for line in (tmp_path / "at once" / "log.jsonl").open()]
    assert 0 < records[-1]["score"] < 1
    assert (tmp_path / "at once" / "samples" / "step-000004.png").is_file()


def test_delineation_learns_from_one_sequence_with_contours(folders, tmp_path):
    from MRISynthSegmentLib.lessons import LEARNED, draw_lesson
    from MRISynthSegmentLib.stand_ins import Blurred
    from MRISynthSegmentLib.training import DEFAULTS, PURPOSE
    from MRISynthSegmentLib.validation import possible_sets

    split = tmp_path / "split.json"
    shares = {"training": 0.6, "validation": 0.2, "test": 0.2}
    parts = {"training": ["hntsmrg/1"], "validation": ["hntsmrg/2"], "test": []}
    split.write_text(json.dumps({"seed": 0, "shares": shares, "patients": parts}))
    small = {"cases": 1, "slices": 2, "size": [32, 32], "pixel_mm": 4.0}
    config = {**DEFAULTS, **small, "data_split": str(split), "synthetic_share": 1.0}

    def opened(**settings):
        learned = {"by_structure": 0.9, "flip": False}
        return open_sources(
            {**config, **settings}, tmp_path / "run", CPU, lambda text: None, PURPOSE, learned
        )

    found = opened(data=[str(folders["hntsmrg"])])
    rng, generator = np.random.default_rng(0), torch.Generator()
    seen = 0
    for _ in range(6):
        lesson = draw_lesson(found.training, config, Blurred(), rng, generator)
        assert set(lesson.images) == {"T2w"} and not lesson.synthetic.any()
        known = {LEARNED[n] for n in lesson.known[0].nonzero().flatten().tolist()}
        assert known == {"GTVp", "GTVn"}
        seen += int(lesson.truth[:, LEARNED.index("GTVp")].sum())
    assert seen > 0
    assert possible_sets(found.validation) == (("T2w",),)
    with pytest.raises(InputError, match=r"No case in .*hntsmrg has structures drawn on an input"):
        opened(data=[str(folders["hntsmrg"])], input_weights={"CT": 1.0})
