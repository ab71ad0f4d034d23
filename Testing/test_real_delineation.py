"""What is told of delineation on real heads, where there is no manual truth."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.segmentation import Segmentation

SHAPE = (12, 40, 60)
MATRIX = matrix_from_parts((2.0, 2.0, 4.0))  # columns run to the patient's left
LARGE = {"Brain": ((2, 12), (0, 40), (0, 60)), "Brainstem": ((2, 8), (10, 20), (25, 35))}
EYES = {"Eye_L": ((4, 8), (5, 12), (40, 53)), "Eye_R": ((4, 8), (5, 12), (7, 20))}


@pytest.fixture(scope="module")
def benchmark():
    """The script, which imports its neighbours by their names."""
    folder = str(Path(__file__).parent / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import real_delineation
    finally:
        sys.path.remove(folder)
    return real_delineation


def _found(boxes, flipped: bool = False) -> Segmentation:
    matrix = MATRIX.copy()
    if flipped:  # the same voxels with columns to the patient's right
        matrix[:3, 0] *= -1
    masks = {}
    for name, sides in boxes.items():
        masks[name] = np.zeros(SHAPE, bool)
        masks[name][tuple(slice(*side) for side in sides)] = True
    voxels = np.random.default_rng(0).uniform(10, 100, SHAPE).astype(np.float32)
    return Segmentation(masks, Volume(voxels, matrix, "T1w", "T1w"))


def test_what_is_missing_swapped_out_of_range_or_a_tumour_is_told(benchmark):
    scan = benchmark.Scan("", ("Brain", "Brainstem", "Eye_L", "Eye_R", "Elbow"), ("SpinalCord",))
    nothing = {"SpinalCord": ((0, 0), (0, 0), (0, 0)), "GTVp": ((0, 1), (0, 5), (0, 5))}
    result = benchmark.judged("head", "T1w", scan, _found({**LARGE, **EYES, **nothing}, True))
    assert result.missing == ("SpinalCord",)  # the model does not know an elbow
    assert result.swapped == ("Eye",)
    assert result.odd == {"Brain": pytest.approx(384)}  # nobody says how large a brainstem is
    assert result.tumour == {"GTVp": pytest.approx(0.4)}
    assert result.counts == (5, 1, 3)
    right = benchmark.judged("head", "T1w", scan, _found({**LARGE, **EYES}))
    assert right.swapped == () and right.tumour == {} and right.volumes["Eye_L"] < 8.4


def test_what_lies_outside_the_body_is_told(benchmark):
    found = _found(
        {"Brain": ((2, 10), (4, 36), (4, 56)), "Bone_Mandible": ((10, 12), (0, 40), (0, 60))}
    )
    body = np.where(found.masks["Brain"], found.reference.voxels + 400, 0).astype(np.float32)
    image = found.reference.replace(voxels=body)
    outside = benchmark.outside_of_body(Segmentation(found.masks, image))
    assert list(outside) == ["Bone_Mandible"] and outside["Bone_Mandible"] > 10


def test_the_tables_count_what_was_found(benchmark):
    scan = benchmark.Scan("", ("Brain", "Eye_L", "Eye_R"))
    results = [
        benchmark.judged(name, "T1w", scan, _found(EYES, flipped))
        for name, flipped in (("one", False), ("two", True))
    ]
    agreed = {"mr_adi": {"Eye_L": 0.9, "Brain": 0.8}, "openms patient01": {"Eye_L": 0.7}}
    text = benchmark.markdown(results, agreed, ["three, a.nii.gz is not here"])
    assert "- skipped: three, a.nii.gz is not here" in text
    assert "| one | T1w | 2 of 2 |  | 1 of 1 | 2 of 2 |  |  |  |" in text
    assert "| two | T1w | 2 of 2 |  | 0 of 1 (Eye) |" in text
    # the face of the second was taken away
    assert "Mean 0.800, lowest 0.700." in text and "mean 0.850, lowest 0.800." in text
    assert "- pairs with sides right: 1 of 2" in text and "no tumour found: 2 of 2" in text


def test_results_are_compared_where_both_images_have_voxels(benchmark, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(
        benchmark, "register", lambda moving, fixed: SimpleNamespace(matrix=np.eye(4))
    )
    whole = _found({**LARGE, **EYES})
    upper = {name: mask[4:] for name, mask in whole.masks.items()}
    matrix = MATRIX.copy()
    matrix[2, 3] = 16.0
    image = Volume(whole.reference.voxels[4:], matrix, "T2w", "T2w")
    agreed = benchmark.agreement(whole, Segmentation(upper, image))
    assert set(agreed) == set(benchmark.COMPARED) and min(agreed.values()) == 1


def test_the_lists_name_structures_that_there_are(benchmark):
    known = set(LABELLED_STRUCTURES)
    for scans in benchmark.HEADS.values():
        for scan in scans.values():
            assert set(scan.visible) <= known and not set(scan.whole) & set(scan.part)
    plain = {benchmark.plain(name) for name in known}
    assert set(benchmark.RANGES) <= plain
    assert all(0 < known.low < known.high for known in benchmark.RANGES.values())


def test_without_the_scans_it_says_what_is_not_there(benchmark, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["real_delineation", str(tmp_path)])
    assert benchmark.main() == 0
    assert "skipped: mr_adi, mr_adi/T1w.nii.gz is not here" in capsys.readouterr().out
