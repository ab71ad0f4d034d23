"""Contours compared: figures against what is known of them, other grids and files, pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

import boxes_of_voxels
from dicom_series import AXIAL, CORONAL, SAGITTAL, write_series
from MRISynthApp.__main__ import main
from MRISynthApp.comparison_picture import FIRST, SECOND, draw_outlines
from MRISynthLib import io as image_io
from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_source import find_source
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.agreement import EMPTY_IN_FIRST, EMPTY_IN_SECOND
from MRISynthSegmentLib.comparison import compare
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.loading import load_any, on_grid
from MRISynthSegmentLib.segmentation import Segmentation

SHAPE = (8, 30, 36)
AXES = Rotation.from_euler("xyz", (10, -20, 33), degrees=True).as_matrix()
MATRIX = matrix_from_parts((0.8, 1.0, 3.0), AXES, (-10.0, 20.0, -35.0))
OBLIQUE_A_LITTLE = Rotation.from_euler("xyz", (3, -4, 5), degrees=True).as_matrix()
AMBER = (240, 180, 70)
"""The colour of the word SYNTHETIC in pictures."""


def box(*sides: tuple[int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """True from ... to ... along slices, rows, columns."""
    return boxes_of_voxels.box(shape, *sides)


BOX = box((2, 6), (8, 18), (10, 20))
EMPTY = np.zeros(SHAPE, bool)


def image(matrix: np.ndarray = MATRIX, shape=SHAPE, **attributes) -> Volume:
    voxels = np.random.default_rng(0).uniform(50, 60, shape).astype(np.float32)
    return Volume(voxels, matrix, **{"sequence": "T1w", "name": "T1w test", **attributes})


def drawn(masks: dict[str, np.ndarray], synthetic: bool | None = None, **attributes):
    """A segmentation; with ``synthetic`` given, of a network on T1w and CE-T1w."""
    provenance = None
    if synthetic is not None:
        inputs = (
            {"sequence": "T1w", "name": "a", "synthetic": False},
            {"sequence": "CE-T1w", "name": "b", "synthetic": synthetic},
        )
        provenance = Provenance(synthetic, "segmentation", inputs=inputs, bundle="model")
    reference = attributes.pop("reference", None)
    return Segmentation(masks, reference or image(), provenance, **attributes)


# --- two segmentations --------------------------------------------------------------------


def test_what_is_only_in_one_is_said_and_what_both_have_is_compared() -> None:
    first = drawn({"GTVp": BOX, "Brainstem": BOX, "Eye_L": EMPTY, "CTV": BOX})
    second = drawn({"Brain stem": np.roll(BOX, 1, 2), "Eye_L": BOX, "GTVp": BOX, "PTV": BOX})
    found = compare(first, second)
    rows = {row.structure: row for row in found.rows}
    assert list(rows) == ["GTVp", "Brainstem", "Eye_L"]
    assert rows["Brainstem"].agreement.dice == pytest.approx(0.9)
    assert rows["Eye_L"].agreement.reason == EMPTY_IN_FIRST
    assert (found.only_in_first, found.only_in_second) == (("CTV",), ("PTV",))
    assert any("Brainstem with Brain stem" in warning for warning in found.warnings)


def test_names_that_could_be_two_structures_are_not_matched() -> None:
    first = drawn({"GTVp": BOX, "Node_L": BOX})
    second = drawn({"GTVp": BOX, "node L": BOX, "NODE_L": BOX})
    found = compare(first, second)
    assert [row.structure for row in found.rows] == ["GTVp"]
    assert found.only_in_second == ("node L", "NODE_L")


def test_structures_asked_for_by_name() -> None:
    pair = (
        drawn({"GTVp": BOX, "Brainstem": BOX, "CTV": BOX}),
        drawn({"GTVp": BOX, "BrainStem": BOX}),
    )
    assert [row.structure for row in compare(*pair, ["brainstem"]).rows] == ["Brainstem"]
    assert compare(*pair, ["gtvp"]).only_in_first == ()
    with pytest.raises(InputError, match=r"has a structure 'Brainstm'.*Brainstem"):
        compare(*pair, ["Brainstm"])
    with pytest.raises(InputError, match=r"CTV: not in both first and second.*GTVp"):
        compare(*pair, ["CTV"])
    with pytest.raises(InputError, match="no structure in common"):
        compare(pair[0], drawn({"PTV": BOX}))


def test_contours_from_a_synthetic_image_are_marked() -> None:
    found = compare(drawn({"GTVp": BOX}, False), drawn({"GTVp": BOX}, True), names=("a", "b"))
    assert not found.first.synthetic and found.second.synthetic
    assert found.second.drawn_on == ("T1w", "SYNTHETIC CE-T1w")
    assert any(w.startswith("b was contoured on a synthetic") for w in found.warnings)
    assert "SYNTHETIC CE-T1w" in found.markdown()
    assert not compare(drawn({"GTVp": BOX}, False), drawn({"GTVp": BOX})).warnings


def test_a_cropped_and_turned_grid_gives_the_same_figures_without_a_word() -> None:
    """As Slicer saves, and as other programs turn, an image's axes."""
    second = np.roll(BOX, (1, 1, 2), (0, 1, 2))
    turned = np.eye(4)  # of the cropped, flipped and transposed grid to the whole one
    turned[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned[:3, 3] = (SHAPE[2] - 1 - 4, 3, 1)
    cropped = second[1:, 3:-1, 4:-4][:, :, ::-1].transpose(0, 2, 1)
    grid = image(MATRIX @ turned, cropped.shape)
    there = compare(drawn({"GTVp": BOX}), drawn({"GTVp": cropped}, reference=grid))
    expected = compare(drawn({"GTVp": BOX}), drawn({"GTVp": second}))
    assert there.rows == expected.rows
    assert there.warnings == ()


def test_another_grid_is_brought_onto_the_first_with_a_word() -> None:
    fine = image(matrix_from_parts((0.4, 0.5, 1.0), AXES, MATRIX[:3, 3]), (24, 60, 72))
    mask = np.kron(BOX, np.ones((3, 2, 2))).astype(bool)
    found = compare(drawn({"GTVp": BOX}), drawn({"GTVp": mask}, reference=fine))
    assert found.rows[0].agreement.dice > 0.9
    assert found.rows[0].agreement.volume_second_ml == pytest.approx(0.96, rel=0.15)
    assert any("another grid" in warning for warning in found.warnings)


def test_parts_outside_the_image_are_said_and_nothing_in_it_is_refused() -> None:
    def moved(slices: int) -> Segmentation:
        shift = np.eye(4)
        shift[2, 3] = slices
        return drawn({"GTVp": BOX, "Eye_L": EMPTY}, reference=image(MATRIX @ shift))

    found = compare(drawn({"GTVp": BOX}), moved(4))
    assert any("outside T1w test and are left out: GTVp" in text for text in found.warnings)
    assert found.rows[0].agreement.volume_second_ml == pytest.approx(0.48)
    with pytest.raises(InputError, match="do not overlap in space"):
        compare(drawn({"GTVp": BOX}), moved(20))


def test_different_frames_of_reference_are_said() -> None:
    pair = [
        drawn({"GTVp": BOX}, reference=image(acquisition={"FrameOfReferenceUID": uid}))
        for uid in ("1.2", "1.3")
    ]
    assert "different frames of reference" in compare(*pair).warnings[0]
    assert not compare(pair[0], pair[0]).warnings


def test_tables_hold_the_figures() -> None:
    first = drawn({"GTVp": BOX, "Eye_L": BOX, "a|b": BOX}, warnings=("A slice is missing.",))
    second = drawn({"GTVp": np.roll(BOX, 2, 2), "Eye_L": EMPTY, "a|b": BOX})
    found = compare(first, second, names=("one", "two"))
    lines = {line["structure"]: line for line in csv.DictReader(io.StringIO(found.csv()))}
    assert float(lines["GTVp"]["dice"]) == pytest.approx(0.8)
    shift = [lines["GTVp"][f"centre_shift_{word}_mm"] for word in ("left", "posterior", "superior")]
    np.testing.assert_allclose(np.array(shift, float), 1.6 * AXES[:, 0], atol=1e-4)
    assert (lines["Eye_L"]["hd95_mm"], lines["Eye_L"]["remark"]) == ("", EMPTY_IN_SECOND)

    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["structures"]["GTVp"]["hd95_mm"] == pytest.approx(1.6)
    assert record["structures"]["Eye_L"]["hd95_mm"] is None
    assert record["warnings"] == ["one: A slice is missing."]

    rows = {row[0]: row for row in found.table().rows}
    assert rows["GTVp"][1] == "0.800" and rows["Eye_L"][2] == "–"
    assert rows["GTVp"][9] == "1.6 (L 1.3, P 0.8, S 0.5)"
    widths = {line.count("|") for line in found.markdown().splitlines() if line.startswith("|")}
    assert len(widths) == 1, "a name broke the table"


# --- files --------------------------------------------------------------------------------


def test_a_file_on_its_own_grid_is_brought_onto_the_image(tmp_path) -> None:
    fine = image(matrix_from_parts((0.4, 0.5, 1.0), AXES, MATRIX[:3, 3]), (24, 60, 72))
    masks = {name: np.kron(BOX, np.ones((3, 2, 2))).astype(bool) for name in ("GTVp", "Brain")}
    for name in ("fine.seg.nrrd", "fine.nii.gz"):
        save_segmentation(drawn(masks, True, reference=fine), tmp_path / name)
        found = load_any(tmp_path / name, image())
        assert found.masks.keys() == masks.keys() and found.reference.name == "T1w test"
        assert 2 * (found.masks["GTVp"] & BOX).sum() / (found.masks["GTVp"].sum() + 400) > 0.9
        assert found.provenance.synthetic
        assert any("another grid" in warning for warning in found.warnings)
    assert not on_grid(found, image(), "x").warnings[len(found.warnings) :]


@pytest.fixture
def series(tmp_path) -> Volume:
    write_series(tmp_path / "series")
    return image_io.load_one(tmp_path / "series")


@pytest.fixture
def contours(series) -> Segmentation:
    mask = box((2, 6), (3, 9), (2, 8), shape=series.shape)
    return drawn({"GTVp": mask, "Brain": np.roll(mask, 1, 2)}, True, reference=series)


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_dicom_contours_compare_with_what_they_were_written_from(
    tmp_path, series, contours, kind
) -> None:
    from MRISynthSegmentLib.dicom_seg import write_dicom_seg
    from MRISynthSegmentLib.rtstruct import write_rtstruct

    source = find_source([tmp_path / "series"], series)
    path = tmp_path / "exported" / "file"  # no suffix says what it is
    path.parent.mkdir()
    (write_rtstruct if kind == "rtstruct" else write_dicom_seg)(contours, path, source)
    for place in (path, path.parent):
        found = compare(contours, load_any(place, series), names=("drawn", "exported"))
        assert [row.structure for row in found.rows] == ["GTVp", "Brain"]
        for row in found.rows:
            assert row.agreement.dice > 0.95 and row.agreement.centre_shift_mm < 0.1
        assert found.second.synthetic


def test_what_holds_no_contours_is_refused_in_words(tmp_path, series) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("GTVp")
    (tmp_path / "bad.seg.nrrd").write_bytes(b"NRRD0004\n")
    two = tmp_path / "two"
    two.mkdir()
    for name in ("one.dcm", "other.dcm"):
        data = pydicom.dcmread(next((tmp_path / "series").iterdir()))
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = (
            pydicom.uid.RTStructureSetStorage
        )
        data.save_as(two / name)
    for path, words in {
        "series": "neither an RTSTRUCT nor a SEG",
        "two": "one.dcm, other.dcm",
        "empty": "holds no RTSTRUCT",
        "absent.dcm": "no file or folder",
        "notes.txt": "not a segmentation",
        "bad.seg.nrrd": "damaged",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            load_any(tmp_path / path, series)
        assert str(caught.value).endswith(".")


# --- pictures -----------------------------------------------------------------------------


def picture(folder: Path, first: Segmentation, second: Segmentation, name="outlines.png"):
    draw_outlines(compare(first, second), first, second, folder)
    return np.asarray(Image.open(folder / name).convert("RGB")).astype(int)


def seen(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has a colour."""
    return np.abs(pixels - colour).max(-1) < 40


def straight(voxels=None, **attributes) -> Volume:
    """An axial grid without rotation; its grey values are far from the lines' colours."""
    grid = image(matrix_from_parts((1.0, 1.0, 3.0)), **attributes)
    return grid.with_voxels(np.zeros(SHAPE, np.float32) if voxels is None else voxels)


def test_both_outlines_are_where_the_masks_are(tmp_path) -> None:
    """The second lies 6 mm to the patient's left: to the right in the picture."""
    first = drawn({"GTVp": BOX}, reference=straight())
    second = drawn({"GTVp": np.roll(BOX, 6, 2)}, reference=straight())
    pixels = picture(tmp_path, first, second)
    panel = pixels[-370:-30]  # without legend and caption
    mm = 50 / 340  # the least width of a panel
    middle = (9.5 + 25.5) / 2  # of both boxes' outer edges
    for colour, left in ((FIRST, 9.5), (SECOND, 15.5)):
        columns = np.flatnonzero(seen(panel, colour).any(0))
        assert columns.min() * mm == pytest.approx(left - middle + 25, abs=0.6)
        assert columns.max() * mm == pytest.approx(left + 10 - middle + 25, abs=0.6)
        rows = np.flatnonzero(seen(panel, colour).any(1))
        assert np.ptp(rows) * mm == pytest.approx(10, abs=0.8)


def test_the_first_is_a_solid_line_and_the_second_a_broken_one(tmp_path) -> None:
    first = drawn({"GTVp": BOX}, reference=straight())
    second = drawn({"GTVp": np.roll(BOX, 6, 2)}, reference=straight())
    panel = picture(tmp_path, first, second)[-370:-30]
    for colour, side, solid in ((FIRST, 0, True), (SECOND, -1, False)):
        line = seen(panel, colour)
        column = np.flatnonzero(line.any(0))[side]
        near = line[:, max(0, column - 3) : column + 4].any(1)
        rows = np.flatnonzero(near)
        share = near[rows.min() : rows.max() + 1].mean()
        assert (share > 0.97) == solid, share


def test_pictures_lie_as_radiologists_look_at_them(tmp_path) -> None:
    """The same patient on a grid whose arrays run the other way gives the same picture."""
    voxels = np.zeros(SHAPE, np.float32)
    voxels[:, 10:14, 14:26] = 100
    first, second = {"GTVp": BOX}, {"GTVp": np.roll(BOX, 3, 1)}
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = SHAPE[2] - 1, SHAPE[1] - 1
    plain = straight(voxels)
    turned = Volume(voxels[:, ::-1, ::-1], plain.index_to_world @ flip, "T1w", plain.name)
    pictures = []
    for grid in (plain, turned):
        masks = [
            {k: m if grid is plain else m[:, ::-1, ::-1] for k, m in each.items()}
            for each in (first, second)
        ]
        pictures.append(picture(tmp_path, *(drawn(each, reference=grid) for each in masks)))
    assert np.abs(pictures[0] - pictures[1]).max() < 60
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.5
    bright = pictures[0][-370:-30].min(-1) > 150
    assert bright[:170].sum() > 2 * bright[170:].sum() > 0, "cannot tell which way up it is"


@pytest.mark.parametrize(
    ("axes", "right", "above"),
    [(AXIAL, (0, 1), (1, -1)), (CORONAL, (0, 1), (2, 1)), (SAGITTAL, (1, 1), (2, 1))],
    ids=["axial", "coronal", "sagittal"],
)
def test_sides_are_where_the_letters_say(tmp_path, axes, right, above) -> None:
    """Bright where the patient is to the right, or above, in the picture (axis, sign of LPS)."""
    matrix = matrix_from_parts((1.0, 1.0, 3.0), axes @ OBLIQUE_A_LITTLE)
    matrix[:3, 3] -= matrix[:3, :3] @ ((np.array(SHAPE[::-1]) - 1) / 2)
    index = np.moveaxis(np.indices(SHAPE)[::-1], 0, -1)
    world = index @ matrix[:3, :3].T + matrix[:3, 3]
    middle = drawn({"GTVp": box((2, 6), (10, 20), (13, 23))}, reference=image(matrix))
    for (axis, sign), half in ((right, np.s_[:, 170:]), (above, np.s_[:170])):
        shown = image(matrix).with_voxels((100 * (world[..., axis] * sign > 0)).astype(np.float32))
        seg = Segmentation(middle.masks, shown)
        bright = picture(tmp_path, seg, seg)[-370:-30].min(-1) > 150
        assert bright[half].sum() > 0.8 * bright.sum() > 1000


def test_synthetic_is_written_where_it_is_true(tmp_path) -> None:
    """In the legend for contours; for the image also in every panel, which may be cut out."""

    def amber(first: Segmentation, second: Segmentation) -> tuple[bool, bool]:
        where = (picture(tmp_path, first, second) == AMBER).all(-1)
        return bool(where[:-370].any()), bool(where[-370:].any())

    real, made = (drawn({"GTVp": BOX}, flag, reference=straight()) for flag in (False, True))
    assert amber(real, real) == (False, False)
    assert amber(real, made) == amber(made, real) == (True, False)
    under = straight(provenance=Provenance(True, sequence="T1w"))
    on_synthetic = drawn({"GTVp": BOX}, reference=under)
    assert amber(on_synthetic, on_synthetic) == (True, True)


def test_many_structures_take_several_pages_and_empty_ones_no_room(tmp_path) -> None:
    masks = {f"S{n}": BOX for n in range(13)}
    first, second = drawn({**masks, "none": EMPTY}), drawn({**masks, "none": EMPTY})
    files = draw_outlines(compare(first, second), first, second, tmp_path)
    assert [path.name for path in files] == ["outlines_1.png", "outlines_2.png"]
    wide, single = (Image.open(path).size for path in files)
    assert wide[0] > 3 * single[0] and wide[1] > 2 * single[1]
    nothing = drawn({"none": EMPTY})
    assert draw_outlines(compare(nothing, nothing), nothing, nothing, tmp_path) == ()


# --- the command --------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> list[str]:
    image_io.save(image(), tmp_path / "t1.nii.gz")
    shifted = {"GTVp": np.roll(BOX, 1, 2), "Brain": EMPTY, "Eye_R": BOX}
    save_segmentation(drawn({"GTVp": BOX, "Brain": BOX}, False), tmp_path / "real.seg.nrrd")
    save_segmentation(drawn(shifted, True), tmp_path / "made.nii.gz")
    names = ("real.seg.nrrd", "made.nii.gz", "--reference", "t1.nii.gz")
    return ["compare", *(n if n.startswith("--") else str(tmp_path / n) for n in names)]


def test_the_command_writes_tables_and_pictures(capfd, files, tmp_path) -> None:
    results = tmp_path / "results"
    assert main([*files, "-o", str(results), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    names = {"comparison.csv", "comparison.json", "comparison.md", "outlines.png"}
    assert {path.name for path in results.iterdir()} == names
    assert {Path(path).name for path in said["outputs"].values()} == names
    gtv = said["comparison"]["structures"]["GTVp"]
    assert gtv["dice"] == pytest.approx(0.9) and gtv["hd95_mm"] == pytest.approx(0.8)
    assert said["comparison"]["structures"]["Brain"]["remark"] == EMPTY_IN_SECOND
    assert said["comparison"]["only_in_second"] == ["Eye_R"]
    assert any("made.nii.gz was contoured on a synthetic" in text for text in said["warnings"])
    assert json.loads((results / "comparison.json").read_text("utf-8")) == said["comparison"]


def test_the_command_shows_a_table_and_writes_nothing_unasked(capfd, files, tmp_path) -> None:
    before = set(tmp_path.rglob("*"))
    assert main(files) == 0
    shown = capfd.readouterr()
    assert "GTVp" in shown.out and "0.90" in shown.out and EMPTY_IN_SECOND in shown.out
    assert "Eye_R" in shown.err and "synthetic" in shown.err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: "absent.seg.nrrd"}, "no file or folder"),
        ({2: "real.seg.nrrd"}, "given twice"),
        ({4: "real.seg.nrrd"}, "real.seg.nrrd"),
        ({5: "--structures", 6: "Brian"}, "nearest: Brain"),
    ],
)
def test_bad_requests_are_refused_in_words(capfd, files, tmp_path, change, words) -> None:
    arguments = [*files, "", ""]
    for place, text in change.items():
        arguments[place] = str(tmp_path / text) if "." in text else text
    arguments = [text for text in arguments if text]
    assert main([*arguments, "-o", str(tmp_path / "results"), "--json"]) == 2
    said = capfd.readouterr()
    assert words in json.loads(said.out)["error"]
    assert "Traceback" not in said.err
    assert not (tmp_path / "results").exists()


def test_pictures_of_an_earlier_comparison_are_pointed_out(capfd, files, tmp_path) -> None:
    (tmp_path / "outlines_2.png").write_bytes(b"")
    assert main([*files, "-o", str(tmp_path), "--json"]) == 0
    warnings = json.loads(capfd.readouterr().out)["warnings"]
    assert any("outlines_2.png" in text and "earlier" in text for text in warnings)


def test_a_label_maps_own_names_are_not_overwritten(capfd, tmp_path) -> None:
    image_io.save(image(), tmp_path / "t1.nii.gz")
    for name in ("comparison.nii.gz", "other.seg.nrrd"):
        save_segmentation(drawn({"GTVp": BOX}), tmp_path / name)
    names = [str(tmp_path / name) for name in ("comparison.nii.gz", "other.seg.nrrd", "t1.nii.gz")]
    before = (tmp_path / "comparison.json").read_bytes()
    assert main(["compare", *names[:2], "--reference", names[2], "-o", str(tmp_path)]) == 2
    assert "overwrite an input" in capfd.readouterr().err
    assert (tmp_path / "comparison.json").read_bytes() == before
