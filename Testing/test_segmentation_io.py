"""Segmentation files and coded meanings, checked with Slicer's own libraries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.provenance import DISCLAIMER, Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.io import (
    load_segmentation,
    note_of,
    read_segmentation,
    save_segmentation,
    save_segmentation_nifti,
)
from MRISynthSegmentLib.origins import Algorithm, Origin, algorithm_types, unrecorded
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structure_record import DRAWN_TAG, INPUTS_TAG, ORIGIN_TAG
from MRISynthSegmentLib.structures import STRUCTURES
from MRISynthSegmentLib.terminology import (
    CONTEXT_NAME,
    FILE_NAME,
    TAG,
    terminology_context,
    terminology_file,
    terminology_json,
    terminology_tag,
)

TERMINOLOGY_FILE = Path(__file__).resolve().parents[1] / "Resources" / "Terminology" / FILE_NAME


@pytest.fixture(scope="module")
def reference() -> Volume:
    """Oblique in all axes, anisotropic and left-handed."""
    axes = Rotation.from_euler("xyz", (10, -20, 33), degrees=True).as_matrix() @ np.diag((1, -1, 1))
    matrix = matrix_from_parts((0.9, 0.8, 3.7), axes, (-10.123456, 22.5, -35.25))
    return Volume(np.zeros((12, 40, 36), np.float32), matrix, "T1w", "T1w of the test")


@pytest.fixture(scope="module")
def segmentation(reference: Volume) -> Segmentation:
    """Every structure; nested, overlapping, single-voxel and empty ones among them."""
    masks = {name: np.zeros(reference.shape, bool) for name in STRUCTURES}
    masks["Brain"][2:11, 4:30, 4:30] = True
    masks["Brainstem"][2:6, 10:20, 12:20] = True  # inside the brain
    masks["GTVp"][1:7, 8:24, 10:26] = True  # over both
    masks["Lobe_Temporal_L"][3:5, 6:12, 22:29] = True
    masks["Lobe_Temporal_R"][3:5, 6:12, 5:11] = True
    masks["Eye_L"][0, 0, 0] = True
    masks["Eye_R"][11, 39, 35] = True
    masks["Parotid_L"][:, 35:, 3] = True
    provenance = Provenance(
        True,
        "segmentation",
        inputs=(
            {"sequence": "T1w", "name": "a|b ~ c:d", "synthetic": False},
            {"sequence": "CE-T1w", "name": "made", "synthetic": True},
        ),
        bundle="npc_segmentation",
        bundle_version="1.0",
        bundle_hash="0123456789abcdef0123",
        warnings=('a slice is missing:\nindex "7"',),
    )
    return Segmentation(masks, reference, provenance, ("鼻咽 not covered",))


@pytest.fixture(scope="module")
def seg_nrrd(segmentation: Segmentation, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("segmentation") / "NPC.seg.nrrd"
    assert save_segmentation(segmentation, path) == (path,)
    return path


class SlicerSegmentation:
    """A segmentation node that Slicer's own storage node fills and saves."""

    def __init__(self, path: Path) -> None:
        self.slicer = pytest.importorskip("slicer")
        self.scene = self.slicer.vtkMRMLScene()
        self.logic = self.slicer.vtkSlicerSegmentationsModuleLogic()
        self.logic.SetMRMLScene(self.scene)
        self.node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        storage = self.scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(str(path))
        assert storage.ReadData(self.node) == 1
        self.segmentation = self.node.GetSegmentation()

    def segment(self, name: str):
        return self.segmentation.GetSegment(self.segmentation.GetSegmentIdBySegmentName(name))

    def tag(self, name: str, key: str) -> str:
        import vtk

        value = vtk.mutable("")
        assert self.segment(name).GetTag(key, value), f"{name} has no tag {key}"
        return str(value)

    def mask(self, name: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The mask on a grid of ``shape`` and the index-to-world matrix in LPS."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        image = self.segment(name).GetRepresentation("Binary labelmap")
        low_i, high_i, low_j, high_j, low_k, high_k = image.GetExtent()
        stored = (high_k - low_k + 1, high_j - low_j + 1, high_i - low_i + 1)
        labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(stored)
        mask = np.zeros(shape, bool)
        where = np.s_[low_k : high_k + 1, low_j : high_j + 1, low_i : high_i + 1]
        mask[where] = labels == self.segment(name).GetLabelValue()
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        return mask, np.diag((-1, -1, 1, 1)) @ ras

    def save_cropped(self, path: Path) -> None:
        storage = self.scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(str(path))
        storage.SetCropToMinimumExtent(True)
        assert storage.WriteData(self.node) == 1


def assert_same_masks(loaded: Segmentation, expected: Segmentation) -> None:
    assert list(loaded.masks) == list(expected.masks)
    for name, mask in expected.masks.items():
        np.testing.assert_array_equal(loaded.masks[name], mask, err_msg=name)


def test_slicer_reads_every_structure_where_it_was_drawn(seg_nrrd, segmentation, reference):
    loaded = SlicerSegmentation(seg_nrrd)
    assert loaded.segmentation.GetNumberOfSegments() == len(segmentation.masks)
    for name, expected in segmentation.masks.items():
        mask, matrix = loaded.mask(name, reference.shape)
        np.testing.assert_array_equal(mask, expected, err_msg=name)
        np.testing.assert_allclose(matrix, reference.index_to_world, atol=1e-9)
        np.testing.assert_allclose(
            loaded.segment(name).GetColor(), STRUCTURES[name].colour, atol=1e-5
        )


def test_slicer_knows_the_grid_of_the_reference_and_the_inputs(seg_nrrd, reference):
    loaded = SlicerSegmentation(seg_nrrd)
    grid = loaded.slicer.vtkOrientedImageData()
    text = loaded.segmentation.GetConversionParameter("Reference image geometry")
    assert loaded.slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, grid)
    assert grid.GetDimensions() == reference.shape[::-1]
    np.testing.assert_allclose(grid.GetSpacing(), reference.spacing, atol=1e-9)
    assert loaded.tag("GTVp", "MRISynth.Inputs") == "T1w, SYNTHETIC CE-T1w"


def test_slicer_understands_the_coded_meaning_in_the_file(seg_nrrd):
    loaded = SlicerSegmentation(seg_nrrd)
    logic = loaded.slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.LoadTerminologyFromFile(str(TERMINOLOGY_FILE)) == CONTEXT_NAME
    for name, structure in STRUCTURES.items():
        entry = loaded.slicer.vtkSlicerTerminologyEntry()
        tag = loaded.tag(name, TAG)
        assert logic.DeserializeTerminologyEntry(tag, entry), name
        # True only if the loaded list has this very category, type and modifier.
        assert logic.UpdateEntryFromLoadedTerminologies(entry, [CONTEXT_NAME], []), name
        assert logic.SerializeTerminologyEntry(entry) == tag
        assert entry.GetCategoryObject().GetCodeValue() == structure.category[1]
        assert entry.GetTypeObject().GetCodeValue() == structure.type[1]
        modifier = entry.GetTypeModifierObject()
        coloured = entry.GetTypeObject()
        if structure.modifier is not None:
            assert modifier.GetCodeMeaning() == structure.modifier[2]
            coloured = modifier
        else:
            assert not modifier.GetCodeValue()
        expected = np.multiply(structure.colour, 255)
        np.testing.assert_allclose(coloured.GetRecommendedDisplayRGBValue(), expected, atol=0.51)


def test_shipped_terminology_is_what_the_structures_say():
    assert terminology_file() == TERMINOLOGY_FILE
    assert TERMINOLOGY_FILE.read_text(encoding="utf-8") == terminology_json(), (
        "run: python -m MRISynthSegmentLib.terminology Resources/Terminology/MRISynth.term.json"
    )


def test_structures_that_slicer_could_not_tell_apart_are_refused():
    eye = STRUCTURES["Eye_L"]
    with pytest.raises(ValueError, match="same codes"):
        terminology_context([eye, eye])


def test_a_separator_in_a_code_is_refused():
    from dataclasses import replace

    with pytest.raises(ValueError, match="separator"):
        terminology_tag(replace(STRUCTURES["Brain"], type=("SCT", "1", "Brain^stem")))


def test_seg_nrrd_comes_back_as_it_was(seg_nrrd, segmentation, reference):
    loaded = load_segmentation(seg_nrrd, reference)
    assert_same_masks(loaded, segmentation)
    assert loaded.provenance == segmentation.provenance
    assert loaded.warnings == segmentation.warnings
    assert DISCLAIMER.encode() in seg_nrrd.read_bytes()


def test_a_file_that_slicer_saved_cropped_comes_back_on_the_full_grid(
    seg_nrrd, segmentation, reference, tmp_path
):
    saved = tmp_path / "edited.seg.nrrd"
    slicer_side = SlicerSegmentation(seg_nrrd)
    for name in ("Eye_L", "Eye_R", "Parotid_L"):  # they reach the corners of the grid
        slicer_side.segmentation.RemoveSegment(name)
    slicer_side.save_cropped(saved)
    import nrrd

    assert tuple(nrrd.read_header(str(saved))["sizes"][-3:]) != reference.shape[::-1]
    loaded = load_segmentation(saved, reference)
    kept = {n: m for n, m in segmentation.masks.items() if n in loaded.masks}
    assert len(kept) == len(segmentation.masks) - 3
    assert_same_masks(loaded, Segmentation(kept, reference))


def test_what_slicer_leaves_of_the_provenance_is_read_back(seg_nrrd, segmentation, tmp_path):
    saved = tmp_path / "edited.seg.nrrd"
    slicer_side = SlicerSegmentation(seg_nrrd)
    for tag in (INPUTS_TAG, ORIGIN_TAG, DRAWN_TAG):
        slicer_side.segment("Brain").RemoveTag(tag)  # one that was added by hand
    slicer_side.segment("Eye_L").SetTag(INPUTS_TAG, "T2w")  # one of another segmentation
    slicer_side.segment("Eye_R").SetTag(INPUTS_TAG, "SYNTHETIC CE-T1w")
    slicer_side.save_cropped(saved)
    left = load_segmentation(saved, segmentation.reference).provenance
    assert (left.kind, left.synthetic) == ("segmentation", True)
    assert (left.bundle, left.bundle_version) == ("npc_segmentation", "1.0")
    assert left.bundle_hash == segmentation.provenance.bundle_hash
    drawn_on = {(item["sequence"], item["synthetic"]): item for item in left.inputs}
    assert list(drawn_on) == [("T1w", False), ("CE-T1w", True), ("T2w", False)]
    structures = {key: set(item["structures"]) for key, item in drawn_on.items()}
    others = set(STRUCTURES) - {"Brain", "Eye_L", "Eye_R"}
    assert structures["T1w", False] == others
    assert structures["CE-T1w", True] == others | {"Eye_R"}
    assert structures["T2w", False] == {"Eye_L"}
    said = note_of(Segmentation(segmentation.masks, segmentation.reference, left))
    assert said.startswith("Drawn on T1w, SYNTHETIC CE-T1w, T2w by npc_segmentation 1.0 [0123456")
    for name in STRUCTURES:
        slicer_side.segment(name).RemoveTag(INPUTS_TAG)
    slicer_side.save_cropped(saved)
    assert load_segmentation(saved, segmentation.reference).provenance is None


def test_a_model_that_named_no_inputs_is_still_a_model(seg_nrrd, segmentation, tmp_path):
    saved = tmp_path / "edited.seg.nrrd"
    slicer_side = SlicerSegmentation(seg_nrrd)
    for name in STRUCTURES:
        slicer_side.segment(name).SetTag(INPUTS_TAG, "not recorded")
    slicer_side.save_cropped(saved)
    left = load_segmentation(saved, segmentation.reference).provenance
    assert left is not None and left.inputs == () and not left.synthetic


ODD = Algorithm('Atlas | "3"', "1\\2", "Planner", "a=b:c", ("DCM", "123111", "Verformbar: ü"))
WHO = {
    "Brain": Origin("MANUAL", None, "zwei Ärzte | 100 %", "Müller^Jörg"),
    "Eye_L": Origin("AUTOMATIC", ODD, "Twelve\nheads", "", "AVOIDANCE"),
    "Eye_R": Origin("SEMIAUTOMATIC", ODD),
    "Parotid_L": Origin("", None, "", "", "CONTROL"),
}
DOUBT = {"GTVp": 0.4321, "Brainstem": 0.0, "Lobe_Temporal_R": 0.125}


@pytest.fixture
def recorded(segmentation):
    return replace(segmentation, origins=WHO, doubt=DOUBT)


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz"])
def test_who_drew_a_structure_and_how_doubtful_it_is_are_kept(
    recorded, reference, tmp_path, suffix
):
    save_segmentation(recorded, tmp_path / f"NPC{suffix}")
    loaded = load_segmentation(tmp_path / f"NPC{suffix}", reference)
    assert {name: loaded.origins[name] for name in WHO} == WHO
    assert loaded.origins["GTVp"].algorithm.parameters.startswith("hash=0123456789abcdef0123,")
    assert dict(loaded.doubt) == DOUBT and loaded.warnings == recorded.warnings
    assert algorithm_types(loaded) == algorithm_types(recorded)
    again = tmp_path / f"again{suffix}"
    save_segmentation(loaded, again)
    assert load_segmentation(again, reference).origins == loaded.origins


def test_what_was_edited_in_slicer_is_known_and_the_rest_is_still_the_models(
    recorded, reference, tmp_path
):
    save_segmentation(recorded, tmp_path / "NPC.seg.nrrd")
    slicer_side = SlicerSegmentation(tmp_path / "NPC.seg.nrrd")
    lobe = slicer_side.segment("Lobe_Temporal_R")
    slicer_side.segmentation.SeparateSegmentLabelmap("Lobe_Temporal_R")
    image = lobe.GetRepresentation("Binary labelmap")
    image.SetScalarComponentFromDouble(8, 9, 4, 0, 0)  # one voxel less
    slicer_side.segment("Eye_L").RemoveTag(DRAWN_TAG)  # nobody knows how it looked
    added = slicer_side.slicer.vtkSegment()
    added.DeepCopy(slicer_side.segment("Eye_L"))
    added.SetName("Bolus")
    for tag in (INPUTS_TAG, ORIGIN_TAG, DRAWN_TAG):
        added.RemoveTag(tag)
    slicer_side.segmentation.AddSegment(added, "Bolus")
    slicer_side.save_cropped(tmp_path / "saved.seg.nrrd")
    loaded = load_segmentation(tmp_path / "saved.seg.nrrd", reference)
    types = algorithm_types(loaded)
    assert loaded.masks["Lobe_Temporal_R"].sum() == recorded.masks["Lobe_Temporal_R"].sum() - 1
    assert types["Lobe_Temporal_R"] == "SEMIAUTOMATIC"
    assert dict(loaded.doubt) == {"GTVp": 0.4321, "Brainstem": 0.0}
    assert types["Eye_L"] == "SEMIAUTOMATIC" and loaded.origins["Eye_L"].algorithm == ODD
    assert loaded.origins["Brain"] == WHO["Brain"]
    models = set(STRUCTURES) - set(WHO) - {"Lobe_Temporal_R"}
    assert {types[name] for name in models} == {"AUTOMATIC"}
    assert set(unrecorded(loaded)) == {"Parotid_L", "Bolus"}
    said = " ".join(loaded.warnings)
    assert "Changed since a model drew them: Lobe_Temporal_R;" in said
    assert "perhaps changed: Eye_L;" in said


def test_a_label_map_that_was_painted_over_is_no_models_any_more(recorded, reference, tmp_path):
    save_segmentation(recorded, tmp_path / "NPC.nii.gz")
    file = tmp_path / "Brainstem.nii.gz"
    image = nibabel.load(file)
    voxels = np.asarray(image.dataobj).copy()
    voxels[20, 30, 8] = 1
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), file)
    loaded = load_segmentation(tmp_path / "NPC.nii.gz", reference)
    assert algorithm_types(loaded)["Brainstem"] == "SEMIAUTOMATIC"
    assert "Brainstem" not in loaded.doubt and loaded.doubt["GTVp"] == 0.4321


def test_nifti_keeps_overlaps_and_names_its_labels(segmentation, reference, tmp_path):
    written = save_segmentation_nifti(segmentation, tmp_path / "out")
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    assert_same_masks(load_segmentation(written[0], reference), segmentation)

    image = nibabel.load(written[0])
    ras = np.diag((-1, -1, 1, 1)) @ reference.index_to_world
    np.testing.assert_allclose(image.affine, ras, atol=1e-4)
    labels = np.asarray(image.dataobj).transpose(2, 1, 0)
    content = json.loads((tmp_path / "out" / "segmentation.json").read_text(encoding="utf-8"))
    by_name = {entry["name"]: entry for entry in content["structures"]}
    label = {name: entry["label"] for name, entry in by_name.items()}
    masks = segmentation.masks
    # A tumour over everything, and the smaller organ over the larger one.
    assert np.all(labels[masks["GTVp"]] == label["GTVp"])
    stem = masks["Brainstem"] & ~masks["GTVp"]
    assert np.all(labels[stem] == label["Brainstem"])
    hidden = np.count_nonzero(masks["Brain"] & (labels != label["Brain"]))
    assert by_name["Brain"]["voxels_hidden_in_label_map"] == hidden > 0
    assert by_name["Brain"]["volume_ml"] == pytest.approx(segmentation.volume_ml("Brain"), 1e-3)
    assert by_name["OpticNrv_L"]["codes"]["side"]["value"] == "7771000"
    assert content["provenance"]["inputs"][1]["synthetic"] is True
    assert "SYNTHETIC CE-T1w" in content["note"]


def test_the_suffix_decides_on_the_format(segmentation, reference, tmp_path):
    written = save_segmentation(segmentation, tmp_path / "organs.nii.gz")
    assert (tmp_path / "organs.json") in written
    (tmp_path / "organs.json").unlink()
    plain = load_segmentation(tmp_path / "organs.nii.gz", reference)
    np.testing.assert_array_equal(plain.masks["Segment_1"], segmentation.masks["GTVp"])
    with pytest.raises(InputError, match=r"\.seg\.nrrd or \.nii\.gz"):
        save_segmentation(segmentation, tmp_path / "organs.mha")


def test_an_image_is_not_taken_for_a_label_map(tmp_path):
    """It would be a structure for each grey value, and take all memory."""
    values = np.arange(12 * 40 * 36).reshape(12, 40, 36).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "t1.nii.gz")
    with pytest.raises(
        InputError, match=r"t1\.nii\.gz holds .* different values, as an image does"
    ):
        read_segmentation(tmp_path / "t1.nii.gz")


def test_names_that_no_file_may_have_are_kept_in_the_json(reference, tmp_path):
    mask = np.zeros(reference.shape, bool)
    mask[1, 2, 3] = True
    drawn = Segmentation({"../GTV: x": mask, "segmentation": ~mask}, reference)
    written = save_segmentation_nifti(drawn, tmp_path / "out")
    assert {path.parent for path in written} == {tmp_path / "out"}
    assert len(set(written)) == 4
    assert_same_masks(load_segmentation(written[0], reference), drawn)


def test_another_grid_is_refused(seg_nrrd, reference):
    moved = reference.index_to_world.copy()
    moved[0, 3] += 0.3
    with pytest.raises(InputError, match="another grid"):
        load_segmentation(seg_nrrd, reference.replace(index_to_world=moved))
    half = Volume(reference.voxels[:4], reference.index_to_world, name="half")
    with pytest.raises(InputError, match="outside half"):
        load_segmentation(seg_nrrd, half)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "suffix", "no names"])
def test_a_file_that_is_no_segmentation_is_named(damage, seg_nrrd, reference, tmp_path):
    path = tmp_path / ("x.vtm" if damage == "suffix" else "x.seg.nrrd")
    content = seg_nrrd.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-40])
    elif damage == "text":
        path.write_text("no segmentation at all\n" * 20)
    elif damage == "no names":
        import nrrd

        nrrd.write(str(path), np.zeros((4, 4, 4), np.uint8))
    elif damage != "missing":
        path.write_bytes(b"")
    with pytest.raises(InputError, match=path.name):
        load_segmentation(path, reference)


def test_nothing_is_left_where_nothing_can_be_written(segmentation, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError):
        save_segmentation(segmentation, blocked / "x.seg.nrrd")
    taken = tmp_path / "taken.seg.nrrd"
    taken.mkdir()
    with pytest.raises(OutputError, match="taken"):
        save_segmentation(segmentation, taken)
    assert sorted(tmp_path.iterdir()) == [blocked, taken]
    with pytest.raises(InputError, match="no structures"):
        save_segmentation(Segmentation({}, segmentation.reference), tmp_path / "y.seg.nrrd")
