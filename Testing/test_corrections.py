"""Taking corrections back, and what survives when structures are drawn anew."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import boxes_of_voxels
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthSegmentLib import corrections
from MRISynthSegmentLib.click_maps import Click
from MRISynthSegmentLib.corrections import CorrectionHistory, corrected, merged, taken_from
from MRISynthSegmentLib.origins import algorithm_types, origins_to_write
from MRISynthSegmentLib.segmentation import Segmentation

REFERENCE = Volume(np.zeros((4, 12, 10), np.float32), np.eye(4), "T1w", "scan")
OLD = Provenance(
    True, "segmentation", inputs=({"sequence": "CE-T1w", "name": "m", "synthetic": True},),
    bundle="first", warnings=("Of old.",),
)  # fmt: skip
NEW = Provenance(
    False, "segmentation", inputs=({"sequence": "T1w", "name": "a", "synthetic": False},),
    bundle="second",
)  # fmt: skip


def box(*sides):
    return boxes_of_voxels.box(REFERENCE.shape, *sides)


TUMOUR, CORD = box((1, 3), (2, 6), (2, 6)), box((0, 4), (8, 11), (4, 6))
GROWN, SHRUNK = box((1, 3), (2, 8), (2, 6)), box((1, 3), (2, 8), (2, 4))
ADD, REMOVE = Click((3.0, 7.0, 2.0), True), Click((5.0, 4.0, 2.0), False)


def segmentation(provenance=OLD, **masks):
    doubt = {name: 0.2 for name in masks}
    said = ("Old run.",) if provenance is OLD else ("New run.",)
    return Segmentation(masks, REFERENCE, provenance, said, doubt)


@pytest.fixture
def history():
    made = CorrectionHistory()
    made.record("GTVp", ADD, {"GTVp": TUMOUR}, {"GTVp": GROWN})
    made.record("GTVp", REMOVE, {"GTVp": GROWN}, {"GTVp": SHRUNK})
    return made


# ------------------------------------------------------------------------------ undoing


def test_steps_are_taken_back_and_made_again_voxel_by_voxel(history):
    masks = {"GTVp": SHRUNK, "SpinalCord": CORD}
    first = history.undo(masks)
    assert first.keys() == {"GTVp"} and np.array_equal(first["GTVp"], GROWN)
    second = history.undo(first)
    assert np.array_equal(second["GTVp"], TUMOUR)
    assert not history.can_undo and history.undo(second) == {}
    again = history.redo(second)
    assert np.array_equal(again["GTVp"], GROWN)
    assert np.array_equal(history.redo(again)["GTVp"], SHRUNK)
    assert not history.can_redo and history.redo(again) == {}


def test_clicks_are_those_that_hold(history):
    assert history.clicks("GTVp") == (ADD, REMOVE) and history.clicks("SpinalCord") == ()
    history.undo({"GTVp": SHRUNK})
    assert history.clicks("GTVp") == (ADD,) and history.edited == ("GTVp",)
    history.redo({"GTVp": GROWN})
    assert history.clicks("GTVp") == (ADD, REMOVE)


def test_a_new_step_ends_what_can_be_made_again(history):
    history.undo({"GTVp": SHRUNK})
    history.record("GTVp", ADD, {"GTVp": GROWN}, {"GTVp": TUMOUR})
    assert not history.can_redo and history.clicks("GTVp") == (ADD, ADD)


def test_undoing_leaves_alone_what_was_drawn_elsewhere_meanwhile(history):
    drawn = SHRUNK | box((0, 1), (0, 2), (8, 10))
    back = history.undo({"GTVp": drawn})["GTVp"]
    assert np.array_equal(back, GROWN | drawn)


def test_one_step_may_change_several_structures():
    made = CorrectionHistory()
    before = {"GTVp": TUMOUR, "SpinalCord": CORD}
    after = {"GTVp": TUMOUR | box((1, 2), (6, 10), (4, 6))}
    after["SpinalCord"] = CORD & ~after["GTVp"]
    made.record("GTVp", ADD, before, after)
    back = made.undo(after)
    assert all(np.array_equal(back[name], mask) for name, mask in before.items())
    assert made.edited == ()


def test_masks_given_are_not_changed(history):
    mask = SHRUNK.copy()
    history.undo({"GTVp": mask})
    assert np.array_equal(mask, SHRUNK)


def test_old_steps_are_let_go_but_their_clicks_count(monkeypatch, history):
    monkeypatch.setattr(corrections, "STEPS_KEPT", 2)
    history.record("GTVp", None, {"GTVp": SHRUNK}, {"GTVp": TUMOUR})  # by other means
    assert history.clicks("GTVp") == (ADD, REMOVE)
    history.undo({"GTVp": TUMOUR})
    history.undo({"GTVp": SHRUNK})
    assert not history.can_undo and history.clicks("GTVp") == (ADD,)


def test_a_structure_drawn_anew_has_no_history(history):
    history.record("SpinalCord", ADD, {"SpinalCord": CORD}, {"SpinalCord": CORD | TUMOUR})
    history.forget(["GTVp"])
    assert history.clicks("GTVp") == () and history.edited == ("SpinalCord",)
    assert history.undo({"SpinalCord": CORD | TUMOUR}).keys() == {"SpinalCord"}
    assert not history.can_undo


# ---------------------------------------------------------------------------- exclusive


def test_others_lose_only_what_was_added():
    grown = TUMOUR | box((1, 2), (6, 10), (4, 6))
    found = taken_from({"SpinalCord": CORD, "Brain": box((3, 4), (0, 2), (0, 2))}, TUMOUR, grown)
    assert found.keys() == {"SpinalCord"}
    assert np.array_equal(found["SpinalCord"], CORD & ~grown)
    overlapping = taken_from({"Brain": TUMOUR}, TUMOUR, GROWN)
    assert overlapping == {}  # it overlapped before; the correction did not touch that
    assert taken_from({"SpinalCord": CORD}, grown, TUMOUR) == {}


# -------------------------------------------------------------------------- corrections


def test_a_corrected_structure_says_that_a_hand_was_in_it():
    found = corrected(
        segmentation(GTVp=TUMOUR, SpinalCord=CORD), {"GTVp": GROWN}, "GTVp was corrected."
    )
    assert np.array_equal(found.masks["GTVp"], GROWN)
    assert algorithm_types(found) == {"GTVp": "SEMIAUTOMATIC", "SpinalCord": "AUTOMATIC"}
    assert origins_to_write(found)["GTVp"].algorithm.name == "first"
    assert dict(found.doubt) == {"SpinalCord": 0.2}
    assert found.warnings == ("Old run.", "GTVp was corrected.")


def test_a_structure_can_be_begun_by_a_correction():
    found = corrected(segmentation(SpinalCord=CORD), {"GTVp": TUMOUR})
    assert list(found.masks) == ["SpinalCord", "GTVp"]
    assert algorithm_types(found)["GTVp"] == "SEMIAUTOMATIC"


# ------------------------------------------------------------------------------- merging


def test_edited_structures_survive_a_run_of_everything():
    old = segmentation(GTVp=GROWN, SpinalCord=CORD)
    new = segmentation(NEW, GTVp=SHRUNK, SpinalCord=CORD & TUMOUR, Brain=TUMOUR)
    found = merged(old, new, edited=["GTVp"])
    assert list(found.masks) == ["GTVp", "SpinalCord", "Brain"]
    assert np.array_equal(found.masks["GTVp"], GROWN)
    assert np.array_equal(found.masks["SpinalCord"], new.masks["SpinalCord"])
    assert dict(found.doubt) == {"SpinalCord": 0.2, "Brain": 0.2}


def test_an_edited_structure_is_drawn_anew_only_if_it_is_named():
    old = segmentation(GTVp=GROWN, SpinalCord=CORD)
    new = segmentation(NEW, GTVp=SHRUNK, SpinalCord=CORD & TUMOUR)
    found = merged(old, new, rerun=["GTVp"], edited=["GTVp", "SpinalCord"])
    assert np.array_equal(found.masks["GTVp"], SHRUNK)
    assert np.array_equal(found.masks["SpinalCord"], CORD)


def test_each_structure_keeps_who_drew_it():
    old = segmentation(GTVp=GROWN, SpinalCord=CORD, Brain=TUMOUR)
    new = segmentation(NEW, SpinalCord=CORD)
    found = merged(old, new, edited=["GTVp"])
    drawn = origins_to_write(found)
    assert {name: origin.kind for name, origin in drawn.items()} == {
        "GTVp": "SEMIAUTOMATIC",
        "SpinalCord": "AUTOMATIC",
        "Brain": "AUTOMATIC",
    }
    models = {name: origin.algorithm.name for name, origin in drawn.items()}
    assert models == {"GTVp": "first", "SpinalCord": "second", "Brain": "first"}


def test_what_was_drawn_by_hand_alone_stays_so():
    found = merged(segmentation(None, Mine=TUMOUR), segmentation(NEW, GTVp=GROWN), edited=["Mine"])
    assert algorithm_types(found) == {"Mine": "MANUAL", "GTVp": "AUTOMATIC"}


def test_synthetic_inputs_and_warnings_are_not_forgotten():
    old = segmentation(GTVp=GROWN, SpinalCord=CORD)
    found = merged(old, segmentation(NEW, SpinalCord=CORD))
    assert found.provenance.synthetic and found.provenance.bundle == "second"
    assert [item["sequence"] for item in found.provenance.inputs] == ["T1w", "CE-T1w"]
    assert found.warnings == ("New run.", "Old run.")
    whole = merged(old, segmentation(NEW, GTVp=TUMOUR, SpinalCord=CORD))
    assert whole.provenance == NEW and whole.warnings == ("New run.",)


def test_contours_of_another_grid_are_not_merged():
    other = Volume(REFERENCE.voxels, np.diag([2.0, 2.0, 2.0, 1.0]), "T1w", "other")
    with pytest.raises(InputError, match=r"grid of other.*scan.*\.$"):
        merged(segmentation(GTVp=GROWN), Segmentation({"GTVp": TUMOUR}, other))


def test_corrections_need_no_torch():
    """They are used where only the scene is."""
    code = (
        "import sys, MRISynthSegmentLib.corrections, MRISynthSegmentLib.panel,"
        " MRISynthSegmentLib.task; print('torch' in sys.modules, 'slicer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
