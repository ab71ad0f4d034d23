"""The headless scene itself, and the scene file that the demonstration leaves."""

# ruff: noqa: E402

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk

from MRISynthApp.scene.demo_scene import build_scene, load_mrb, save_mrb
from MRISynthApp.scene.headless import HeadlessScene
from MRISynthApp.scene.render import RenderingUnavailable, render_view
from MRISynthLib.errors import OutputError
from MRISynthLib.mrml import node_from_volume, volume_from_node
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.mrml import segmentation_from_node
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES
from MRISynthSegmentLib.terminology import TAG, terminology_tag

PROVENANCE = Provenance(
    synthetic=True,
    sequence="CE-T1w",
    inputs=({"sequence": "T1w", "name": "T1w: a;b", "synthetic": False},),
    prompt='增强T1 "3T" & <TR 620>; TE: 10 %',
    bundle="any-to-all",
    bundle_version="1",
    bundle_hash="0123456789abcdef",
    seed=7,
)


@pytest.fixture
def volumes(small_volume) -> dict[str, Volume]:
    other = small_volume.index_to_world.copy()
    other[:3, 3] += (3, -2, 5)
    spread = Provenance(**{**PROVENANCE.to_dict(), "kind": "uncertainty"})
    spread = Provenance.from_dict(spread.to_dict())
    return {
        "T1w": small_volume.replace(name="T1w", acquisition={"EchoTime": 9.8}),
        "T2w": Volume(
            small_volume.voxels[:4].astype(np.int16), other, sequence="T2w", name="T2 / überlang"
        ),
        "synthetic": small_volume.replace(
            sequence="CE-T1w", name="CE-T1w", provenance=PROVENANCE, warnings=("Only T1w.",)
        ),
        "uncertainty": small_volume.with_voxels(
            np.abs(small_volume.voxels - 450) / 900,
            sequence="CE-T1w",
            name="CE-T1w uncertainty",
            provenance=spread,
        ),
    }


@pytest.fixture
def segmentation(volumes) -> Segmentation:
    masks = {n: np.zeros(volumes["T1w"].shape, bool) for n in ("Brain", "GTVp", "Eye_L", "Eye_R")}
    masks["Brain"][:, 3:17, 3:21] = True
    masks["GTVp"][1:3, 4:8, 12:16] = True
    masks["Eye_L"][3, 6:9, 2:6] = True
    return Segmentation(masks, volumes["synthetic"], PROVENANCE)


def build(headless, volumes, segmentation):
    return build_scene(
        headless,
        [volumes["T1w"], volumes["T2w"]],
        [volumes["synthetic"]],
        [volumes["uncertainty"]],
        segmentation,
    )


@pytest.fixture
def mrb(tmp_path, volumes, segmentation):
    path = tmp_path / "out" / "scene.mrb"
    with HeadlessScene() as headless:
        demo = build(headless, volumes, segmentation)
        demo.save_mrb(path, np.full((20, 30, 3), 90, np.uint8))
    return path


def nodes_by_name(headless, kind):
    found = headless.scene.GetNodesByClass(kind)
    nodes = [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]
    return {node.GetName(): node for node in nodes}


def test_images_come_back_from_the_file_as_they_were(mrb, volumes):
    with HeadlessScene() as headless:
        load_mrb(headless, mrb)
        nodes = nodes_by_name(headless, "vtkMRMLScalarVolumeNode")
        assert set(nodes) == {
            "T1w", "T2 / überlang", "SYNTHETIC CE-T1w", "SYNTHETIC CE-T1w uncertainty"
        }  # fmt: skip
        for key, name in (
            ("T1w", "T1w"),
            ("T2w", "T2 / überlang"),
            ("synthetic", "SYNTHETIC CE-T1w"),
            ("uncertainty", "SYNTHETIC CE-T1w uncertainty"),
        ):
            found, made = volume_from_node(nodes[name]), volumes[key]
            assert np.abs(found.corners() - made.corners()).max() < 1e-4
            assert np.array_equal(found.voxels, made.voxels)
            assert found.voxels.dtype == made.voxels.dtype
            assert (found.sequence, found.provenance) == (made.sequence, made.provenance)
            assert found.acquisition == made.acquisition and found.warnings == made.warnings
        colours = nodes["SYNTHETIC CE-T1w uncertainty"].GetDisplayNode().GetColorNode()
        assert colours is not None and "Grey" not in colours.GetName()
        low = nodes["T1w"].GetDisplayNode().GetWindowLevelMin()
        assert 0 < low < nodes["T1w"].GetDisplayNode().GetWindowLevelMax() < 900


def test_structures_come_back_from_the_file_as_they_were(mrb, segmentation):
    with HeadlessScene() as headless:
        load_mrb(headless, mrb)
        (node,) = nodes_by_name(headless, "vtkMRMLSegmentationNode").values()
        back = segmentation_from_node(node, segmentation.reference)
        for name, mask in segmentation.masks.items():
            assert np.array_equal(back.masks[name], mask), name
            segment = node.GetSegmentation().GetSegment(name)
            assert segment.GetColor() == pytest.approx(STRUCTURES[name].colour, abs=1e-3)
            text = vtk.reference("")
            assert segment.GetTag(TAG, text)
            assert str(text) == terminology_tag(STRUCTURES[name])
        assert back.provenance == PROVENANCE
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        assert node.GetNodeReference(role).GetName() == "SYNTHETIC CE-T1w"
        assert node.GetDisplayNode().GetVisibility()
        assert node.GetDisplayNode().GetSegmentOpacity2DFill("GTVp") == pytest.approx(0.35)


def test_views_come_back_from_the_file_as_they_were(mrb, volumes, segmentation):
    focus = segmentation.reference.index_to_world @ (13.5, 5.5, 1.5, 1)  # middle of the tumour
    with HeadlessScene() as headless:
        load_mrb(headless, mrb)
        layout = headless.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutTwoOverTwoView
        expected = {
            "Red": "T1w",
            "Slice4": "T2 / überlang",
            "Green": "SYNTHETIC CE-T1w",
            "Yellow": "SYNTHETIC CE-T1w uncertainty",
        }
        for view, name in expected.items():
            logic = headless.slice_logic(view)
            composite = logic.GetSliceCompositeNode()
            background = headless.scene.GetNodeByID(composite.GetBackgroundVolumeID())
            assert background.GetName() == name
            assert composite.GetLinkedControl()
            matrix = logic.GetSliceNode().GetSliceToRAS()
            normal = np.array([matrix.GetElement(i, 2) for i in range(3)])
            through = np.array([matrix.GetElement(i, 3) for i in range(3)])
            slices = abs((focus[:3] * (-1, -1, 1) - through) @ normal) / volumes["T1w"].spacing[2]
            assert slices <= 0.51  # the nearest slice
        composite = headless.slice_logic("Green").GetSliceCompositeNode()
        overlay = headless.scene.GetNodeByID(composite.GetForegroundVolumeID())
        assert overlay.GetName() == "SYNTHETIC CE-T1w uncertainty"
        assert composite.GetForegroundOpacity() == 0


def test_a_reopened_scene_looks_as_it_was_saved(tmp_path, volumes, segmentation):
    path = tmp_path / "scene.mrb"
    try:
        with HeadlessScene() as headless:
            demo = build(headless, volumes, segmentation)
            before = [render_view(headless, view, (160, 160)) for view in demo.views]
            demo.save_mrb(path)
        with HeadlessScene() as headless:
            load_mrb(headless, path)
            after = [render_view(headless, view, (160, 160)) for view in demo.views]
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    for was, now in zip(before, after, strict=True):
        assert was.max() > 100
        assert np.abs(was.astype(int) - now).mean() < 1.5


def test_the_file_holds_relative_paths_and_no_trace_of_its_making(mrb, tmp_path):
    with zipfile.ZipFile(mrb) as bundle:
        assert bundle.testzip() is None
        names = bundle.namelist()
        (scene,) = [bundle.read(name).decode() for name in names if name.endswith(".mrml")]
    assert sum(name.endswith(".nrrd") for name in names) == 5
    assert any(name.endswith(".seg.nrrd") for name in names)
    paths = re.findall(r'fileName="([^"]*)"', scene)
    assert paths and not any(path.startswith(("/", "file:")) or ":" in path for path in paths)
    assert str(tmp_path) not in scene
    assert "MRISynthPicture" not in scene
    assert [path.name for path in mrb.parent.iterdir()] == ["scene.mrb"]


def test_saving_and_loading_say_nothing(tmp_path, volumes, segmentation, capfd):
    """Standard output belongs to the command line's JSON, standard error to its progress."""
    with HeadlessScene() as headless:
        build(headless, volumes, segmentation).save_mrb(tmp_path / "scene.mrb")
    with HeadlessScene() as headless:
        load_mrb(headless, tmp_path / "scene.mrb")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(mrb, monkeypatch):
    old = mrb.read_bytes()
    with HeadlessScene() as headless:
        monkeypatch.setattr(
            "MRISynthApp.scene.demo_scene.os.replace",
            lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        with pytest.raises(OutputError, match="No space left"):
            save_mrb(headless, mrb)
    assert mrb.read_bytes() == old
    assert [path.name for path in mrb.parent.iterdir()] == ["scene.mrb"]


def test_a_scene_cannot_be_saved_into_a_file(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with HeadlessScene() as headless, pytest.raises(OutputError, match="cannot be written"):
        save_mrb(headless, tmp_path / "taken" / "scene.mrb")


def test_a_damaged_scene_is_refused(tmp_path):
    path = tmp_path / "scene.mrb"
    path.write_bytes(b"no zip")
    before = Path.cwd()
    with HeadlessScene() as headless, pytest.raises(OutputError, match="cannot be read"):
        load_mrb(headless, path)
    assert Path.cwd() == before


@pytest.mark.parametrize(("count", "views"), [(1, 1), (2, 2), (3, 4), (5, 6), (8, 9)])
def test_the_layout_has_room_for_every_image(small_volume, count, views):
    with HeadlessScene() as headless:
        demo = build_scene(headless, [small_volume] * count, [])
        assert len(demo.layout.views) == views
        assert len(demo.views) == len(demo.shown) == count
        assert demo.focus_lps == pytest.approx(small_volume.corners().mean(axis=0))


def test_a_scene_without_images_is_refused():
    with HeadlessScene() as headless, pytest.raises(ValueError):
        build_scene(headless, [], [])


def test_scenes_can_be_nested_and_opened_again(small_volume):
    before = getattr(slicer, "mrmlScene", None)
    with HeadlessScene() as outer:
        node_from_volume(small_volume)
        with HeadlessScene() as inner:
            assert slicer.mrmlScene is inner.scene
            assert inner.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None
        assert slicer.mrmlScene is outer.scene
        node = outer.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        # Code written for the desktop runs: slicer.util with its logics.
        masks = outer.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        masks.SetReferenceImageGeometryParameterFromVolumeNode(node)
        segment = masks.GetSegmentation().AddEmptySegment("a")
        drawn = np.zeros(small_volume.shape, np.uint8)
        drawn[2, 3, 4] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(drawn, masks, segment, node)
        found = slicer.util.arrayFromSegmentBinaryLabelmap(masks, segment, node)
        assert np.array_equal(found, drawn)
    assert getattr(slicer, "mrmlScene", None) is before
    outer.close()  # once more does nothing
