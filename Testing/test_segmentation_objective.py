"""What the network that delineates and corrects learns from: what costs it how much."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from MRISynthSegmentLib.lessons import LEARNED, Lesson
from MRISynthSegmentLib.objective import (
    _in_vain,
    correction_loss,
    most_weight,
    structure_loss,
)

GTVP, BRAIN = LEARNED.index("GTVp"), LEARNED.index("Brain")


@pytest.fixture
def lesson():
    """Slices of a brain, of which one has a tumour; nothing else is known."""
    truth = torch.zeros(4, len(LEARNED), 64, 64, dtype=torch.bool)
    truth[:, BRAIN, 16:48, 16:48] = True
    truth[0, GTVP, 50:58, 30:38] = True
    known = torch.zeros(truth.shape[:2], dtype=torch.bool)
    known[:, [GTVP, BRAIN]] = True
    return Lesson({}, None, torch.zeros(len(truth), 1), truth, known)


def logits_of(found: torch.Tensor) -> torch.Tensor:
    """Logits, of the last channel too, of a network that is sure of what it found."""
    sure = 20.0 * found.float() - 10
    return torch.cat([sure, torch.zeros_like(sure[:, :1])], 1)


def test_only_what_is_known_counts(lesson):
    right = logits_of(lesson.truth)
    unknown = [n for n in range(len(LEARNED)) if n not in (GTVP, BRAIN)]
    wrong = right.clone()
    wrong[:, unknown] = 10.0
    cost = float(structure_loss(right, lesson))
    assert cost == pytest.approx(float(structure_loss(wrong, lesson)), abs=1e-6)
    assert cost < 0.05
    wrong[:, BRAIN] = -wrong[:, BRAIN]
    assert structure_loss(wrong, lesson) > cost + 1


def test_a_tumour_in_a_healthy_slice_costs_more_than_an_organ_that_is_too_large(lesson):
    healthy = replace(lesson, truth=lesson.truth.clone(), known=lesson.known.clone())
    healthy.truth[:, GTVP] = False
    healthy.known[:, GTVP] = True
    right = logits_of(healthy.truth)
    costs = {}
    for structure in (GTVP, BRAIN):
        spot = right.clone()
        spot[:, structure, 2:12, 2:12] = 10.0
        costs[structure] = float(structure_loss(spot, healthy) - structure_loss(right, healthy))
    assert costs[GTVP] > costs[BRAIN] + 0.05


def test_a_large_tumour_in_a_healthy_slice_is_unlearned_as_well_as_a_spot(lesson):
    healthy = replace(lesson, truth=lesson.truth.clone(), known=lesson.known.clone())
    healthy.truth[:, GTVP] = False
    healthy.known[:, GTVP] = True

    def pull(side: int) -> float:
        logits = logits_of(healthy.truth)
        logits[:, GTVP, :side, :side] = 1.0
        logits.requires_grad_()
        _in_vain(logits, healthy.truth, healthy.known).backward()
        return float(logits.grad[:, GTVP].sum())

    assert pull(32) > pull(12)


def test_a_structure_that_is_found_nowhere_is_not_lost_for_ever():
    truth = torch.zeros(6, len(LEARNED), 192, 192, dtype=torch.bool)
    truth[0, GTVP, 50:58, 50:58] = True
    truth[:, BRAIN, 30:150, 30:150] = True
    nothing = torch.zeros(len(truth), 1)
    everything_known = torch.ones(truth.shape[:2], dtype=torch.bool)
    lesson = Lesson({}, None, nothing, truth, everything_known)
    logits = logits_of(truth)
    logits[:, GTVP] = -8.0
    logits.requires_grad_()
    structure_loss(logits, lesson).backward()
    assert float(logits.grad[:, GTVP].sum()) < -0.1, "it is looked for again"


def test_small_structures_weigh_more_as_training_begins():
    first, last = most_weight(0.0), most_weight(1.0)
    assert first[BRAIN] > first[GTVP] > 1 and (last < first).all() and (last >= 1).all()


def test_a_correction_counts_most_where_the_click_is():
    truth = torch.zeros(1, 32, 32, dtype=torch.bool)
    truth[:, 8:24, 8:24] = True
    clicks = torch.zeros(1, 32, 32)
    clicks[:, 10:14, 10:14] = 1
    right = 10.0 * truth - 5

    def cost(rows: slice, counts: bool = True) -> float:
        found = right.clone()
        found[:, rows, 10:14] *= -1
        return float(correction_loss(found, truth, clicks, torch.tensor([counts])))

    near, far = cost(slice(10, 14)), cost(slice(18, 22))
    assert near > 1.5 * far > cost(slice(0, 0))
    assert cost(slice(10, 14), counts=False) == pytest.approx(0, abs=1e-6)
    nothing = torch.zeros_like(truth)
    absent = [
        float(correction_loss(logits, nothing, clicks, torch.tensor([True])))
        for logits in (torch.full((1, 32, 32), -5.0), right)
    ]
    assert absent[0] < 0.1 < absent[1]
