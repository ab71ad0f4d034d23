"""The virtual hospitals and the benchmark that is made in them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from MRISynthLib.errors import InputError
from MRISynthLib.prompts import understand
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation import benchmark
from MRISynthLib.simulation.hospitals import (
    HOSPITALS,
    hospital,
    inside_hospitals,
    outside_hospitals,
)
from MRISynthLib.simulation.protocols import null_time_ms, protocol_prompt
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.simulation.tumours import STAGES
from MRISynthLib.simulation.variants import VARIANTS

DEFINITION = "9612902dfb56ff5401299206a2737c5ddb57cc5ec676b83fa7a60d570a79804e"
"""Of benchmark v1. Whoever changes it makes old and new figures incomparable: raise
``benchmark.VERSION`` with it."""

RENDERING = "70996844fe762f726a57b10ac41a2591239db326574314417b5211495c309656"
"""What anatomy, tissues and rendering make of a sample; it changes with any of them, and then old
and new figures cannot be compared either."""

PUBLISHED = {
    "outside-01-siemens-1.5t": {
        "T1w": ((562, 739), (13, 17)),
        "CE-T1w": ((562, 739), (13, 17)),
        "STIR": ((7640, 7640), (97, 97)),
    },
    "outside-02-philips-3t": {
        "T1w": ((4.8, 9.4), (2.4, 8.0)),
        "T2w": ((3500, 4900), (50, 80)),
        "CE-T1w": ((4.8, 9.4), (2.4, 8.0)),
    },
    "outside-03-siemens-3t": {
        "T1w": ((620, 620), (9.8, 9.8)),
        "T2w": ((2500, 2500), (74, 74)),
        "CE-T1w": ((3.42, 3.42), (1.11, 1.11)),
    },
    "outside-04-ge-3t": {
        "T1w": ((4.3, 8), (3, 7)),
        "T2w": ((4200, 4899), (60, 80)),
        "CE-T1w": ((4.3, 8), (3, 7)),
    },
}
"""Sequence -> TR and TE (ms) of the hospitals of US 12,488,877 B2."""


def drawn(name: str, sequence: str, count: int = 40):
    rng = np.random.default_rng(4)
    return [hospital(name).draw_protocol(sequence, rng) for _ in range(count)]


def test_thirteen_hospitals_inside_and_thirteen_outside_and_no_two_alike():
    assert len(inside_hospitals()) == len(outside_hospitals()) == 13
    assert len({item.name for item in HOSPITALS}) == 26
    nameless = [replace(item, name="") for item in HOSPITALS]
    assert all(a != b for n, a in enumerate(nameless) for b in nameless[:n])
    for item in HOSPITALS:
        assert item.name.endswith(f"-{item.vendor.casefold().replace(' ', '-')}-{item.field_t:g}t")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_hospitals_keep_their_times(name):
    for sequence, (repetition, echo) in PUBLISHED[name].items():
        protocols = drawn(name, sequence)
        for protocol in protocols:
            assert repetition[0] <= protocol.tr_ms <= repetition[1]
            assert echo[0] <= protocol.te_ms <= echo[1]
            assert protocol.te_ms < protocol.tr_ms
            assert protocol.dose == (1.0 if sequence.startswith("CE-") else 0.0)
        if repetition[0] < repetition[1]:
            assert np.ptp([p.tr_ms for p in protocols]) > 0.5 * (repetition[1] - repetition[0])
    for item in drawn("outside-01-siemens-1.5t", "STIR", 3):
        assert item.ti_ms == 165


def test_published_slices_pixels_and_matrices():
    for name in PUBLISHED:
        rng = np.random.default_rng(1)
        for _ in range(20):
            examination = hospital(name).draw_examination(rng)
            assert 3.3 <= examination.slice_mm <= 4.0
            assert 0.75 <= examination.pixel_mm <= 0.94
            assert 240 <= examination.shape[1] <= 352


def test_every_hospital_takes_every_sequence_and_its_protocol_is_a_prompt():
    rng = np.random.default_rng(2)
    for item in HOSPITALS:
        examination = item.draw_examination(rng)
        for sequence in SEQUENCE_NAMES:
            protocol = item.draw_protocol(sequence, rng, examination.slice_mm)
            acquisition = item.draw_acquisition(sequence, rng, examination, moved=True)
            assert protocol.sequence == sequence and protocol.field_t == item.field_t
            assert (protocol.dose > 0) == sequence.startswith("CE-")
            assert acquisition.slice_mm == protocol.slice_mm == examination.slice_mm
            assert acquisition.pixel_mm >= examination.pixel_mm
            if sequence.endswith("-FS"):
                assert protocol.fat_signal < 0.2
            contrast = understand(protocol_prompt(protocol), sequence)
            assert contrast.sequence == sequence and not contrast.not_understood
            if protocol.technique not in ("CT", "ADC"):
                assert contrast.tr_ms == pytest.approx(protocol.tr_ms, abs=0.51)
                assert contrast.field_strength_t == item.field_t


def test_a_hospital_has_habits_and_hospitals_differ():
    repetition = {item.name: [p.tr_ms for p in drawn(item.name, "FLAIR", 20)] for item in HOSPITALS}
    means = [np.mean(values) for values in repetition.values()]
    assert np.mean([np.std(values) for values in repetition.values()]) < 0.6 * np.std(means)


def test_flair_is_taken_in_slices_and_in_volumes():
    for inside in (True, False):
        times = {
            p.tr_ms > 7000
            for i in HOSPITALS
            if i.inside is inside
            for p in drawn(i.name, "FLAIR", 3)
        }
        assert times == {True, False}


def test_inversion_times_null_what_they_are_for():
    for name in ("inside-01-siemens-1.5t", "inside-02-siemens-3t", "outside-08-siemens-0.55t"):
        for protocol in drawn(name, "FLAIR", 10):
            assert protocol.ti_ms == pytest.approx(null_time_ms(4300, protocol.tr_ms), rel=0.08)
    assert {145 < p.ti_ms < 190 for p in drawn("inside-01-siemens-1.5t", "STIR", 10)} == {True}
    assert {195 < p.ti_ms < 260 for p in drawn("inside-02-siemens-3t", "STIR", 10)} == {True}


def test_examinations_span_what_clinics_do():
    rng = np.random.default_rng(0)
    drawn_all = [item.draw_examination(rng) for item in HOSPITALS for _ in range(10)]
    thickness = [e.slice_mm for e in drawn_all]
    assert min(thickness) < 1.5 and max(thickness) > 5.5
    assert min(e.pixel_mm for e in drawn_all) < 0.55 and max(e.pixel_mm for e in drawn_all) > 1.0
    assert {e.plane for e in drawn_all} == {"axial", "coronal", "sagittal"}
    assert any(e.gap_mm > 0 for e in drawn_all)
    assert np.std([e.tilt_deg[0] for e in drawn_all if e.plane == "axial"]) > 2
    assert any(e.field_of_view_mm[1] < 200 for e in drawn_all)  # cuts the head
    for e in drawn_all:
        levels = e.levels_mm()
        assert len(levels) == e.shape[0]
        assert levels[1] == pytest.approx(e.slice_mm + e.gap_mm)
        assert e.shape[1] % 16 == e.shape[2] % 16 == 0


def test_planes_turn_axial_slices_as_their_names_say():
    from MRISynthLib.simulation.slices import SlicePlan

    along = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
    signs = {"axial": (1, 1, 1), "coronal": (1, -1, 1), "sagittal": (1, -1, -1)}
    found = set()
    for item in HOSPITALS:
        still = replace(item.geometry, oblique_deg=0.0)
        examination = still.draw(np.random.default_rng(0))
        found.add(examination.plane)
        matrix = SlicePlan.of(examination).index_to_head[:3, :3]
        for column, (axis, sign) in enumerate(
            zip(along[examination.plane], signs[examination.plane], strict=True)
        ):
            direction = matrix[:, column] / np.linalg.norm(matrix[:, column])
            assert direction[axis] == pytest.approx(sign, abs=1e-6)
    assert found == set(along)


def test_the_same_seed_draws_the_same_and_another_another():
    def draw(seed: int):
        rng = np.random.default_rng(seed)
        item = hospital("inside-06-united-imaging-3t")
        examination = item.draw_examination(rng)
        return (
            examination,
            item.draw_protocol("T1w", rng),
            item.draw_acquisition("T1w", rng, examination),
        )

    assert draw(3) == draw(3) and draw(3) != draw(4)


def test_all_images_of_an_examination_come_from_one_coil():
    rng = np.random.default_rng(0)
    item = hospital("inside-06-united-imaging-3t")
    coils = set()
    for _ in range(3):
        examination = item.draw_examination(rng)
        images = [item.draw_acquisition(name, rng, examination) for name in ("T1w", "CE-T1w")]
        assert {(image.bias, image.surface) for image in images} == {examination.coil}
        assert images[0].transmit != images[1].transmit
        coils.add(examination.coil)
    assert len(coils) == 3


def test_only_images_that_may_have_moved_are_displaced():
    rng = np.random.default_rng(0)
    item = hospital("outside-10-ge-1.5t")
    still = [item.draw_acquisition("T2w", rng) for _ in range(30)]
    moved = [item.draw_acquisition("T2w", rng, moved=True) for _ in range(30)]
    assert all(a.shift_mm == (0, 0) and not a.rotation_deg and not a.swallow_mm for a in still)
    assert sum(a.shift_mm != (0, 0) for a in moved) > 10
    assert all(np.hypot(*a.shift_mm) < 4 and abs(a.rotation_deg) < 5 for a in moved)


def test_an_unknown_hospital_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'inside-3-philips'.*inside-03-philips-3t") as raised:
        hospital("inside-3-philips")
    assert "\n" not in str(raised.value)


def test_the_tables_load_without_torch():
    code = (
        "import sys, MRISynthLib.simulation.hospitals, MRISynthLib.simulation.benchmark;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Benchmark v1


def test_the_benchmark_is_what_it_was():
    assert benchmark.VERSION == "v1"
    assert benchmark.definition_hash() == DEFINITION


def test_twenty_six_sets_one_for_every_hospital_with_all_conditions_on_both_sides():
    sets = benchmark.benchmark_sets()
    assert [item.hospital for item in sets] == [item.name for item in HOSPITALS]
    assert sum(item.inside for item in sets) == 13
    for inside in (True, False):
        cases = [case for item in sets if item.inside == inside for case in item.cases]
        assert len(cases) == 52
        assert {case.stage for case in cases} == {*STAGES, *VARIANTS}
        assert sum(case.stage in STAGES for case in cases) == 39
    seeds = [case.seed for item in sets for case in item.cases]
    assert len(set(seeds)) == 104
    assert {case.anatomy for item in sets for case in item.cases} == {"procedural"}


def test_no_seed_of_the_benchmark_can_be_asked_for_elsewhere():
    for item in benchmark.benchmark_sets(cases=100):
        for case in item.cases:
            with pytest.raises(InputError, match="benchmark"):
                benchmark.refuse_reserved(case.seed)
    for seed in (0, 2026, 499_999, 10**9, 2**48 - 1):
        benchmark.refuse_reserved(seed)
    with pytest.raises(InputError, match="seed -1"):
        benchmark.refuse_reserved(-1)


def test_a_smaller_or_larger_set_holds_the_same_first_cases():
    whole = benchmark.benchmark_set("inside-04-ge-1.5t")
    assert benchmark.benchmark_set(whole.name, 2).cases == whole.cases[:2]
    assert benchmark.benchmark_set(whole.name, 9).cases[:4] == whole.cases


def test_a_changed_hospital_changes_the_definition(monkeypatch):
    changed = replace(HOSPITALS[5], dose=(0.7, 1.1))
    altered = (*HOSPITALS[:5], changed, *HOSPITALS[6:])
    monkeypatch.setattr(benchmark, "HOSPITALS", altered)
    assert benchmark.definition_hash() != DEFINITION


@pytest.fixture(scope="module")
def sample():
    """Anatomy of the sample that is rendered, made once."""
    return benchmark._sample_anatomy()


@pytest.fixture
def rendered(sample, monkeypatch):
    """A function that gives the hash of the rendering anew, of any anatomy."""

    def compute(anatomy=sample) -> str:
        monkeypatch.setattr(benchmark, "_sample_anatomy", lambda: anatomy)
        benchmark.rendering_hash.cache_clear()
        return benchmark.rendering_hash()

    yield compute
    benchmark.rendering_hash.cache_clear()


def test_patients_are_drawn_and_rendered_as_they_were(rendered):
    assert rendered() == RENDERING


def test_the_hash_of_the_rendering_changes_with_what_is_rendered_and_not_with_threads(
    sample, rendered, monkeypatch
):
    import torch

    before, threads = rendered(), torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert rendered() == before
    finally:
        torch.set_num_threads(threads)
    tissue = sample.tissue.copy()
    tissue[sample.mask("GTVp")] = TISSUE_INDEX["muscle"]
    assert rendered(replace(sample, tissue=tissue)) != before
    first = HOSPITALS[0]
    doubled = replace(first, dose=(2 * first.dose[0], 2 * first.dose[1]))
    monkeypatch.setattr(benchmark, "HOSPITALS", (doubled, *HOSPITALS[1:]))
    assert rendered() != before
