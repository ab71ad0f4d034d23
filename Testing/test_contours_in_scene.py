"""Contours in a scene as the panel uses them: table, outlines of two, clicks and the way back."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

import boxes_of_voxels

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthSegmentLib import mrml as segment_mrml
from MRISynthSegmentLib.clicked import mrml as clicked
from MRISynthSegmentLib.clicked.session import CorrectionSession, check_reference
from MRISynthSegmentLib.origins import AUTOMATIC, MANUAL, SEMIAUTOMATIC, Origin
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.shown import mrml as shown

MADE = Provenance(False, "segmentation", inputs=({"sequence": "T1w"},), bundle="model")


@pytest.fixture
def headless():
    with HeadlessScene() as scene:
        yield scene


def box(volume, *sides):
    return boxes_of_voxels.box(volume.shape, *sides)


@pytest.fixture
def drawn(small_volume):
    masks = {
        "Brain": box(small_volume, (0, 6), (2, 18), (0, 24)),
        "GTVp": box(small_volume, (2, 4), (8, 12), (8, 12)),
        "Eye_L": box(small_volume, (3, 5), (3, 6), (18, 22)),
        "Lens_L": np.zeros(small_volume.shape, bool),
    }
    doubt = {"Brain": 0.02, "GTVp": 0.4, "Eye_L": 0.2}
    return Segmentation(masks, small_volume, MADE, (), doubt)


@pytest.fixture
def node(headless, drawn):
    reference = mrml.node_from_volume(drawn.reference, headless.scene, name="t1")
    return segment_mrml.segmentation_node_from(drawn, reference, headless.scene, name="Found")


def row_of(node, name, table=None):
    return {row.name: row for row in (table or shown.SegmentTable()).rows(node)}[name]


# ------------------------------------------------------------------------------ the table


def test_the_table_says_volume_and_doubt_and_what_was_edited(node, drawn):
    table = shown.SegmentTable()
    assert [row.name for row in table.rows(node)] == ["GTVp", "Brain", "Eye_L", "Lens_L"]
    row = row_of(node, "GTVp", table)
    assert row.millilitres == pytest.approx(drawn.volume_ml("GTVp"))
    assert row.doubt_text() == "check, 40 %" and row.doubt_colour() == "#c62828"
    assert row_of(node, "Brain", table).doubt_text() == "sure, 2 %"
    assert row_of(node, "Lens_L", table).volume_text() == "not found"
    assert "SNOMED CT 81745001" in row_of(node, "Eye_L", table).meaning()
    assert row_of(node, "Eye_L", table).meaning().endswith("Left).")
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    segment_mrml.correct_structures(node, {"GTVp": larger, "Mine": larger}, drawn.reference)
    rows = table.rows(node)
    assert rows[-1].name == "Mine" and rows[-1].edited
    row = row_of(node, "GTVp", table)
    assert row.millilitres == pytest.approx(1.5 * drawn.volume_ml("GTVp"))
    assert row.doubt_text() == "edited by hand" and not row.doubt_colour()
    assert not row_of(node, "Brain", table).edited


def test_contours_without_a_label_map_are_not_said_to_be_missing(headless, node):
    content = node.GetSegmentation()
    content.SetSourceRepresentationName(shown.SURFACE)  # as of an RTSTRUCT or a printed model
    content.CreateRepresentation(shown.SURFACE)
    content.RemoveRepresentation("Binary labelmap")
    row = row_of(node, "GTVp")
    assert row.volume_text() == "not measured" and "make a binary labelmap" in row.meaning()
    assert row_of(node, "Lens_L").volume_text() == "not found"
    point = shown.inside_point(node, "GTVp")
    bounds = np.zeros(6)
    content.GetSegment("GTVp").GetBounds(bounds)
    assert point == pytest.approx(bounds.reshape(3, 2).mean(1))
    assert shown.jump_to(node, "GTVp") and not shown.jump_to(node, "Lens_L")


def test_what_did_not_change_is_not_measured_again(node, drawn, monkeypatch):
    table = shown.SegmentTable()
    before = table.rows(node)
    monkeypatch.setattr(shown, "size_of", lambda *_: pytest.fail("measured again"))
    node.GetDisplayNode().SetSegmentVisibility("Brain", False)
    after = table.rows(node)
    assert [row.millilitres for row in after] == [row.millilitres for row in before]
    assert [row.name for row in after if not row.shown] == ["Brain"]


def test_a_jump_brings_every_view_into_the_structure(headless, node, drawn):
    views = [headless.slice_logic(name).GetSliceNode() for name in ("Red", "Green", "Yellow")]
    for view, orientation in zip(views, ("Axial", "Coronal", "Sagittal"), strict=True):
        view.SetOrientation(orientation)
    reference = drawn.reference
    # a ring: its centre of mass lies outside of it
    ring = box(reference, (2, 5), (4, 16), (4, 20)) & ~box(reference, (2, 5), (6, 14), (6, 18))
    segment_mrml.correct_structures(node, {"GTVp": ring}, reference)
    assert shown.jump_to(node, "GTVp")
    for view in views:
        matrix = view.GetSliceToRAS()
        point = np.array([matrix.GetElement(i, 3) for i in range(3)])
        lps = [*(point * (-1, -1, 1)), 1.0]
        i, j, k = np.rint(np.linalg.solve(reference.index_to_world, lps))[:3].astype(int)
        assert ring[k, j, i], view.GetName()
    assert not shown.jump_to(node, "Lens_L")


# ------------------------------------------------------------------------ outlines of two


def test_bare_outlines_of_two_are_told_apart_and_the_look_comes_back(headless, node, drawn):
    other = segment_mrml.segmentation_node_from(drawn, scene=headless.scene, name="Other")
    display = node.GetDisplayNode()
    display.SetSegmentVisibility("Eye_L", False)
    display.SetVisibility2DOutline(False)
    shown.show_outlines(node, other, {"GTVp": "GTVp"})
    shown.show_outlines(node, other, {"Brain": "Brain"})  # another structure, with no way between
    assert shown.outlined(node) and shown.outlined(other)
    assert not display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    assert display.GetVisibleSegmentIDs() == ("Brain",)
    colours = [list(each.GetDisplayNode().GetSegmentColor("Brain")) for each in (node, other)]
    assert colours[0] != colours[1] != list(node.GetSegmentation().GetSegment("Brain").GetColor())
    assert display.GetSliceIntersectionThickness() > (
        other.GetDisplayNode().GetSliceIntersectionThickness()
    )
    for each in (node, other):
        shown.hide_outlines(each)
        shown.hide_outlines(each)
    assert display.GetVisibility2DFill() and not display.GetVisibility2DOutline()
    assert set(display.GetVisibleSegmentIDs()) == {"Brain", "GTVp", "Lens_L"}
    assert list(display.GetSegmentColor("Brain")) == pytest.approx(
        list(node.GetSegmentation().GetSegment("Brain").GetColor())
    )


def test_the_look_comes_back_even_after_saving_with_outlines(headless, node, drawn, tmp_path):
    other = segment_mrml.segmentation_node_from(drawn, scene=headless.scene, name="Other")
    shown.show_outlines(node, other, {"GTVp": "GTVp"})
    path = str(tmp_path / "outlines.mrb")
    assert headless.scene.WriteToMRB(path)
    headless.scene.Clear(0)
    assert headless.scene.ReadFromMRB(path)
    loaded = slicer.util.getNode("Found")
    assert shown.outlined(loaded)
    shown.hide_outlines(loaded)
    assert len(loaded.GetDisplayNode().GetVisibleSegmentIDs()) == 4


# ---------------------------------------------------------------------------------- clicks


def clicked_at(points, volume, k, j, i):
    """The user's click in a view, as Slicer's markups leave it."""
    x, y, z, _ = volume.index_to_world @ (i, j, k, 1)
    points.made().AddControlPointWorld(-x, -y, z)


def test_points_become_clicks_that_are_kept_with_the_scene(headless, node, drawn, tmp_path):
    points = clicked.ClickPoints(node)
    assert points.clicks("GTVp") == () and points.node is None
    clicked_at(points, drawn.reference, 3, 9, 12)
    (click,) = points.take_new("GTVp", True)
    assert click.adds
    place = np.linalg.solve(drawn.reference.index_to_world, [*click.point, 1.0])
    assert place[:3] == pytest.approx((12, 9, 3))
    assert points.take_new("GTVp", True) == ()
    clicked_at(points, drawn.reference, 3, 9, 9)
    points.take_new("GTVp", False)
    clicked_at(points, drawn.reference, 3, 4, 20)
    points.take_new("Eye_L", True)
    assert [each.adds for each in points.clicks("GTVp")] == [True, False]
    points.show_only("Eye_L")
    assert [points.node.GetNthControlPointVisibility(n) for n in range(3)] == [False, False, True]
    assert all(points.node.GetNthControlPointLocked(n) for n in range(3))
    path = str(tmp_path / "clicks.mrb")
    assert headless.scene.WriteToMRB(path)
    headless.scene.Clear(0)
    assert headless.scene.ReadFromMRB(path)
    again = clicked.ClickPoints(slicer.util.getNode("Found"))
    assert [each.adds for each in again.clicks("GTVp")] == [True, False]
    assert again.clicks("GTVp")[0].point == pytest.approx(click.point, abs=1e-3)


def test_placing_is_persistent_and_ends_only_its_own(headless, node, drawn):
    logic = headless.application_logic
    interaction = logic.GetInteractionNode()
    points = clicked.ClickPoints(node)
    placing = clicked.Placing(points, logic)
    assert placing.active and interaction.GetPlaceModePersistence()
    other = headless.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "somebody's")
    logic.GetSelectionNode().SetReferenceActivePlaceNodeID(other.GetID())
    placing.stop()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    placing = clicked.Placing(points, logic)
    placing.stop()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert not placing.active


@pytest.mark.parametrize("persistent", [0, 1])
@pytest.mark.parametrize("end", ["stop", "right click", "segmentation deleted", "points deleted"])
def test_after_placing_slicer_places_as_the_user_had_chosen(headless, node, end, persistent):
    logic = headless.application_logic
    interaction = logic.GetInteractionNode()
    interaction.SetPlaceModePersistence(persistent)
    points = clicked.ClickPoints(node)
    placing = clicked.Placing(points, logic)
    if end == "right click":
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    elif end == "segmentation deleted":
        headless.scene.RemoveNode(node)
    elif end == "points deleted":
        headless.scene.RemoveNode(points.node)
        assert not placing.active
    placing.stop()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert interaction.GetPlaceModePersistence() == persistent


@pytest.fixture
def session(node, drawn):
    return CorrectionSession(node, drawn.reference)


def click(session, structure, mask, *, exclusive=False, adds=True):
    """A click, and what the worker makes of it."""
    clicked_at(session.points, session.reference, 3, 9, 12)
    (one,) = session.points.take_new(structure, adds)
    before = session.request_volume(structure).voxels
    return session.apply(structure, one, before, mask, exclusive=exclusive)


def test_a_correction_changes_one_structure_and_can_be_undone(session, node, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    grown = click(session, "GTVp", larger)
    assert grown == pytest.approx({"GTVp": drawn.volume_ml("GTVp") / 2})
    found = segment_mrml.segmentation_from_node(node, drawn.reference)
    assert np.array_equal(found.masks["GTVp"], larger)
    for name in ("Brain", "Eye_L", "Lens_L"):
        assert np.array_equal(found.masks[name], drawn.masks[name]), name
    assert segment_mrml.edited_structures(node) == ("GTVp",)
    assert session.undo() == "GTVp" and not session.history.can_undo
    assert np.array_equal(session.mask("GTVp"), drawn.masks["GTVp"])
    assert segment_mrml.edited_structures(node) == (), "it is again what the model drew"
    assert session.points.clicks("GTVp") == ()
    assert session.redo() == "GTVp" and session.redo() == ""
    assert np.array_equal(session.mask("GTVp"), larger)
    assert len(session.points.clicks("GTVp")) == 1


def test_others_give_way_only_if_asked(session, node, drawn):
    into_eye = drawn.masks["GTVp"] | box(drawn.reference, (3, 5), (3, 6), (20, 24))
    click(session, "GTVp", into_eye)
    assert np.array_equal(session.mask("Eye_L"), drawn.masks["Eye_L"])
    session.undo()
    click(session, "GTVp", into_eye, exclusive=True)
    assert not (session.mask("Eye_L") & into_eye).any() and session.mask("Eye_L").any()
    session.undo()
    assert np.array_equal(session.mask("Eye_L"), drawn.masks["Eye_L"])


def test_what_the_user_drew_while_a_click_was_computed_stays(session, drawn):
    clicked_at(session.points, session.reference, 3, 9, 12)
    (one,) = session.points.take_new("GTVp", True)
    before = session.request_volume("GTVp").voxels
    mine = box(drawn.reference, (0, 2), (0, 3), (0, 3))
    segment_mrml.correct_structures(session.node, {"GTVp": before | mine}, drawn.reference)
    added = box(drawn.reference, (2, 4), (8, 12), (12, 14))
    session.apply("GTVp", one, before, before | added)
    assert np.array_equal(session.mask("GTVp"), drawn.masks["GTVp"] | mine | added)
    session.undo()
    assert np.array_equal(session.mask("GTVp"), drawn.masks["GTVp"] | mine)


def test_a_structure_can_be_begun_by_a_click(session, node, drawn):
    mask = box(drawn.reference, (2, 4), (2, 5), (2, 5))
    clicked_at(session.points, session.reference, 3, 3, 3)
    (one,) = session.points.take_new("GTVn", True)
    session.apply("GTVn", one, session.mask("GTVn"), mask, drawn_on="SYNTHETIC CE-T1w")
    assert np.array_equal(session.mask("GTVn"), mask)
    assert segment_mrml.algorithm_types_of(node)["GTVn"] == SEMIAUTOMATIC
    session.undo()
    assert not session.mask("GTVn").any()


def test_clicks_on_what_was_drawn_anew_are_forgotten(session, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    click(session, "GTVp", larger)
    click(session, "Eye_L", larger)
    session.forget(["GTVp"])
    assert session.points.clicks("GTVp") == () and len(session.points.clicks("Eye_L")) == 1
    assert session.undo() == "Eye_L" and session.undo() == ""


def test_a_segment_that_is_renamed_is_still_the_one_that_was_clicked(session, node, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    click(session, "GTVp", larger)
    node.GetSegmentation().GetSegment("GTVp").SetName("GTV, final")
    again = session.segment_of("GTVp")
    assert again != "GTVp" and session.points.clicks(again) == ()
    assert session.segment_of("GTV, final") == "GTVp"
    assert session.undo() == "GTV, final"
    assert np.array_equal(session.mask("GTVp"), drawn.masks["GTVp"])
    assert not session.has(again) and session.points.clicks("GTVp") == ()


def test_clicks_on_a_segment_go_with_it(session, node, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    click(session, "Eye_L", larger)
    click(session, "GTVp", larger)
    click(session, "GTVp", drawn.masks["GTVp"], adds=False)
    session.undo()
    node.GetSegmentation().RemoveSegment("GTVp")
    assert session.redo() == "" and session.points.segment_ids() == {"Eye_L"}
    assert session.undo() == "Eye_L" and session.undo() == ""
    assert not session.has("GTVp")


def test_undo_takes_away_the_point_of_its_own_click(session, node, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    clicked_at(session.points, session.reference, 3, 5, 5)
    (first,) = session.points.take_new("GTVp", True)
    before = session.mask("GTVp")
    session.apply("GTVp", first, before, larger)
    click(session, "GTVp", before)
    session.points.node.RemoveNthControlPoint(1)  # by Slicer's own menu
    session.undo()
    assert np.array_equal(session.mask("GTVp"), larger)
    assert session.points.clicks("GTVp") == (first,)


def test_contours_are_corrected_on_their_own_image_only(drawn):
    check_reference(drawn.reference, drawn.reference)
    other = drawn.reference.replace(index_to_world=np.diag((2.0, 2.0, 2.0, 1.0)))
    with pytest.raises(InputError, match="tick that volume"):
        check_reference(drawn.reference, other)
    with pytest.raises(InputError, match="is gone"):
        check_reference(None, other)


def test_who_drew_each_structure_is_known_for_export(headless, node, drawn):
    larger = drawn.masks["GTVp"] | box(drawn.reference, (2, 4), (8, 12), (12, 14))
    segment_mrml.correct_structures(node, {"GTVp": larger, "Mine": larger}, drawn.reference)
    types = segment_mrml.algorithm_types_of(node)
    assert types == {
        "Brain": AUTOMATIC,
        "GTVp": SEMIAUTOMATIC,
        "Eye_L": AUTOMATIC,
        "Lens_L": AUTOMATIC,
        "Mine": MANUAL,
    }
    origins = {"Brain": Origin(AUTOMATIC), "GTVp": Origin(MANUAL)}
    theirs = Segmentation(
        {name: drawn.masks[name] for name in ("Brain", "GTVp", "Eye_L")},
        drawn.reference,
        origins=origins,
    )
    loaded = segment_mrml.segmentation_node_from(theirs, scene=headless.scene)
    types = segment_mrml.algorithm_types_of(loaded)
    assert types == {"Brain": SEMIAUTOMATIC, "GTVp": MANUAL, "Eye_L": MANUAL}


def test_points_that_were_set_by_other_means_are_no_clicks(headless, node, drawn):
    points = clicked.ClickPoints(node)
    clicked_at(points, drawn.reference, 3, 9, 12)  # in the Markups module, before "Add"
    points.pass_over()
    clicked_at(points, drawn.reference, 3, 9, 9)
    assert len(points.take_new("GTVp", True)) == 1 == len(points.clicks("GTVp"))
