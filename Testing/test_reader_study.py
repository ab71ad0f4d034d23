"""A blinded test of readers: its plan, its file, its images and its result."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from MRISynthLib import io
from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.reader_study.answers import (
    REASONS,
    UNDECIDED,
    Answer,
    Study,
    check_same_cases,
    load_study,
    save_study,
)
from MRISynthLib.reader_study.images import WHITE, StudyCase, pairs_among, patient_pairs
from MRISynthLib.reader_study.images import patient_folders as folders_of
from MRISynthLib.reader_study.plan import REAL, SYNTHETIC, Question, make_plan
from MRISynthLib.reader_study.scoring import (
    Share,
    result_rows,
    save_table,
    score,
    table_csv,
    verdict,
    wilson_interval,
)
from MRISynthLib.reader_study.session import StudySession
from MRISynthLib.views import provenance_lines
from MRISynthLib.volume import Volume, matrix_from_parts

SLICES = {"p1": range(20), "p2": range(5, 30), "p3": (2, 3)}


# ---------------------------------------------------------------- plan


@pytest.mark.parametrize("count", [1, 2, 9, 20, 47])
def test_half_is_real_every_case_comes_and_no_slice_comes_twice(count):
    plan = make_plan(SLICES, count, seed=4)
    assert len(plan) == count
    assert len({(q.case, q.slice) for q in plan}) == count
    assert all(q.slice in SLICES[q.case] for q in plan)
    truths = Counter(q.truth for q in plan)
    assert abs(truths[REAL] - truths[SYNTHETIC]) == count % 2
    drawn = Counter(q.case for q in plan)
    if count >= 3:
        assert set(drawn) == set(SLICES)
    if count == 9:
        assert drawn["p3"] == 2 and abs(drawn["p1"] - drawn["p2"]) <= 1


def test_the_same_seed_gives_the_same_plan_everywhere_and_another_another():
    plan = make_plan(SLICES, 6, seed=1)
    assert plan == make_plan({key: list(SLICES[key])[::-1] for key in reversed(SLICES)}, 6, 1)
    assert plan != make_plan(SLICES, 6, seed=2)
    # written down: a study begun on another machine or with another Python goes on as it began
    assert plan == tuple(Question(*entry) for entry in WRITTEN)


WRITTEN = [
    ("p3", 2, REAL),
    ("p1", 6, SYNTHETIC),
    ("p1", 9, REAL),
    ("p2", 21, REAL),
    ("p2", 5, SYNTHETIC),
    ("p3", 3, SYNTHETIC),
]


def test_order_is_not_by_case_and_truth_not_by_order():
    plans = [make_plan(SLICES, 20, seed) for seed in range(40)]
    first = Counter(plan[0].truth for plan in plans)
    assert min(first.values()) > 8
    assert len({plan[0].case for plan in plans}) == 3
    for plan in plans:
        for case in SLICES:
            truths = Counter(q.truth for q in plan if q.case == case)
            assert abs(truths[REAL] - truths[SYNTHETIC]) <= 1


def test_too_many_questions_are_refused_with_the_number_that_works():
    with pytest.raises(InputError, match="47 slices"):
        make_plan(SLICES, 48, 0)
    with pytest.raises(InputError, match="at least one"):
        make_plan(SLICES, 0, 0)


# ---------------------------------------------------------------- file


def a_study(**changes):
    values = {"seed": 4, "count": 3, "cases": {"p1": "aa"}, "reader": "Dr. 增强", **changes}
    return Study(**values)


def test_a_study_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "study.json"
    study = a_study().with_answer(
        Answer(SYNTHETIC, 4, 7.25, reasons=REASONS[:2], comment='odd; "fat"')
    )
    save_study(study, path)
    assert load_study(path) == study and not load_study(path).over
    study = load_study(path).with_answer(Answer(UNDECIDED, 0, 2.0))
    save_study(study, path)
    assert load_study(path).answers == study.answers
    assert list(tmp_path.iterdir()) == [path]
    done = study.with_answer(Answer(REAL, 1, 1.0))
    assert done.over
    with pytest.raises(ValueError):
        done.with_answer(Answer(REAL, 1, 1.0))
    assert study.ended().over and not study.over


def test_the_file_does_not_give_the_key_away(tmp_path):
    path = tmp_path / "study.json"
    plan = make_plan(SLICES, 12, seed=4)
    save_study(a_study(count=12, cases=dict.fromkeys(SLICES, "00")), path)
    text = path.read_text(encoding="utf-8")
    assert REAL not in text and SYNTHETIC not in text
    answered = a_study(count=12, cases=dict.fromkeys(SLICES, "00"))
    for question in plan:
        answered = answered.with_answer(Answer(question.truth, 1, 1.0))
    wrong = a_study(count=12, cases=dict.fromkeys(SLICES, "00"))
    for question in plan:
        lie = REAL if question.truth == SYNTHETIC else SYNTHETIC
        wrong = wrong.with_answer(Answer(lie, 1, 1.0))
    save_study(answered, path)
    right_text = path.read_text(encoding="utf-8")
    save_study(wrong, path)
    # nothing but the answers themselves tells the right ones from the wrong ones
    swapped = right_text.replace(REAL, "#").replace(SYNTHETIC, REAL).replace("#", SYNTHETIC)
    assert path.read_text(encoding="utf-8") == swapped


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": "MRISynth reader study 1"}', "{\xff"]
)
def test_other_files_are_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"notes\.json .* file of a reader study"):
        load_study(path)
    assert path.read_bytes() == text.encode("latin-1")


def test_a_file_with_a_made_up_answer_is_refused(tmp_path):
    path = tmp_path / "study.json"
    save_study(a_study().with_answer(Answer(REAL, 1, 1.0)), path)
    values = json.loads(path.read_text(encoding="utf-8"))
    for key, value in (("answer", "maybe"), ("confidence", 9), ("unknown", 1)):
        broken = {**values, "answers": [{**values["answers"][0], key: value}]}
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(InputError):
            load_study(path)
    with pytest.raises(InputError):
        load_study(tmp_path / "not there.json")
    with pytest.raises(OutputError):
        save_study(a_study(), tmp_path / "no folder" / "study.json")


def test_other_images_than_at_the_start_are_noticed():
    study = a_study(cases={"p1": "aa", "p2": "bb"})
    check_same_cases(study, {"p2": "bb", "p1": "aa"})
    for cases, name in (({"p1": "aa"}, "p2"), ({"p1": "aa", "p2": "xx"}, "p2"),
                        ({"p1": "aa", "p2": "bb", "p3": "cc"}, "p3")):  # fmt: skip
        with pytest.raises(InputError, match=name):
            check_same_cases(study, cases)


# ---------------------------------------------------------------- result


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (0, 20), (7, 20), (13, 24), (20, 20), (1, 2)])
def test_the_interval_is_wilsons(hits, of):
    from scipy.stats import binomtest

    expected = binomtest(hits, of).proportion_ci(method="wilson")
    assert wilson_interval(hits, of) == pytest.approx((expected.low, expected.high), abs=1e-12)


PLAN = tuple(
    Question("p1", index, truth)
    for index, truth in enumerate([REAL, SYNTHETIC, REAL, SYNTHETIC, SYNTHETIC, REAL])
)


def answered():
    study = a_study(count=6)
    for answer, confidence, seconds in (
        (REAL, 5, 4.0), (SYNTHETIC, 3, 6.0), (SYNTHETIC, 1, 20.0), (UNDECIDED, 0, 30.0),
        (SYNTHETIC, 2, 5.0),
    ):  # fmt: skip
        study = study.with_answer(Answer(answer, confidence, seconds, ("Anatomy", "Background")))
    return study


def test_the_result_counts_what_was_told():
    found = score(answered(), PLAN)
    assert found.accuracy == Share(3, 4)
    assert found.sensitivity == Share(2, 2)
    assert found.specificity == Share(1, 2)
    assert (found.undecided, found.unanswered, found.median_seconds) == (1, 1, 6.0)
    rows = dict(result_rows(found))
    assert rows["Right answers"] == "3/4 = 75% (30% to 95%)"
    assert rows["Cannot tell"] == "1" and rows["Median time for an image"] == "6.0 s"
    assert "do not show" in verdict(found)


def test_a_study_without_answers_has_a_result_too():
    found = score(a_study(count=6), PLAN)
    assert found.accuracy.value is None and found.median_seconds is None
    assert dict(result_rows(found))["Right answers"] == "none"
    assert "no answer" in verdict(found)
    assert "accuracy,0,0,,," in table_csv(a_study(count=6), PLAN)


@pytest.mark.parametrize(
    ("right", "words"), [(19, "better than"), (10, "do not show"), (1, "mixed up")]
)
def test_the_verdict_follows_the_interval(right, words):
    plan = [Question("p", n, REAL) for n in range(20)]
    study = a_study(count=20)
    for n in range(20):
        study = study.with_answer(Answer(REAL if n < right else SYNTHETIC, 1, 1.0))
    assert words in verdict(score(study, plan))


def test_the_table_has_every_answer_with_its_truth(tmp_path):
    path = tmp_path / "table.csv"
    save_table(answered(), PLAN, path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[1] == "accuracy,3,4,0.7500,0.3006,0.9544"
    assert lines[4:6] == ["cannot tell,1,5", "not shown,1,6"]
    assert lines[8] == "1,p1,1,real,real,yes,5,certain,4.0,Anatomy; Background,,Dr. 增强"
    assert lines[10].startswith("3,p1,3,real,synthetic,no,1,a guess,20.0")
    assert lines[11].startswith("4,p1,4,synthetic,cannot tell,,,,30.0")
    assert len(lines) == 13


# ---------------------------------------------------------------- images


@pytest.fixture
def pair():
    """A scan with noise around it and a synthetic image with none, in other units."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :40] - 19.5
    sizes = np.array([4, 12, 15, 15, 12, 2.0])
    head = (rows**2 + columns**2)[None] < sizes[:, None, None] ** 2
    anatomy = np.where(head, rng.uniform(300, 900, head.shape), 0)
    noise = np.abs(rng.normal(0, 20, head.shape))
    matrix = matrix_from_parts((1, 1, 5), None, (7, 8, 9))
    real = Volume((anatomy + noise).astype(np.int16), matrix, sequence="T2w", name="series 5")
    synthetic = Volume(
        (anatomy * 1.7).astype(np.float32),
        matrix,
        sequence="T2w",
        name="T2w",
        provenance=Provenance(synthetic=True, sequence="T2w", bundle="a model"),
    )
    return real, synthetic


def test_nothing_but_the_picture_differs(pair):
    case = StudyCase("p1", *pair)
    real, synthetic = (case.image(truth, 2) for truth in (REAL, SYNTHETIC))
    assert real.name == synthetic.name and real.voxels.dtype == synthetic.voxels.dtype
    assert real.provenance == synthetic.provenance and real.sequence is synthetic.sequence is None
    assert not real.acquisition and not synthetic.acquisition
    assert real.same_geometry(synthetic) and real.shape == (1, 40, 40)
    assert provenance_lines(real.provenance) == provenance_lines(synthetic.provenance)
    assert "a model" not in str(provenance_lines(real.provenance))
    # the network's empty background is the scan's too, and black and white follow one rule
    assert (real.voxels[0, 0] == 0).all() and (synthetic.voxels[0, 0] == 0).all()
    assert np.abs(real.voxels.astype(int) - synthetic.voxels).max() < 0.15 * WHITE
    assert synthetic.voxels.max() > 0.9 * WHITE
    # where it lies in the patient
    assert real.index_to_world[:3, 3] == pytest.approx((7, 8, 19))


def test_only_slices_with_patient_are_shown(pair):
    assert StudyCase("p1", *pair).slices == (1, 2, 3, 4)


def test_a_real_image_on_another_grid_is_brought_to_the_synthetic_one(pair):
    real, synthetic = pair
    half = matrix_from_parts((2, 2, 5), None, (7.5, 8.5, 9))
    coarse = real.voxels.reshape(6, 20, 2, 20, 2).mean(axis=(2, 4))
    case = StudyCase("p1", Volume(coarse[:4], half, sequence="T2w"), synthetic)
    assert case.resampled and not StudyCase("p1", *pair).resampled
    assert case.image(REAL, 2).same_geometry(case.image(SYNTHETIC, 2))
    assert case.slices == (1, 2, 3)  # the real image ends there
    assert not case.image(SYNTHETIC, 4).voxels.any()


def test_images_without_a_slice_in_common_are_refused(pair):
    real, synthetic = pair
    away = real.replace(index_to_world=matrix_from_parts((1, 1, 5), None, (999, 0, 0)))
    with pytest.raises(InputError, match="no slice in common"):
        StudyCase("p1", away, synthetic)


def test_the_content_changes_with_either_image(pair):
    real, synthetic = pair
    voxels = real.voxels.copy()
    voxels[2, 20, 20] += 50
    same, other = StudyCase("p", *pair), StudyCase("p", real.with_voxels(voxels), synthetic)
    assert same.content == StudyCase("q", *pair).content != other.content


def test_cases_are_pairs_of_one_sequence(pair):
    real, synthetic = pair
    uncertainty = synthetic.replace(
        provenance=Provenance(synthetic=True, kind="uncertainty", sequence="T2w")
    )
    alone = synthetic.replace(
        sequence="STIR", provenance=Provenance(synthetic=True, sequence="STIR")
    )
    found = pairs_among([synthetic, uncertainty, alone, synthetic, real], "p7")
    assert [case.key for case in found] == ["p7 T2w", "p7 T2w #2"]


def test_folders_of_patients_are_read(tmp_path, pair):
    real, synthetic = pair
    for name in ("p1", "p2"):
        (tmp_path / name).mkdir()
        io.save(real, tmp_path / name / "T2w.nii.gz")
        io.save(synthetic, tmp_path / name / "made.nii.gz")
    (tmp_path / "p3").mkdir()  # of another program: known by its name, and the other by elimination
    io.save(real.replace(sequence=None), tmp_path / "p3" / "scan.nrrd")
    io.save(synthetic.replace(sequence=None, provenance=None), tmp_path / "p3/fake_scan.nrrd")
    (tmp_path / "p4").mkdir()
    io.save(real, tmp_path / "p4" / "T2w.nii.gz")
    folders = folders_of(tmp_path)
    assert [folder.name for folder in folders] == ["p1", "p2", "p3", "p4"]
    cases = [case for folder in folders for case in patient_pairs(folder)]
    assert [case.key for case in cases] == ["p1 T2w", "p2 T2w", "p3 MR"]
    assert cases[0].case().image(REAL, 2).voxels.max() > 0
    assert folders_of(tmp_path / "p1") == [tmp_path / "p1"]
    with pytest.raises(InputError, match="not a folder"):
        folders_of(tmp_path / "nothing")


# ---------------------------------------------------------------- from question to question


def test_a_session_goes_from_image_to_image_and_on_after_a_break(tmp_path, pair):
    path = tmp_path / "study.json"
    cases = [StudyCase("p1", *pair), StudyCase("p2", *pair)]
    session = StudySession(cases, path, count=4, seed=9, reader="A")
    assert not session.resumed and session.number == 1 and path.exists()
    seen = [session.image().voxels]
    session.answer(Answer(REAL, 2, 3.0))
    with pytest.raises(ValueError, match="not over"):
        session.score()
    # another day; what the panel is set to does not matter any more
    again = StudySession(cases[::-1], path, count=8, seed=1, reader="B")
    assert again.resumed and again.number == 2 and again.study.reader == "A"
    assert not np.array_equal(again.image().voxels, seen[0])
    for _ in range(3):
        again.answer(Answer(UNDECIDED, 0, 1.0))
    assert again.image() is None and again.study.over
    assert again.score().undecided == 3 and again.score().accuracy.of == 1
    again.save_table(tmp_path / "table.csv")
    assert "p1" in (tmp_path / "table.csv").read_text(encoding="utf-8-sig")
    assert StudySession(cases, path, count=1, seed=1).image() is None


def test_what_cannot_be_written_is_not_lost(tmp_path, pair):
    folder = tmp_path / "gone"
    folder.mkdir()
    session = StudySession([StudyCase("p1", *pair)], folder / "study.json", count=2, seed=0)
    shown = session.image().voxels
    (folder / "study.json").unlink()
    folder.rmdir()
    with pytest.raises(OutputError):
        session.answer(Answer(REAL, 1, 1.0))
    assert session.number == 1 and np.array_equal(session.image().voxels, shown)
    folder.mkdir()
    session.answer(Answer(REAL, 1, 1.0))
    session.end()
    assert session.score().unanswered == 1
    assert StudySession([StudyCase("p1", *pair)], session.path, count=2, seed=0).study.over


def test_a_session_needs_pairs_and_its_own_images(tmp_path, pair):
    path = tmp_path / "study.json"
    with pytest.raises(InputError, match="no synthetic image with the real one"):
        StudySession([], path, count=2, seed=0)
    with pytest.raises(InputError, match="slices"):
        StudySession([StudyCase("p1", *pair)], path, count=99, seed=0)
    assert not path.exists()
    StudySession([StudyCase("p1", *pair)], path, count=2, seed=0)
    with pytest.raises(InputError, match="p2"):
        StudySession([StudyCase("p2", *pair)], path, count=2, seed=0)
