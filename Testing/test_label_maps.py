"""Labelled heads: their shape varies, the atlas is joined to them, left stays left."""

from __future__ import annotations

import errno
import json
import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest

from MRISynthLib.errors import Cancelled, InputError, OutputError
from MRISynthLib.progress import Callbacks
from MRISynthLib.simulation import HeadSource
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.simulation.atlas import GRID, AtlasSource, registration_grid
from MRISynthLib.simulation.deformation import (
    Variation,
    exponential,
    random_displacement,
    random_head_coordinates,
)
from MRISynthLib.simulation.label_maps import LabelMapSource
from MRISynthLib.simulation.tissues import TISSUE_INDEX

MAPPINGS = Path(__file__).parents[1] / "Resources" / "LabelMaps"
UNCHANGED = Variation(0, 0, 0, 0, 0, 0, 0, 0)
SHAPE, ORIGIN = (118, 176, 150), (-74.5, -92.0, -118.0)
LOWERED_MM = 7.0
"""The jaw and the neck of the head lie this much lower than the atlas's."""

HEAD_MAPPING = {
    "tissues": {
        "white matter": [2, 41, 16, 512],
        "grey matter": [17, 53, 10, 49],
        "CSF": [15, 24],
        "nerve": [85],
        "vitreous": [506],
        "skin": [511],
        "cortical bone": [515],
        "marrow": [516],
    },
    "soft_tissue": [507],
    "skin": [511],
    "bone": [515, 516],
    "structures": {
        "Brain": [2, 41, 16, 17, 53, 10, 49, 15],
        "Brainstem": [16],
        "Hippocampus_L": [17],
        "Hippocampus_R": [53],
        "Eye": [506],
    },
    "cerebrum": {"L": [2], "R": [41]},
    "temporal": {"L": [17], "R": [53]},
    "landmarks": {
        "16": [0, 26, -20],
        "15": [0, 40, -22],
        "17": [26, 10, -6],
        "53": [-26, 10, -6],
        "10": [10, 16, 18],
        "49": [-10, 16, 18],
        "506L": [31, -61, 0],
        "506R": [-31, -61, 0],
    },
}
ATLAS_MAPPING = {
    "tissues": {
        "cortical bone": [10, 25],
        "muscle": [55, 56],
        "parotid gland": [49, 50],
        "gland": [118],
        "vein": [109, 110],
    },
    "bone": [10, 25],
    "muscles": {"masseter": [55, 56]},
    "structures": {
        "Parotid_L": [49],
        "Parotid_R": [50],
        "Glnd_Thyroid": [118],
        "Bone_Mandible": [25],
    },
}


def _grid(step: float, low=(-100.0, -120.0, -150.0), high=(100.0, 130.0, 100.0)):
    """(index-to-world in LPS mm, x, y, z) of a grid with ``step`` mm voxels."""
    axes = [np.arange(a, b, step, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = [axis[0] for axis in axes]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return matrix, x, y, z


def _ball(x, y, z, centre, radii):
    return sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True)) < 1


def _bones(x, y, z, lowered: float = 0.0):
    """(skull, mandible): a vault, a base with a maxilla; a horseshoe with two branches."""
    skull = _ball(x, y, z, (0, 18, 24), (74, 92, 74)) & ~_ball(x, y, z, (0, 18, 26), (68, 86, 68))
    skull |= (np.abs(x) < 30) & (y > -75) & (y < -20) & (z > -50) & (z < -12)
    z = z + lowered
    ring = np.hypot(x / 46, (y + 20) / 52)
    body = (ring > 0.86) & (ring < 1.05) & (y < -16) & (z > -98) & (z < -76)
    branch = (np.abs(np.abs(x) - 46) < 4) & (np.abs(y + 12) < 15) & (z > -98) & (z < -30)
    return skull, body | branch


def _write(labels: np.ndarray, matrix: np.ndarray, file: Path) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
    nibabel.save(nibabel.Nifti1Image(labels.transpose(2, 1, 0).astype(np.int16), affine), file)
    return file


def _head(step: float = 2.0, bottom: float = -150.0):
    """A head whose left eye is the larger; below ``bottom`` the scan ends."""
    matrix, x, y, z = _grid(step)
    body = _ball(x, y, z, (0, 18, 22), (82, 100, 82)) | _ball(x, y, z, (0, -20, -60), (66, 80, 62))
    body |= (np.hypot(x, y - 20) < 56) & (z < -40)
    inner = _ball(x, y, z, (0, 18, 22), (78, 96, 78)) | _ball(x, y, z, (0, -20, -60), (62, 76, 58))
    inner |= (np.hypot(x, y - 20) < 52) & (z < -40)
    labels = np.where(body, 511, 0)
    labels[inner] = 507
    labels[_ball(x, y, z, (0, 18, 26), (68, 86, 68))] = 24
    brain = _ball(x, y, z, (0, 18, 28), (64, 82, 64))
    labels[brain & (x > 0)], labels[brain & (x <= 0)] = 2, 41
    for label, centre, radii in (
        (16, (0, 26, -20), (14, 12, 26)), (15, (0, 40, -22), (8, 8, 8)),
        (17, (26, 10, -6), (8, 12, 8)), (53, (-26, 10, -6), (8, 12, 8)),
        (10, (10, 16, 18), (8, 10, 8)), (49, (-10, 16, 18), (8, 10, 8)),
        (85, (0, -3, 7), (6, 6, 4)),
    ):  # fmt: skip
        labels[_ball(x, y, z, centre, radii)] = label
    for bone in _bones(x, y, z, LOWERED_MM):
        labels[bone & body] = 515
    labels[_ball(x, y, z, (31, -61, 0), (13, 13, 13))] = 506
    labels[_ball(x, y, z, (-31, -61, 0), (11, 11, 11))] = 506
    labels[(np.hypot(x / 9, (y + 5) / 8) < 1) & (z < -20) & (labels == 507)] = 0
    labels[z < bottom] = 0
    return labels, matrix


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    _write(*_head(), folder / "a.nii.gz")
    (folder / "mapping.json").write_text(json.dumps(HEAD_MAPPING))
    return folder


@pytest.fixture(scope="module")
def atlas_folder(tmp_path_factory) -> Path:
    """An atlas in its own frame of reference, 4 cm away and 5 percent larger."""
    folder = tmp_path_factory.mktemp("atlas")
    matrix, x, y, z = _grid(2.0)
    labels = np.zeros(x.shape, int)
    skull, mandible = _bones(x, y, z)
    labels[skull], labels[mandible] = 10, 25
    for side, muscle, gland, vein in ((1, 55, 49, 110), (-1, 56, 50, 109)):
        labels[_ball(x, y, z, (side * 56, -14, -62), (5, 14, 22))] = muscle
        labels[_ball(x, y, z, (side * 54, 12, -60), (9, 9, 18))] = gland
        labels[(np.hypot(x - side * 32, y - 10) < 5) & (z < -60) & (z > -140)] = vein
    labels[_ball(x, y, z, (0, -14, -140), (12, 8, 9))] = 118
    landmarks = {}
    for label in np.unique(labels)[1:]:
        where = labels == label
        landmarks[str(label)] = [float(p[where].mean()) for p in (x, y, z)]
    matrix[:3] *= 1.05
    matrix[:3, 3] += (40.0, -10.0, 25.0)
    _write(labels, matrix, folder / "atlas.nii.gz")
    (folder / "mapping.json").write_text(json.dumps({**ATLAS_MAPPING, "landmarks": landmarks}))
    return folder


@pytest.fixture(scope="module")
def joined(heads, atlas_folder, tmp_path_factory) -> LabelMapSource:
    """The head with the atlas registered to it, its registration kept in a folder."""
    cache = tmp_path_factory.mktemp("cache") / "registrations"
    atlas = AtlasSource(atlas_folder, cache=cache)
    source = LabelMapSource(heads, atlas=atlas, variation=UNCHANGED)
    source.head(0)
    return source


def _unmirrored(source: LabelMapSource, seed: int = 0):
    """The first build from ``seed`` on that is not a mirror image."""
    while True:
        anatomy, coordinates = source.build(0, np.random.default_rng(seed), SHAPE, ORIGIN)
        if not anatomy.description["mirrored"]:
            return anatomy, coordinates
        seed += 1


def _jacobian(field: np.ndarray, spacing: float) -> np.ndarray:
    """Determinants of the Jacobian of (3, slices, rows, columns) positions."""
    gradient = np.array([np.gradient(part, spacing)[::-1] for part in field])
    return np.linalg.det(gradient.transpose(2, 3, 4, 0, 1))


def test_a_random_shape_folds_nowhere_and_is_large():
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = -100, -110, -130
    shape = (90, 110, 100)
    seen = []
    for seed in range(4):
        coordinates = random_head_coordinates(matrix, shape, np.random.default_rng(seed))
        assert coordinates.shape == (3, *shape) and coordinates.dtype == np.float32
        assert _jacobian(coordinates, 2.0).min() > 0.2
        seen.append(coordinates)
        warp = random_displacement(shape, (2.0, 2.0, 2.0), np.random.default_rng(seed))
        assert 5 < np.sqrt((warp**2).sum(0)).max() < 14
    spread = np.std(seen, axis=0)
    assert spread.mean() > 3  # mm: no two heads are alike
    again = random_head_coordinates(matrix, shape, np.random.default_rng(3))
    np.testing.assert_array_equal(again, seen[3])


def test_without_variation_coordinates_are_those_of_the_image():
    angle = np.deg2rad(20)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, :3] *= (1.5, 1.5, 3.0)
    matrix[:3, 3] = 5, -7, 9
    found = random_head_coordinates(matrix, (4, 5, 6), np.random.default_rng(0), UNCHANGED)
    expected = matrix @ np.array([5, 4, 3, 1.0])
    np.testing.assert_allclose(found[:, 3, 4, 5], expected[:3], atol=1e-4)


def test_exponential_of_a_velocity_has_its_inverse():
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, 24),) * 3, indexing="ij")
    bump = 12 * np.exp(-3 * (x**2 + y**2 + z**2))
    velocity = np.stack([bump, -0.6 * bump, 0.4 * bump]).astype(np.float32)
    there, back = exponential(velocity, 5.0), exponential(-velocity, 5.0)
    grid = 5.0 * np.stack(np.meshgrid(*(np.arange(24.0),) * 3, indexing="ij"))[::-1]
    from scipy import ndimage

    moved = (grid + there)[::-1] / 5.0
    returned = there + np.stack([ndimage.map_coordinates(p, moved, order=1) for p in back])
    assert np.abs(returned[:, 4:-4, 4:-4, 4:-4]).max() < 0.4 < np.abs(there).max()
    np.testing.assert_allclose(exponential(np.full((3, 5, 5, 5), 2.0), 5.0), 2.0, atol=1e-5)


def test_soft_tissue_becomes_a_face_and_the_same_seed_the_same_face(heads):
    source = LabelMapSource(heads, variation=UNCHANGED)
    anatomy, _ = _unmirrored(source)
    share = np.bincount(anatomy.tissue.ravel(), minlength=64) / np.count_nonzero(anatomy.tissue)
    for name, least in (("fat", 0.05), ("muscle", 0.05), ("skin", 0.01), ("mucosa", 0.001)):
        assert share[TISSUE_INDEX[name]] > least, name
    from scipy import ndimage

    outside = ndimage.label(anatomy.tissue == 0)[0]
    outside = outside == outside[-1, 0, 0]
    surface = ndimage.binary_dilation(outside) & ~outside
    inner = surface[10:-10, 10:-10, 10:-10]
    tissue = anatomy.tissue[10:-10, 10:-10, 10:-10]
    assert (tissue[inner] == TISSUE_INDEX["skin"]).mean() > 0.8
    second_layer = ndimage.binary_dilation(outside, iterations=4) & ~outside
    assert not (anatomy.tissue[second_layer] == TISSUE_INDEX["muscle"]).mean() > 0.05
    airway = anatomy.tissue[30] == 0
    lining = ndimage.binary_dilation(airway & ~outside[30]) & (anatomy.tissue[30] > 0)
    assert (anatomy.tissue[30][lining] == TISSUE_INDEX["mucosa"]).mean() > 0.8
    again, _ = _unmirrored(LabelMapSource(heads, variation=UNCHANGED))
    np.testing.assert_array_equal(anatomy.tissue, again.tissue)
    np.testing.assert_array_equal(anatomy.structures, again.structures)


def test_sides_are_those_of_the_patient_also_in_mirror_images(heads):
    source = LabelMapSource(heads, variation=UNCHANGED)
    larger = {}
    for seed in range(20):
        anatomy, coordinates = source.build(0, np.random.default_rng(seed), SHAPE, ORIGIN)
        for pair in ("Eye", "Hippocampus", "Lens", "Glnd_Submand", "Lobe_Temporal"):
            assert coordinates[0][anatomy.mask(f"{pair}_L")].mean() > 8, pair
            assert coordinates[0][anatomy.mask(f"{pair}_R")].mean() < -8, pair
        left = np.count_nonzero(anatomy.mask("Eye_L")) > np.count_nonzero(anatomy.mask("Eye_R"))
        larger[anatomy.description["mirrored"]] = "L" if left else "R"
        if len(larger) == 2:
            break
    assert larger == {False: "L", True: "R"}
    assert set(anatomy.known) >= {"Lens_L", "Glnd_Submand_R", "Brainstem", "Hippocampus_L"}
    assert "SpinalCord" not in anatomy.known and "Pituitary" not in anatomy.known


def test_the_atlas_follows_the_bones_of_the_head(joined):
    grid = registration_grid()
    displacement = joined.head(0).displacement(grid)
    x, y, z = grid
    jaw = _bones(x, y, z, LOWERED_MM)[1] & (y < -50)
    vault = _bones(x, y, z)[0] & (z > 30)
    assert displacement[2][jaw].mean() == pytest.approx(LOWERED_MM, abs=2.0)
    assert abs(displacement[2][vault].mean()) < 4.0  # a sphere may slide along itself
    assert np.abs(displacement[0][jaw | vault]).mean() < 1.5
    assert _jacobian(grid + displacement, 3.0).min() > 0

    anatomy, coordinates = _unmirrored(joined)
    k, j, i = np.indices(SHAPE)
    height = k + ORIGIN[2]
    chin = _bones(i + ORIGIN[0], j + ORIGIN[1], height, LOWERED_MM)[1] & (j + ORIGIN[1] < -50)
    # the coordinates that come back are those of the atlas's bones
    assert (coordinates[2] - height)[chin].mean() == pytest.approx(LOWERED_MM, abs=2.0)
    for name, side in (("Parotid_L", 1), ("Parotid_R", -1)):
        gland = anatomy.mask(name)
        assert height[gland].mean() == pytest.approx(-60 - LOWERED_MM / 2, abs=6)
        assert side * (i + ORIGIN[0])[gland].mean() > 40
        held = anatomy.tissue[gland]
        allowed = [
            TISSUE_INDEX[n]
            for n in ("parotid gland", "fat", "lymphoid tissue", "vein", "skin", "mucosa")
        ]
        assert np.isin(held, allowed).all()
        assert (held == TISSUE_INDEX["parotid gland"]).mean() > 0.7
    jaw = anatomy.mask("Bone_Mandible")
    assert np.isin(
        anatomy.tissue[jaw], [TISSUE_INDEX["cortical bone"], TISSUE_INDEX["marrow"]]
    ).all()
    assert height[jaw].max() < -28
    y, x = j + ORIGIN[1], i + ORIGIN[0]
    true = _bones(x, y, height, LOWERED_MM)[1]
    assert 2 * np.count_nonzero(true & jaw) / (true.sum() + jaw.sum()) > 0.8
    masseter = (np.abs(x - 56) < 3) & (np.abs(y + 14) < 8) & (np.abs(height + 64) < 10)
    assert (anatomy.tissue[masseter] == TISSUE_INDEX["muscle"]).mean() > 0.7
    assert set(anatomy.known) >= {"Parotid_L", "Parotid_R", "Bone_Mandible"}
    assert set(anatomy.known) <= set(LABELLED_STRUCTURES)


def test_the_atlas_never_overrules_the_head(heads, joined):
    plain, _ = _unmirrored(LabelMapSource(heads, variation=UNCHANGED))
    filled, _ = _unmirrored(joined)
    for name in ("white matter", "grey matter", "CSF"):
        index = TISSUE_INDEX[name]
        kept = filled.tissue[plain.tissue == index] == index
        assert kept.all(), name


def test_a_registration_is_found_once_and_read_from_its_folder(heads, joined, monkeypatch):
    files = list(joined.atlas.cache.iterdir())
    assert [file.suffix for file in files] == [".npz"] and files[0].stat().st_size < 3_000_000
    first = joined.head(0).displacement.field

    def never(*_):
        raise AssertionError("registered again")

    monkeypatch.setattr("MRISynthLib.simulation.atlas._register", never)
    atlas = AtlasSource(joined.atlas.folder, cache=joined.atlas.cache)
    again = LabelMapSource(heads, atlas=atlas)
    np.testing.assert_array_equal(again.head(0).displacement.field, first)
    kept = files[0].read_bytes()
    files[0].write_bytes(kept[:1000])
    try:
        with pytest.raises(InputError, match="delete it"):
            LabelMapSource(heads, atlas=atlas).head(0)
    finally:
        files[0].write_bytes(kept)


def test_heads_are_made_ready_before_others_draw_from_them(
    heads, atlas_folder, joined, tmp_path, monkeypatch
):
    source = HeadSource(heads, atlas=atlas_folder, cache=tmp_path / "cache")
    told = []
    source.ready(lambda done, total: told.append((done, total)))
    assert told == [(0, 1), (1, 1)]
    files = list(source.cache.iterdir())
    kept = list(joined.atlas.cache.iterdir())
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in kept]

    def never(*_):
        raise AssertionError("registered again")

    monkeypatch.setattr("MRISynthLib.simulation.atlas._register", never)
    pickle.loads(pickle.dumps(source)).open().head(0)
    with pytest.raises(Cancelled):
        source.ready(callbacks=Callbacks(cancelled=lambda: True))


def test_what_lies_beyond_the_end_of_the_scan_is_not_known(tmp_path, joined, monkeypatch):
    _write(*_head(bottom=-60.0), tmp_path / "short.nii.gz")
    (tmp_path / "mapping.json").write_text(json.dumps(HEAD_MAPPING))
    field = joined.head(0).displacement
    monkeypatch.setattr(AtlasSource, "register", lambda *_: field)
    source = LabelMapSource(tmp_path, atlas=joined.atlas, variation=UNCHANGED)
    view = source.head(0).view
    below = np.array([0, 20, -100.0], np.float32).reshape(3, 1, 1, 1)
    assert not view(below).any()  # beneath the neck: no air, but not scanned
    beside = np.array([90.0, 20, 20], np.float32).reshape(3, 1, 1, 1)
    assert view(beside).all()  # beside the head: air
    anatomy, _ = source.build(0, np.random.default_rng(1), SHAPE, ORIGIN)
    assert "Parotid_L" not in anatomy.known and "Bone_Mandible" not in anatomy.known
    whole, _ = joined.build(0, np.random.default_rng(1), SHAPE, ORIGIN)
    assert "Parotid_L" in whole.known and "Bone_Mandible" in whole.known
    cut = anatomy.tissue[int(-60 - ORIGIN[2]) + 2]
    assert (cut == TISSUE_INDEX["skin"]).sum() < 0.2 * (cut > 0).sum()  # no skin on the cut


def test_maps_and_mappings_that_cannot_be_used_are_refused(tmp_path, heads, atlas_folder):
    with pytest.raises(InputError, match="no NIfTI"):
        LabelMapSource(tmp_path)
    labels, matrix = _head(8.0)
    _write(labels, matrix, tmp_path / "a.nii.gz")
    mapping = tmp_path / "mapping.json"
    with pytest.raises(InputError, match=r"mapping\.json is missing"):
        LabelMapSource(tmp_path)
    mapping.write_text(json.dumps({k: v for k, v in HEAD_MAPPING.items() if k != "soft_tissue"}))
    with pytest.raises(InputError, match="'soft_tissue'"):
        LabelMapSource(tmp_path)
    unnamed = {**HEAD_MAPPING["tissues"], "vitreous": []}
    mapping.write_text(json.dumps({**HEAD_MAPPING, "tissues": unnamed}))
    with pytest.raises(InputError, match=r"does not name \(506\)"):
        LabelMapSource(tmp_path).build(0, np.random.default_rng(0), SHAPE, ORIGIN)
    without_bone = {k: v for k, v in HEAD_MAPPING.items() if k != "bone"}
    mapping.write_text(json.dumps(without_bone))
    with pytest.raises(InputError, match="'bone'"):
        LabelMapSource(tmp_path, atlas=AtlasSource(atlas_folder))
    mapping.write_text(json.dumps(HEAD_MAPPING))
    with pytest.raises(InputError, match="none of the label maps"):
        LabelMapSource(tmp_path).only({"b.nii.gz"})
    rng = np.random.default_rng(0)
    _write(np.where(labels > 500, labels, 0), matrix, tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="too few landmark"):
        LabelMapSource(tmp_path).build(0, rng, SHAPE, ORIGIN)
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        LabelMapSource(tmp_path).build(0, rng, SHAPE, ORIGIN)
    (tmp_path / "a.nii.gz").write_bytes(b"not an image")
    with pytest.raises(InputError, match="not an image"):
        LabelMapSource(tmp_path).build(0, rng, SHAPE, ORIGIN)
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), tmp_path / "a.nii.gz"
    )
    with pytest.raises(InputError, match="4D with 2 frames"):
        LabelMapSource(tmp_path).build(0, rng, SHAPE, ORIGIN)
    _write(labels, matrix, tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match="must be one"):
        AtlasSource(tmp_path)


def test_a_cache_that_cannot_be_written_is_told_in_words(
    heads, atlas_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "MRISynthLib.simulation.atlas._register", lambda *_: np.zeros((*GRID, 3), np.float32)
    )
    (tmp_path / "file").write_text("mine")
    atlas = AtlasSource(atlas_folder, cache=tmp_path / "file" / "cache")
    with pytest.raises(OutputError, match="cannot be written: a part of that path is a file"):
        LabelMapSource(heads, atlas=atlas).head(0)

    def full(file, **_):
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    atlas = AtlasSource(atlas_folder, cache=tmp_path / "cache")
    with pytest.raises(OutputError, match="disk is full"):
        LabelMapSource(heads, atlas=atlas).head(0)
    assert not list((tmp_path / "cache").iterdir())


def test_a_real_head_gets_a_face_from_the_real_atlas(shared_data, tmp_path):
    """One head and the neck of one atlas: structures of the published size, on their side."""
    atlas = AtlasSource(
        shared_data / "labels_hn_atlas", MAPPINGS / "head_neck_atlas.json", tmp_path
    )
    source = LabelMapSource(
        shared_data / "labels_heads", MAPPINGS / "freesurfer_whole_head.json", atlas
    ).only({"training_seg_06.nii.gz"})
    anatomy, coordinates = source.build(
        0, np.random.default_rng(5), (132, 190, 170), (-84.5, -84.0, -122.0)
    )
    assert len(anatomy.known) >= 20
    millilitres = {
        "Parotid_L": (10, 40), "Parotid_R": (10, 40), "Bone_Mandible": (30, 90), "Eye_L": (4, 9),
        "Brainstem": (15, 35), "Hippocampus_L": (2, 6), "Glnd_Submand_L": (2, 14),
        "Nasopharynx": (5, 40),
    }  # fmt: skip
    for name, (least, most) in millilitres.items():
        assert name in anatomy.known
        assert least < np.count_nonzero(anatomy.mask(name)) / 1000 < most, name
    for pair in ("Eye", "Parotid", "Hippocampus", "OpticNrv", "Glnd_Submand"):
        assert coordinates[0][anatomy.mask(f"{pair}_L")].mean() > 8 > -8
        assert coordinates[0][anatomy.mask(f"{pair}_R")].mean() < -8
    height = coordinates[2].mean((1, 2))
    neck = anatomy.tissue[(height > -80) & (height < -60)]
    body = np.count_nonzero(neck)
    fat = np.count_nonzero(neck == TISSUE_INDEX["fat"]) / body
    muscle = np.count_nonzero(neck == TISSUE_INDEX["muscle"]) / body
    assert 0.1 < fat < 0.55 and 0.25 < muscle < 0.75
