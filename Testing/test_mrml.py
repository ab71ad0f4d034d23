"""Volumes and segmentations in a Slicer scene, and back."""

# ruff: noqa: E402

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.annotation.mrml import annotation_lines
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.views import SIDE_BY_SIDE, built_in_layout, edge_letters, wrapped
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib import mrml as segment_mrml
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES

PROVENANCE = Provenance(
    synthetic=True,
    sequence="CE-T1w",
    inputs=({"sequence": "T1w", "name": "a;b:c", "synthetic": False}, {"sequence": "T2w"}),
    prompt='Gd; TR: 620 "ms" <3T> & 100% 增强T1',
    bundle="any-to-all",
    bundle_version="1.2",
    bundle_hash="0123456789abcdef",
    warnings=("One slice; was: missing.",),
)


@pytest.fixture(scope="module")
def headless():
    with HeadlessScene() as scene:
        yield scene


@pytest.fixture
def synthetic(small_volume):
    return small_volume.replace(sequence="CE-T1w", name="CE-T1w", provenance=PROVENANCE)


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    flip=st.booleans(),
)
def test_geometry_survives_the_scene_to_1e10_mm(headless, angles, spacing, origin, flip):
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    axes = axes * ((-1, 1, 1) if flip else (1, 1, 1))
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    volume = Volume(voxels, matrix_from_parts(spacing, axes, origin), name="any")
    node = mrml.node_from_volume(volume, headless.scene)
    try:
        back = mrml.volume_from_node(node)
        assert np.abs(back.corners() - volume.corners()).max() < 1e-10
        assert np.array_equal(back.voxels, voxels)
        ras = [0.0] * 4
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        matrix.MultiplyPoint((3, 2, 1, 1), ras)
        assert ras[:3] == pytest.approx(volume.corners()[-1] * (-1, -1, 1), abs=1e-9)
    finally:
        headless.scene.RemoveNode(node)


def test_slicer_reads_the_same_geometry_from_a_file(headless, shared_data):
    sitk = pytest.importorskip("SimpleITK")
    path = str(shared_data / "mr_adi" / "T2w.nii.gz")
    node = headless.module_logic("Volumes").AddArchetypeVolume(path, "T2w")
    image = sitk.ReadImage(path)
    matrix = matrix_from_parts(
        image.GetSpacing(), np.reshape(image.GetDirection(), (3, 3)), image.GetOrigin()
    )
    expected = Volume(sitk.GetArrayViewFromImage(image), matrix)
    found = mrml.volume_from_node(node)
    assert found.same_geometry(expected)
    assert np.array_equal(found.voxels, expected.voxels)


def test_voxels_are_shared_not_copied_and_cannot_be_written(headless, small_volume):
    node = mrml.node_from_volume(small_volume, headless.scene)
    volume = mrml.volume_from_node(node)
    assert np.shares_memory(volume.voxels, slicer.util.arrayFromVolume(node))
    with pytest.raises(ValueError):
        volume.voxels[0, 0, 0] = 1
    assert not np.shares_memory(volume.voxels, small_volume.voxels)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">i2", "uint16", "int32", "int64",
                                   "uint64", "float16", "float32", "float64", ">f4"])  # fmt: skip
def test_every_voxel_type_arrives(headless, dtype):
    voxels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    node = mrml.node_from_volume(Volume(voxels, np.eye(4)), headless.scene)
    assert np.array_equal(mrml.volume_from_node(node).voxels.astype(float), voxels.astype(float))
    assert node.GetImageData().GetScalarTypeAsString() not in ("long long", "long")


def test_int64_too_large_for_slicer_is_not_wrapped(headless):
    voxels = np.full((2, 2, 2), 2**40)
    node = mrml.node_from_volume(Volume(voxels, np.eye(4)), headless.scene)
    assert mrml.volume_from_node(node).voxels.max() == 2**40


def test_synthetic_mark_and_provenance_survive(headless, synthetic):
    node = mrml.node_from_volume(synthetic, headless.scene, name="for the tumour board")
    assert node.GetName() == "SYNTHETIC for the tumour board"
    assert node.GetAttribute("MRISynth.Synthetic") == "1"
    back = mrml.volume_from_node(node)
    assert back.provenance == PROVENANCE
    assert back.sequence == "CE-T1w"
    assert mrml.node_name(back) == node.GetName()  # not marked twice


def test_losing_the_provenance_text_does_not_make_an_image_real(headless, synthetic):
    node = mrml.node_from_volume(synthetic, headless.scene)
    node.SetAttribute("MRISynth.Provenance", "{ cut off")
    assert mrml.volume_from_node(node).is_synthetic
    assert annotation_lines(node)[0] == "SYNTHETIC CE-T1w"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SYNTHETIC CE-T1w", "SYNTHETIC CE-T1w"),
        ("501: SYNTHETIC CE-T1w", "SYNTHETIC CE-T1w"),  # from Slicer's DICOM module
        ("SYNTHETIC_CE-T1w_1", "SYNTHETIC CE-T1w_1"),
        ("SYNTHETIC CE-T1w uncertainty", "SYNTHETIC CE-T1w uncertainty"),
    ],
)
def test_an_image_that_lost_all_but_its_name_stays_synthetic(headless, small_volume, name, said):
    node = mrml.node_from_volume(small_volume, headless.scene)
    node.SetName(name)
    back = mrml.volume_from_node(node)
    assert back.is_synthetic and "was lost" in back.provenance.warnings[0]
    assert (back.provenance.kind == "image") == ("uncertainty" not in name)
    assert annotation_lines(node)[0] == said


@pytest.mark.parametrize("name", ["t1 SYNTHETICS study", "SYNTHETICS", "synthetic T1", "T1w"])
def test_other_names_make_no_image_synthetic(headless, small_volume, name):
    node = mrml.node_from_volume(small_volume, headless.scene, name=name)
    assert not mrml.volume_from_node(node).is_synthetic


def test_acquisition_and_warnings_survive(headless, small_volume):
    volume = small_volume.replace(acquisition={"EchoTime": 9.8}, warnings=("A; b: c",))
    back = mrml.volume_from_node(mrml.node_from_volume(volume, headless.scene))
    assert dict(back.acquisition) == {"EchoTime": 9.8}
    assert back.warnings == ("A; b: c",)
    assert back.provenance is None and not back.is_synthetic


def test_update_in_place_keeps_the_users_window_and_name(headless, small_volume, synthetic):
    node = mrml.node_from_volume(small_volume, headless.scene)
    before = node.GetName()
    node.GetDisplayNode().SetWindowLevelMinMax(3, 7)
    same = mrml.node_from_volume(synthetic, node=node)
    assert same is node
    assert node.GetDisplayNode().GetWindowLevelMin() == 3
    assert node.GetName() == f"SYNTHETIC {before}"
    mrml.node_from_volume(small_volume, node=node, name="real again")
    assert node.GetAttribute("MRISynth.Synthetic") is None
    assert not mrml.volume_from_node(node).is_synthetic


def test_parent_transform_moves_the_volume(headless, small_volume):
    node = mrml.node_from_volume(small_volume, headless.scene)
    shift = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 10.0)  # towards the patient's right, in RAS
    shift.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(shift.GetID())
    moved = mrml.volume_from_node(node)
    assert moved.origin == pytest.approx(small_volume.origin - np.array([10, 0, 0]))


def test_bad_nodes_are_refused_in_one_sentence(headless, small_volume):
    scene = headless.scene
    warped = mrml.node_from_volume(small_volume, scene, name="warped")
    spline = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    warped.SetAndObserveTransformNodeID(spline.GetID())
    colour = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colour.SetAndObserveImageData(image)
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "skull")
    for node in (warped, colour, empty, model):
        with pytest.raises(InputError, match=f"^{node.GetName()} .*; .*\\.$"):
            mrml.volume_from_node(node)
    with pytest.raises(InputError):
        mrml.volume_from_node(None)


def test_window_ignores_background_and_outliers(headless):
    rng = np.random.default_rng(1)
    voxels = np.zeros((10, 40, 40), np.float32)
    voxels[:, 10:30, 10:30] = rng.uniform(100, 200, (10, 20, 20))
    voxels[5, 20, 20] = 1e6
    node = mrml.node_from_volume(Volume(voxels, np.eye(4)), headless.scene)
    display = node.GetDisplayNode()
    assert 90 < display.GetWindowLevelMin() < 110
    assert 190 < display.GetWindowLevelMax() < 210
    assert not display.GetAutoWindowLevel()


@pytest.mark.parametrize("value", [0, 5, np.nan])
def test_constant_images_get_a_usable_window(headless, value):
    volume = Volume(np.full((3, 4, 5), value, np.float32), np.eye(4))
    node = mrml.node_from_volume(volume, headless.scene)
    assert node.GetDisplayNode().GetWindow() > 0


def test_uncertainty_is_shown_in_colours_from_zero(headless, synthetic):
    uncertainty = synthetic.replace(
        provenance=Provenance(synthetic=True, kind="uncertainty", sequence="CE-T1w")
    )
    node = mrml.node_from_volume(uncertainty, headless.scene)
    assert node.GetDisplayNode().GetWindowLevelMin() == 0
    table = node.GetDisplayNode().GetColorNode()
    assert table is not None and table.GetID() != "vtkMRMLColorTableNodeGrey"
    assert annotation_lines(node)[0] == "SYNTHETIC CE-T1w uncertainty"


@pytest.mark.parametrize(
    ("kind", "sequence"),
    [("image", "T1w"), ("image", "CT"), ("uncertainty", "CE-T1w"), ("uncertainty", "CT")],
)
def test_scene_and_dicom_show_an_image_alike(headless, synthetic, tmp_path, kind, sequence):
    from MRISynthLib.io.dicom_derived import Study, write_synthetic_series

    provenance = Provenance(synthetic=True, kind=kind, sequence=sequence)
    volume = synthetic.replace(sequence=sequence, provenance=provenance)
    display = mrml.node_from_volume(volume, headless.scene).GetDisplayNode()
    file = write_synthetic_series(volume, tmp_path / "series", Study.placeholder())[0]
    record = pydicom.dcmread(file)
    assert float(record.WindowWidth) == pytest.approx(display.GetWindow(), rel=1e-6)
    assert float(record.WindowCenter) == pytest.approx(display.GetLevel(), rel=1e-6)


def test_two_results_of_one_kind_are_told_apart_by_their_names(headless, synthetic):
    volume = synthetic.replace(sequence="STIR", name="STIR")
    first, second = (mrml.node_from_volume(volume, headless.scene) for _ in range(2))
    assert (first.GetName(), second.GetName()) == ("SYNTHETIC STIR", "SYNTHETIC STIR_1")
    assert mrml.node_from_volume(volume, headless.scene, node=second).GetName() == second.GetName()
    headless.scene.RemoveNode(first)
    assert mrml.node_from_volume(volume, headless.scene).GetName() == "SYNTHETIC STIR"


def test_the_words_that_a_result_was_asked_for_in_are_in_its_name(synthetic):
    asked = replace(synthetic.provenance, prompt="")
    volume = synthetic.replace(sequence="T2w", name="T2w", provenance=asked)
    assert mrml.name_with_prompt(volume) == "T2w"
    fits = "axial turbo spin echo of the neck at 3 T"
    names = {
        "3T,\nTE 90 ms": "T2w (3T, TE 90 ms)",
        fits: f"T2w ({fits})",
        f"{fits}esla": "T2w (axial turbo spin echo of the neck at...)",
    }
    for prompt, name in names.items():
        worded = volume.replace(provenance=replace(asked, prompt=prompt))
        assert mrml.name_with_prompt(worded) == name


def test_annotation_names_sources_model_and_limits(headless, synthetic, small_volume):
    lines = annotation_lines(mrml.node_from_volume(synthetic, headless.scene))
    assert lines == (
        "SYNTHETIC CE-T1w",
        "from T1w + T2w",
        "by any-to-all 1.2 [0123456789ab]",
        "Not for clinical decisions",
    )
    assert annotation_lines(mrml.node_from_volume(small_volume, headless.scene)) == ()
    assert annotation_lines(None) == ()


def test_edge_letters_follow_radiological_convention():
    axial = np.diag((-1.0, 1.0, 1.0, 1.0))
    assert edge_letters(axial) == ("R", "L", "A", "P")
    sagittal = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    assert edge_letters(sagittal) == ("A", "P", "S", "I")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab- ", max_size=30), max_size=4), st.integers(1, 12))
def test_wrapping_fits_and_loses_nothing(lines, width):
    broken = wrapped(lines, len, width)
    assert all(len(line) <= width for line in broken)
    assert "".join(broken).replace(" ", "") == "".join(lines).replace(" ", "")


def test_wrapping_prefers_words_then_hyphens():
    assert wrapped(["by a-long-name 1.0"], len, 8) == ["by", "a-long-", "name 1.0"]


def test_layouts_are_as_slicer_has_them(headless):
    """The numbers and view names that we wrote down are those of this Slicer."""
    layout_node = headless.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    for count in (1, 2, 3, 4, 5, 6, 7, 9):
        layout = built_in_layout(count)
        assert len(layout.views) >= count
        xml = layout_node.GetLayoutDescription(layout.id)
        positions = [xml.index(f'singletontag="{view}"') for view in layout.views]
        assert positions == sorted(positions)
        assert xml.count("<view ") == len(layout.views)
    for count, layout in SIDE_BY_SIDE.items():
        assert layout_node.GetLayoutDescription(layout.id).count("<view ") == count


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_side_by_side_shows_each_volume_at_the_same_place(headless, small_volume, count):
    nodes = [
        mrml.node_from_volume(small_volume.replace(name=f"v{i}"), headless.scene)
        for i in range(count)
    ]
    focus = small_volume.index_to_world @ (10, 8, 2, 1)
    views = mrml.show_side_by_side(
        nodes, focus_lps=focus[:3], application_logic=headless.application_logic
    )
    layout = headless.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == SIDE_BY_SIDE[max(2, count)].id
    scales = set()
    for view, node in zip(views, nodes, strict=True):
        logic = headless.slice_logic(view)
        composite, plane = logic.GetSliceCompositeNode(), logic.GetSliceNode()
        assert headless.scene.IsNodePresent(plane)
        assert composite.GetBackgroundVolumeID() == node.GetID()
        assert composite.GetLinkedControl()
        matrix = plane.GetSliceToRAS()
        normal = np.array([matrix.GetElement(i, 2) for i in range(3)])
        through = np.array([matrix.GetElement(i, 3) for i in range(3)])
        ras = focus[:3] * (-1, -1, 1)
        assert abs((ras - through) @ normal) < 1e-6
        scales.add(round(plane.GetFieldOfView()[0] / plane.GetDimensions()[0], 9))
    assert len(scales) == 1  # the same magnification


def test_side_by_side_refuses_what_does_not_fit(headless, small_volume):
    node = mrml.node_from_volume(small_volume, headless.scene)
    for nodes in ([], [node] * 5):
        with pytest.raises(ValueError):
            mrml.show_side_by_side(nodes, application_logic=headless.application_logic)


def test_overlay_comes_and_goes(headless, small_volume):
    node = mrml.node_from_volume(small_volume, headless.scene)
    logic = headless.application_logic
    mrml.set_overlay(node, ["Red"], opacity=0.3, application_logic=logic)
    composite = headless.slice_logic("Red").GetSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == node.GetID()
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    mrml.set_overlay(None, ["Red"], application_logic=logic)
    assert composite.GetForegroundVolumeID() is None


# ---------------------------------------------------------------- segmentations


@pytest.fixture
def segmentation(small_volume):
    """Overlapping, single-voxel, border-touching, empty and unknown structures."""
    masks = {
        name: np.zeros(small_volume.shape, bool)
        for name in ("Brain", "GTVp", "Eye_L", "Eye_R", "SpinalCord", "Drawn by hand")
    }
    masks["Brain"][0:6, 2:18, 0:24] = True
    masks["GTVp"][2:4, 8:12, 8:12] = True
    masks["Eye_L"][3, 19, 23] = True
    masks["Eye_R"][0, 0, 0] = True
    masks["Drawn by hand"][1:5, 9:14, 9:14] = True
    return Segmentation(masks, small_volume, PROVENANCE, ("Look at slice 3.",))


@pytest.fixture
def segmentation_node(headless, segmentation):
    node = mrml.node_from_volume(segmentation.reference, headless.scene)
    return segment_mrml.segmentation_node_from(segmentation, node, headless.scene)


def test_structures_survive_the_scene(segmentation, segmentation_node):
    back = segment_mrml.segmentation_from_node(segmentation_node, segmentation.reference)
    assert list(back.masks) == list(segmentation.masks)
    for name, mask in segmentation.masks.items():
        assert np.array_equal(back.masks[name], mask), name
    assert back.provenance == PROVENANCE
    assert back.warnings == segmentation.warnings


def test_each_structure_is_found_in_slicer_by_its_codes(headless, segmentation_node):
    terminologies = headless.module_logic("Terminologies")
    content = segmentation_node.GetSegmentation()
    for name in ("Brain", "GTVp", "Eye_L", "Eye_R"):
        structure, segment = STRUCTURES[name], content.GetSegment(name)
        assert segment.GetName() == name
        assert segment.GetColor() == pytest.approx(structure.colour)
        text = vtk.reference("")
        assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), text)
        entry = slicer.vtkSlicerTerminologyEntry()
        assert terminologies.DeserializeTerminologyEntry(str(text), entry)
        assert _code(entry.GetCategoryObject()) == structure.category
        assert _code(entry.GetTypeObject()) == structure.type
        found = _code(entry.GetTypeModifierObject())
        assert found == (structure.modifier or (None, None, None))
        assert terminologies.SerializeTerminologyEntry(entry) == str(text)
        assert terminologies.IsTerminologyContextLoaded(entry.GetTerminologyContextName())


def _code(item):
    return item.GetCodingSchemeDesignator(), item.GetCodeValue(), item.GetCodeMeaning()


def test_structures_have_surfaces_and_readable_fills(segmentation_node):
    display = segmentation_node.GetDisplayNode()
    content = segmentation_node.GetSegmentation()
    assert content.GetSourceRepresentationName() == "Binary labelmap"
    surface = content.GetSegment("GTVp").GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() > 10
    assert 0 < display.GetSegmentOpacity2DFill("GTVp") < 0.6
    assert display.GetSegmentOpacity2DOutline("GTVp") == 1
    assert display.GetSegmentOpacity3D("Brain") < 0.5 < display.GetSegmentOpacity3D("GTVp")
    reference = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert segmentation_node.GetNodeReference(reference) is not None


def test_structures_come_back_on_another_grid(segmentation, segmentation_node):
    reference = segmentation.reference
    finer = matrix_from_parts(reference.spacing / 2, reference.direction, reference.origin)
    shape = tuple(2 * n - 1 for n in reference.shape)
    back = segment_mrml.segmentation_from_node(
        segmentation_node, Volume(np.zeros(shape, np.uint8), finer)
    )
    assert np.array_equal(back.masks["GTVp"][::2, ::2, ::2], segmentation.masks["GTVp"])
    away = matrix_from_parts(reference.spacing, reference.direction, reference.origin + 500)
    back = segment_mrml.segmentation_from_node(segmentation_node, Volume(reference.voxels, away))
    assert not any(mask.any() for mask in back.masks.values())


def test_parent_transform_moves_the_structures(headless, segmentation, segmentation_node):
    reference = segmentation.reference
    step = -reference.direction[:, 2] * reference.spacing[2]  # one slice down
    shift = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for axis, value in enumerate(step * (-1, -1, 1)):
        matrix.SetElement(axis, 3, value)
    shift.SetMatrixTransformToParent(matrix)
    segmentation_node.SetAndObserveTransformNodeID(shift.GetID())
    back = segment_mrml.segmentation_from_node(segmentation_node, reference)
    assert np.array_equal(back.masks["GTVp"][1], segmentation.masks["GTVp"][2])
    assert back.masks["GTVp"].sum() == segmentation.masks["GTVp"].sum()


def test_wrong_segmentations_are_refused(headless, segmentation, segmentation_node):
    with pytest.raises(InputError, match="choose a segmentation"):
        segment_mrml.segmentation_from_node(None, segmentation.reference)
    segmentation_node.GetSegmentation().GetSegment("Eye_L").SetName("Eye_R")
    with pytest.raises(InputError, match="two segments named Eye_R"):
        segment_mrml.segmentation_from_node(segmentation_node, segmentation.reference)
