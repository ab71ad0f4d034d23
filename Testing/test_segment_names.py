"""A segment that the user renames: it is the user's from then on, and means what its name says."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

import boxes_of_voxels

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.errors import InputError
from MRISynthLib.progress import finished
from MRISynthLib.provenance import Provenance
from MRISynthSegmentLib import exports
from MRISynthSegmentLib import mrml as segment_mrml
from MRISynthSegmentLib.exported import mrml as exported
from MRISynthSegmentLib.labelmaps.mrml import tag_of
from MRISynthSegmentLib.noted import mrml as noted
from MRISynthSegmentLib.origins import AUTOMATIC, SEMIAUTOMATIC
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structure_record import DRAWN_TAG
from MRISynthSegmentLib.structures import STRUCTURES
from MRISynthSegmentLib.terminology import TAG, terminology_tag

MADE = Provenance(False, "segmentation", inputs=({"sequence": "T1w"},), bundle="model")


@pytest.fixture(scope="module")
def headless():
    with HeadlessScene() as scene:
        yield scene


@pytest.fixture
def drawn(small_volume):
    """The model took one side for the other."""
    left = boxes_of_voxels.box(small_volume.shape, (3, 5), (3, 6), (18, 22))
    right = boxes_of_voxels.box(small_volume.shape, (3, 5), (3, 6), (2, 6))
    masks = {"Parotid_L": right, "Parotid_R": left, "Brain": left | right}
    return Segmentation(masks, small_volume, MADE, (), dict.fromkeys(masks, 0.1))


@pytest.fixture
def node(headless, drawn):
    reference = mrml.node_from_volume(drawn.reference, headless.scene)
    return segment_mrml.segmentation_node_from(drawn, reference, headless.scene)


def swap(node):
    content = node.GetSegmentation()
    content.GetSegment("Parotid_L").SetName("aside")
    noted.follow_names(node)
    content.GetSegment("Parotid_R").SetName("Parotid_L")
    content.GetSegment("Parotid_L").SetName("Parotid_R")
    noted.follow_names(node)


def meaning(node, segment_id):
    return tag_of(node.GetSegmentation().GetSegment(segment_id), TAG)


def test_two_names_that_were_swapped_stay_so_after_another_run(node, drawn):
    swap(node)
    assert segment_mrml.edited_structures(node) == ("Parotid_R", "Parotid_L")
    assert segment_mrml.update_segmentation_node(node, drawn) == ("Brain",)
    back = segment_mrml.segmentation_from_node(node, drawn.reference)
    assert np.array_equal(back.masks["Parotid_L"], drawn.masks["Parotid_R"])
    assert np.array_equal(back.masks["Parotid_R"], drawn.masks["Parotid_L"])
    assert back.doubt.keys() == {"Brain"}, "nobody knows the doubt of what was mistaken"
    types = segment_mrml.algorithm_types_of(node)
    assert types == {"Parotid_R": SEMIAUTOMATIC, "Parotid_L": SEMIAUTOMATIC, "Brain": AUTOMATIC}


def test_the_codes_follow_the_names(node):
    swap(node)
    assert meaning(node, "Parotid_L") == terminology_tag(STRUCTURES["Parotid_R"])
    assert meaning(node, "Parotid_R") == terminology_tag(STRUCTURES["Parotid_L"])
    segment = node.GetSegmentation().GetSegment("Parotid_L")
    for name, known in (("Parotid PRV", None), ("Lt Parotid", "Parotid_L"), ("brain", "Brain")):
        segment.SetName(name)
        noted.follow_names(node)
        told = meaning(node, "Parotid_L")
        assert told == terminology_tag(STRUCTURES[known]) if known else "^Tissue~SCT" in told, name


def test_a_code_that_the_user_chose_is_left(node):
    mine = terminology_tag(STRUCTURES["GTVn"])
    segment = node.GetSegmentation().GetSegment("Parotid_L")
    segment.SetName("Node in the parotid")
    noted.follow_names(node)
    segment.SetTag(TAG, mine)
    noted.follow_names(node)
    segment.SetName("Node 2")
    noted.follow_names(node)
    assert meaning(node, "Parotid_L") == mine


def test_drawn_anew_on_the_users_wish_a_renamed_structure_has_its_code(node, drawn):
    node.GetSegmentation().GetSegment("Parotid_R").SetName("GTVn")  # no panel is there to see it
    masks = {"GTVn": drawn.masks["Brain"]}
    again = Segmentation(masks, drawn.reference, MADE)
    assert segment_mrml.update_segmentation_node(node, again) == ()
    assert segment_mrml.update_segmentation_node(node, again, ["GTVn"]) == ("GTVn",)
    assert meaning(node, "Parotid_R") == terminology_tag(STRUCTURES["GTVn"])
    assert segment_mrml.edited_structures(node) == ()


def test_a_name_that_is_put_back_is_no_edit(node):
    segment = node.GetSegmentation().GetSegment("Brain")
    segment.SetName("Hirn | 2")
    noted.follow_names(node)
    assert segment_mrml.edited_structures(node) == ("Hirn | 2",)
    segment.SetName("Brain")
    noted.follow_names(node)
    assert segment_mrml.edited_structures(node) == ()
    assert meaning(node, "Brain") == terminology_tag(STRUCTURES["Brain"])


def test_what_an_earlier_version_drew_is_not_taken_for_renamed(node):
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        segment.SetTag(DRAWN_TAG, tag_of(segment, DRAWN_TAG).rpartition(" ")[0])
    assert segment_mrml.edited_structures(node) == ()


def test_the_codes_follow_the_names_of_what_an_earlier_version_drew(node):
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        segment.SetTag(DRAWN_TAG, tag_of(segment, DRAWN_TAG).rpartition(" ")[0])
        segment.RemoveTag(noted.MEANT_TAG)
    noted.follow_names(node)  # the scene is opened
    swap(node)
    assert meaning(node, "Parotid_L") == terminology_tag(STRUCTURES["Parotid_R"])
    assert meaning(node, "Parotid_R") == terminology_tag(STRUCTURES["Parotid_L"])


@pytest.mark.parametrize("change", ["renamed", "deleted"])
def test_contours_that_change_at_the_last_moment_are_not_exported(node, tmp_path, change):
    plan = exports.Plan(exports.format_of("rtstruct"))
    steps = exported.contours_steps(plan, node, tmp_path / "a.dcm", ())
    for _ in range(3):
        next(steps)
    if change == "renamed":
        node.GetSegmentation().GetSegment("Parotid_L").SetName("Parotid_R2")
    else:
        node.GetSegmentation().RemoveSegment("Parotid_L")
    with pytest.raises(InputError, match="changed while it was read"):
        finished(steps)


def test_exported_contours_have_the_new_names(node, tmp_path):
    swap(node)
    plan = exports.Plan(exports.format_of("rtstruct"))
    request, _ = finished(exported.contours_steps(plan, node, tmp_path / "a.dcm", ()))
    assert list(request["types"]) == ["Parotid_R", "Parotid_L", "Brain"]
    assert list(request["segmentation"]["structures"]) == list(request["types"])


def test_a_renamed_structure_is_known_after_saving_and_loading(headless, node, tmp_path):
    swap(node)
    node.GetSegmentation().GetSegment("Brain").SetName("Gehirn: groß")
    noted.follow_names(node)
    loaded = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    for each in (node, loaded):
        storage = each.CreateDefaultStorageNode()
        headless.scene.AddNode(storage)
        storage.SetFileName(str(tmp_path / "kept.seg.nrrd"))
        assert storage.WriteData(each) if each is node else storage.ReadData(each)
    assert segment_mrml.edited_structures(loaded) == ("Parotid_R", "Parotid_L", "Gehirn: groß")
    segment = loaded.GetSegmentation().GetSegment("Brain")
    segment.SetName("Brain")
    noted.follow_names(loaded)
    assert segment_mrml.edited_structures(loaded) == ("Parotid_R", "Parotid_L")
    assert tag_of(segment, TAG) == terminology_tag(STRUCTURES["Brain"])
