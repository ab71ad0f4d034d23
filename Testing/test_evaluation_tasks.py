"""Which tasks are asked for, and what a patient must have for them."""

from __future__ import annotations

import pytest

from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.tasks import (
    MAIN,
    MORE,
    PAIRS,
    SINGLE,
    by_inputs,
    parse_tasks,
    sequences_for,
    task_name,
)
from MRISynthLib.sequences import SEQUENCE_NAMES


def test_sets_of_tasks_by_name():
    assert parse_tasks(()) == parse_tasks(["main"]) == MAIN
    assert parse_tasks(["pairs,single"]) == tuple(dict.fromkeys(PAIRS + SINGLE))
    assert {target for _, target in PAIRS} == set(SEQUENCE_NAMES) - {"T1w", "T2w"}
    assert len(SINGLE) == 20 and all(len(inputs) == 1 for inputs, _ in SINGLE)
    everything = parse_tasks(["all"])
    assert set(everything) == {*MAIN, *PAIRS, *SINGLE, *MORE}
    assert len(everything) == len(set(everything))


def test_a_task_in_words():
    (task,) = parse_tasks(["T1 + T2w->T1C"])
    assert task == (("T1w", "T2w"), "CE-T1w")
    assert task_name(task) == "T1w + T2w -> CE-T1w"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("most", "main, pairs, single, more or all"),
        ("T1w->nonsense", "names no sequence"),
        ("T1w+T2w->T2w", "twice"),
        ("T1w+T1w->T2w", "twice"),
    ],
)
def test_tasks_that_mean_nothing_are_refused(text, says):
    with pytest.raises(InputError, match=says):
        parse_tasks([text])


def test_a_simulated_patient_is_the_same_whatever_is_asked():
    # an image depends on those that are made before it
    longest = sequences_for(parse_tasks(["all"]))
    for name in ("main", "single", "T1w->STIR", "CE-T1w->FLAIR", "T1w->T2w"):
        asked = sequences_for(parse_tasks([name]))
        assert asked == longest[: len(asked)]
        assert {s for inputs, t in parse_tasks([name]) for s in (*inputs, t)} <= set(asked)
    assert set(longest) == set(SEQUENCE_NAMES)


def test_tasks_of_the_same_inputs_come_together():
    groups = by_inputs(MAIN)
    assert groups[("T1w", "T2w")] == ["CE-T1w", "STIR", "FLAIR"]
    references = [inputs[0] for inputs in groups]
    assert references == sorted(references, key=references.index) and len(set(groups)) == 3
