"""Geometry survives writing and reading, whatever the grid."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one, save
from MRISynthLib.volume import GEOMETRY_TOLERANCE_MM, Volume, matrix_from_parts

TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Any grid a scanner could give: oblique, anisotropic, flipped, axes in any order."""
    shape = tuple(draw(st.integers(1, 7)) for _ in range(3))
    spacing = [draw(st.floats(0.2, 8.0)) for _ in range(3)]
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    signs = [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    order = draw(st.permutations(range(3)))
    axes = (Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * signs)[:, order]
    origin = [draw(st.floats(-400, 400)) for _ in range(3)]
    kind = draw(st.sampled_from(TYPES))
    seed = draw(st.integers(0, 2**16))
    voxels = np.random.default_rng(seed).uniform(0, 200, shape).astype(kind)
    return Volume(voxels, matrix_from_parts(spacing, axes, origin), sequence="T2w", name="any")


@settings(max_examples=40, deadline=None)
@given(volume=volumes(), suffix=st.sampled_from((".nii", ".nii.gz", ".nrrd")))
def test_a_saved_volume_comes_back_in_place(volume: Volume, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{suffix}"
        save(volume, path)
        back = load_one(path)
        assert back.same_geometry(volume, GEOMETRY_TOLERANCE_MM)
        np.testing.assert_array_equal(back.voxels, volume.voxels)
        assert back.sequence == "T2w"
        assert not back.warnings
        assert [item.name for item in Path(folder).iterdir()] == [path.name]


@settings(max_examples=25, deadline=None)
@given(volume=volumes())
def test_itk_reads_nrrd_and_nifti_where_we_put_them(volume: Volume) -> None:
    import SimpleITK as sitk  # noqa: N813

    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".nii", ".nrrd"):
            path = Path(folder) / f"image{suffix}"
            save(volume, path)
            image = sitk.ReadImage(str(path))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.voxels)
            last = [int(n) - 1 for n in image.GetSize()]
            far = image.TransformIndexToPhysicalPoint(last)
            np.testing.assert_allclose(far, volume.corners()[-1], atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(volume=volumes(), spaces=st.sampled_from((("RAS", (-1, -1, 1)), ("LAS", (1, -1, 1)))))
def test_nrrd_spaces_mean_the_same_place(volume: Volume, spaces: tuple) -> None:
    import nrrd

    name, signs = spaces
    full = {"RAS": "right-anterior-superior", "LAS": "left-anterior-superior"}[name]
    header = {
        "space": full,
        "space directions": (volume.index_to_world[:3, :3] * np.array(signs)[:, None]).T,
        "space origin": volume.origin * signs,
        "kinds": ["domain"] * 3,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nrrd"
        nrrd.write(str(path), volume.voxels, header, index_order="C")
        assert load_one(path).same_geometry(volume)


@settings(max_examples=30, deadline=None)
@given(volume=volumes())
def test_corners_are_index_to_world_at_the_ends(volume: Volume) -> None:
    k, j, i = (n - 1 for n in volume.shape)
    expected = volume.index_to_world @ (i, j, k, 1)
    np.testing.assert_allclose(volume.corners()[-1], expected[:3])
    np.testing.assert_allclose(volume.corners()[0], volume.origin)
    moved = volume.index_to_world.copy()
    moved[0, 3] += 2 * GEOMETRY_TOLERANCE_MM
    assert not volume.same_geometry(volume.replace(index_to_world=moved))


def test_a_sheared_grid_survives(tmp_path: Path) -> None:
    matrix = matrix_from_parts((1.0, 1.0, 3.0), origin=(5.0, -7.0, 9.0))
    matrix[1, 2] = 0.8
    volume = Volume(np.zeros((4, 5, 6), np.int16), matrix)
    for suffix in (".nii.gz", ".nrrd"):
        save(volume, tmp_path / f"sheared{suffix}")
        assert load_one(tmp_path / f"sheared{suffix}").same_geometry(volume)


@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 4)), np.diag([1.0, 0.0, 1.0, 1.0]), np.full((4, 4), np.nan)]
)
def test_an_impossible_orientation_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="export it again"):
        Volume(np.zeros((2, 2, 2)), matrix, name="scan.nii")
