"""Mapping files of label maps: whatever is wrong in one is said by its field."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from MRISynthLib.errors import InputError
from MRISynthLib.simulation.label_maps import LabelMapSource

MAPPING = {
    "tissues": {"fat": [1], "skin": [2]},
    "soft_tissue": [3],
    "skin": [2],
    "bone": [4],
    "muscles": {"masseter": [5]},
    "structures": {"Brain": [6], "Eye": [7]},
    "cerebrum": {"L": [8], "R": [9]},
    "temporal": {"L": [10], "R": [11]},
    "landmarks": {"6": [0, 26, -20], "7L": [31, -61, 0], "7R": [-31, -61.5, 0]},
}


def test_a_good_mapping_is_read(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "mapping.json").write_text(json.dumps(MAPPING))
    assert LabelMapSource(tmp_path).mapping == MAPPING


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_what_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "mapping.json").write_text(text)
    with pytest.raises(InputError, match="not usable"):
        LabelMapSource(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tissues": {"granite": [1]}}, "unknown tissue 'granite'"),
        ({"structures": {"Tail": [1]}}, "unknown structure 'Tail'"),
        ({"soft_tissue": [99999]}, "'soft_tissue' has .*from 1 to 4095"),
        ({"tissues": {"fat": "507"}}, "'tissues: fat' has '507', no list of labels"),
        ({"structures": ["Brain"]}, "'structures' must be an object"),
        ({"tissues": [["fat"]]}, "'tissues' must be an object"),
        ({"tissues": None}, "'tissues' must be an object"),
        ({"tissues": {"fat": [True]}}, "'tissues: fat' has .*no list of labels"),
        ({"muscles": [55]}, "'muscles' must be an object"),
        ({"muscles": {"masseter": 55}}, "'muscles: masseter' has 55, no list of labels"),
        ({"skin": 5}, "'skin' has 5, no list of labels"),
        ({"skin": [9999]}, "'skin' has .*from 1 to 4095"),
        ({"cerebrum": [2, 41]}, "'cerebrum' must be an object"),
        ({"cerebrum": {"L": [2]}}, "'cerebrum' must name the labels of both sides, L and R"),
        ({"temporal": {"L": [17], "R": [53], "M": [1]}}, "'temporal' must name .* both sides"),
        ({"temporal": {"L": [17], "R": 53}}, "'temporal: R' has 53, no list of labels"),
        ({"landmarks": [[0, 26, -20]]}, "'landmarks' must be an object"),
        ({"landmarks": {"nose": [0, 26, -20]}}, "landmark 'nose' is no label"),
        ({"landmarks": {"506LR": [0, 26, -20]}}, "landmark '506LR' is no label"),
        ({"landmarks": {"16": [0, 26]}}, "landmark '16' has .*three positions"),
        ({"landmarks": {"16": [0, 26, float("nan")]}}, "landmark '16' has .*three positions"),
        ({"landmarks": {"16": ["0", "26", "-20"]}}, "landmark '16' has .*three positions"),
    ],
)
def test_a_malformed_mapping_is_refused_by_its_field(tmp_path, change, says):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "mapping.json").write_text(json.dumps({**MAPPING, **change}))
    with pytest.raises(InputError, match=rf"mapping\.json is not usable: .*{says}") as caught:
        LabelMapSource(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_map_without_labels_is_refused(tmp_path):
    (tmp_path / "mapping.json").write_text(json.dumps(MAPPING))
    nothing = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    nibabel.save(nothing, tmp_path / "empty.nii.gz")
    with pytest.raises(InputError, match=r"empty\.nii\.gz holds no label but 0"):
        LabelMapSource(tmp_path).head(0)
