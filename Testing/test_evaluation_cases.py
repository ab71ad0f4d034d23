"""Where images lie: a truth that moved says nothing about the image that was made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import fake_patients
from MRISynthLib.evaluation.cases import Aligned, Case
from MRISynthLib.simulation.acquisition import Acquisition, displacement, predictable
from MRISynthLib.simulation.anatomy import STRUCTURE_DTYPE, Anatomy
from MRISynthLib.simulation.artefacts import warped
from MRISynthLib.simulation.cases import examine
from MRISynthLib.simulation.examinations import Examination
from MRISynthLib.simulation.hospitals import HOSPITALS
from MRISynthLib.simulation.separable import line_filter
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.volume import matrix_from_parts

SHIFT_MM = np.array((4.0, -3.0, 0.0))


@pytest.fixture
def still():
    return fake_patients.textured(1)


@pytest.fixture
def moved(still):
    """The same head, SHIFT_MM away in its image, with a header that knows nothing of it."""
    steps = (SHIFT_MM / still.spacing)[::-1]
    voxels = ndimage.shift(fake_patients.textured(2).voxels, steps, order=3, mode="nearest")
    return still.replace(voxels=voxels.clip(0).astype(np.float32), sequence="T2w", name="T2w")


def _case(still, moved, **more) -> Case:
    return Case("head", "", {"T1w": still, "T2w": moved}, {}, "T1w", **more)


def _error(aligned: Aligned) -> float:
    frame = aligned.frame("T1w")
    return frame.yardstick("T2w").compare(frame.truth("T1w"))["body"]["MAE"]


def test_registration_rescues_a_displaced_truth(still, moved):
    untouched = _error(Aligned(_case(still, moved), registering=False))
    assert _error(Aligned(_case(still, moved))) < 0.3 * untouched


def test_a_known_displacement_is_undone_exactly_and_inputs_are_registered_all_the_same(
    still, moved
):
    move = np.eye(4)
    move[:3, 3] = SHIFT_MM
    aligned = Aligned(_case(still, moved, displacements={"T2w": move, "T1w": np.eye(4)}))
    untouched = _error(Aligned(_case(still, moved), registering=False))
    assert _error(aligned) < 0.2 * untouched
    assert aligned.moved_mm == []
    _, second = aligned.inputs(("T1w", "T2w"))
    assert np.abs(second.origin + SHIFT_MM - moved.origin).max() < 0.5
    assert len(aligned.moved_mm) == 1
    # asked for again it is not registered again
    aligned.inputs(("T1w", "T2w"))
    assert len(aligned.moved_mm) == 1


def test_masks_follow_the_reference(still, moved):
    tumour = np.zeros(still.shape, bool)
    tumour[2:4, 30:40, 30:38] = True
    move = np.eye(4)
    move[:3, 3] = 1.5 * np.array((4, 0, 0))
    case = Case(
        "head", "", {"T1w": still, "T2w": moved}, {"GTVp": tumour}, "T1w",
        displacements={"T1w": np.eye(4), "T2w": move},
    )  # fmt: skip
    aligned = Aligned(case)
    assert np.array_equal(aligned.frame("T1w").tumour, tumour)
    assert np.array_equal(aligned.frame("T2w").tumour, np.roll(tumour, 4, 2))


def test_an_image_that_cannot_be_registered_is_left_out_unless_headers_are_trusted(still):
    noise = np.random.default_rng(0).uniform(0, 900, still.shape).astype(np.float32)
    case = _case(still, still.replace(voxels=noise, sequence="T2w"), trusted=False)
    aligned = Aligned(case)
    assert aligned.usable("T1w") and not aligned.usable("T2w") and not aligned.usable("STIR")
    assert "T2w" in aligned.failed
    assert Aligned(case, registering=False).usable("T2w")


def test_displacement_says_where_the_simulation_puts_things():
    shape, pixel = (1, 80, 64), 0.8
    image = torch.zeros((1, 1, *shape[1:]))
    image[0, 0, 20:23, 40:43] = 1
    acquisition = Acquisition(blur_mm=1.0, rotation_deg=7.0, shift_mm=(2.0, -3.2))
    turned = warped(image, acquisition.rotation_deg)[:, 0]
    shift = np.array(acquisition.shift_mm) / pixel
    filters = [
        line_filter(n, blur=1.0, cutoff=1.0, apodisation=0.0, shift=float(s), device="cpu")
        for n, s in zip(shape[1:], shift, strict=True)
    ]
    found = (filters[0] @ turned @ filters[1].T)[0].numpy()
    matrix = matrix_from_parts((pixel, pixel, 4.0), origin=(-5.0, 7.0, 11.0))
    row, column = ndimage.center_of_mass(found)
    seen = (matrix @ (column, row, 0, 1))[:3]
    wanted = displacement(acquisition, shape, matrix) @ matrix @ (41, 21, 0, 1)
    assert seen == pytest.approx(wanted[:3], abs=0.1)


def test_a_good_day_has_no_motion_and_keeps_what_belongs_to_the_scanner():
    bad = Acquisition(noise=0.05, shift_mm=(1, 2), ghosts=0.1, motion_mm=1, bandwidth_hz=150.0)
    good = predictable(bad)
    assert np.array_equal(displacement(good, (3, 8, 8), np.eye(4)), np.eye(4))
    assert good.noise < 0.01 and good.ghosts == good.motion_mm == 0
    assert good.bandwidth_hz == bad.bandwidth_hz and good.bias == bad.bias


def test_clean_images_change_nothing_else():
    tissue = np.zeros((40, 60, 60), np.uint8)
    tissue[:, 10:50, 10:50], tissue[:, 20:40, 20:40] = TISSUE_INDEX["fat"], TISSUE_INDEX["muscle"]
    matrix = matrix_from_parts((1.0, 1.0, 1.0), origin=(-30.0, -30.0, -20.0))
    anatomy = Anatomy(tissue, np.zeros(tissue.shape, STRUCTURE_DTYPE), matrix, (), {})
    where = Examination("axial", (0.0, 0.0, 0.0), (4, 48, 48), 1.2, 4.0, 0.0, (0.0, 0.0, 0.0))
    names = ("T1w", "T2w")

    def sample(clean):
        rng = np.random.default_rng(3)
        return examine(anatomy, HOSPITALS[0], where, names, 3, rng, "x", clean)

    plain, more = sample(()), sample(("T2w",))
    assert plain.clean == {} and more.clean.keys() == {"T2w"}
    for name in names:
        assert np.array_equal(plain.volumes[name].voxels, more.volumes[name].voxels)
    assert more.clean["T2w"].same_geometry(more.volumes["T2w"])
    assert not np.array_equal(more.clean["T2w"].voxels, more.volumes["T2w"].voxels)
    # the first image stays where the anatomy is
    assert np.array_equal(more.displacements["T1w"], np.eye(4))
