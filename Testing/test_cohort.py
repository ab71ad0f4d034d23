"""A cohort of anatomies: whose seeds it has, and how it ends when it does not end well."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from MRISynthLib.errors import Cancelled, InputError, WorkerError
from MRISynthLib.evaluation.patients import FIRST_SEED, Patients
from MRISynthLib.progress import Callbacks
from MRISynthLib.simulation import HeadSource
from MRISynthLib.training import cohort


def test_no_two_parts_of_a_cohort_share_a_patient_and_evaluation_has_others():
    kinds = [
        set(cohort._seeds(plan, 1000, validation, procedural))
        for plan in (1, 2)
        for validation in (False, True)
        for procedural in (False, True)
    ]
    assert len(set.union(*kinds)) == 8000
    assert all(cohort.is_training_seed(seed) for kind in kinds[:4] for seed in kind)
    measured = range(FIRST_SEED, FIRST_SEED + 500_000)
    assert not any(cohort.is_training_seed(seed) for seed in measured)
    assert Patients(cases=len(measured)).seed == FIRST_SEED


@pytest.mark.parametrize(
    ("patients", "says"),
    [
        ({"seed": 1_000_000}, "seed 1000000 .*trained on.*90000"),
        ({"seed": 1_750_000}, "trained on"),
        ({"seed": 999_998, "cases": 3}, "seed 1000000"),
        ({"seed": 998, "cases": 3}, "seed 1000 "),
        ({"seed": 2**48 - 2, "cases": 3}, "benchmark"),
        ({"benchmark": "v0"}, "only version is v1"),
        ({"benchmark": "v1", "sets": ("inside-99",)}, "nearest"),
    ],
)
def test_evaluation_refuses_patients_that_were_trained_on(patients, says):
    with pytest.raises(InputError, match=says):
        Patients(**patients)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (cohort.CohortPlan(1, seed=2**48 // 1_000_000 + 1), "benchmark"),
        (cohort.CohortPlan(250_001), "at most 250000"),
    ],
)
def test_a_cohort_without_seeds_of_its_own_is_refused(tmp_path, plan, says):
    with pytest.raises(InputError, match=says):
        cohort.prepare_cohort(plan, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_a_process_that_dies_while_making_anatomies_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(cohort, "_make", _die)
    with pytest.raises(WorkerError, match=r"died.*finished are kept.*fewer than 2 'jobs'"):
        cohort.prepare_cohort(cohort.CohortPlan(3), tmp_path, jobs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert not multiprocessing.active_children()


def _die(path, *job):
    cohort._partial(path).touch()
    os._exit(9)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cohort_that_is_cancelled_keeps_what_is_finished(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(cohort, "_make", _make_the_first)
    first = tmp_path / "procedural-0000.npz"
    callbacks = Callbacks(cancelled=first.exists)
    with pytest.raises(Cancelled):
        cohort.prepare_cohort(cohort.CohortPlan(3), tmp_path, jobs=jobs, callbacks=callbacks)
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", first.name}
    assert not multiprocessing.active_children()


def _make_the_first(path, *job):
    cohort._partial(path).touch()
    if path.stem.endswith("0000"):
        os.replace(cohort._partial(path), path)
        return
    time.sleep(120)


def test_a_cohort_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(cohort, "_make", lambda path, *job: path.touch())
    said = []
    cohort.prepare_cohort(cohort.CohortPlan(12), tmp_path / "cohort", report=said.append)
    assert said == ["anatomies: 10 of 12", "anatomies: 12 of 12"]


def test_the_settings_of_a_run_say_where_heads_come_from(tmp_path, monkeypatch):
    from MRISynthLib.training.runs import COMMON_DEFAULTS, read_config

    path = tmp_path / "a.yaml"
    path.write_text("label_maps: heads\nmapping: m.json\natlas: atlas\natlas_mapping: a.json\n")
    seen = []
    monkeypatch.setattr(cohort, "prepare_cohort", lambda plan, *rest: seen.append(plan.heads))
    cohort.cohort_paths(read_config(path, COMMON_DEFAULTS), tmp_path / "run")
    wanted = HeadSource(*map(Path, ("heads", "m.json", "atlas", "a.json")))
    kept = wanted.kept_in(tmp_path / "run" / "cohort" / "atlas")
    assert seen == [kept, kept]  # found once for training and validation
    assert HeadSource().kept_in(tmp_path) == HeadSource()
