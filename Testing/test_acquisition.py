"""What a physicist would look for in a simulated image, one effect at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation.acquisition import AcquisitionStyle
from MRISynthLib.simulation.imaging import (
    Acquisition,
    PatientTissues,
    SlabMaps,
    acquire,
    fat_shift_mm,
    stored_values,
    tissue_maps,
)
from MRISynthLib.simulation.protocols import Protocol, draw_protocol, typical_protocol
from MRISynthLib.simulation.slabs import signal_samples, slice_profile
from MRISynthLib.simulation.tissues import TISSUE_INDEX, tissue_table

CLEAN = Acquisition(blur_mm=0.3, noise=0.0, bias=0.0, susceptibility=0.0)
T1 = Protocol("T1w", "SE", 3.0, 600, 10)
T2 = Protocol("T2w", "SE", 3.0, 4000, 85)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slabs(labels: np.ndarray, field_t: float = 3.0, textured: bool = False, **geometry) -> SlabMaps:
    """Maps of (slices, sub-slices, rows, columns) tissues of an average patient."""
    maps = tissue_maps(
        torch.from_numpy(labels), PatientTissues(tissue_table(field_t), field_t), rng(), **geometry
    )
    if not textured:
        maps.textures = tuple(torch.zeros_like(texture) for texture in maps.textures)
    return maps


def filled(tissue: str, size: int = 64, slices: int = 1, sub_slices: int = 1) -> np.ndarray:
    return np.full((slices, sub_slices, size, size), TISSUE_INDEX[tissue], np.uint8)


def disc(inner: str, outer: str, radius: float, size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    labels = filled(outer, size)
    labels[:, :, np.hypot(y, x) < radius] = TISSUE_INDEX[inner]
    return labels


def edge(left: str, right: str, size: int = 64) -> np.ndarray:
    labels = filled(left, size)
    labels[..., size // 2 :] = TISSUE_INDEX[right]
    return labels


def value(tissue: str, protocol: Protocol) -> float:
    """Mean of a large piece of one tissue without texture."""
    return float(acquire(slabs(filled(tissue), protocol.field_t), protocol, CLEAN, rng()).mean())


# Resolution and reconstruction


def overshoot(acquisition: Acquisition) -> float:
    """How far the bright side of an edge rises above its plateau, relative to the step."""
    line = acquire(slabs(edge("white matter", "CSF")), T2, acquisition, rng())[0, 32]
    low, high = line[:8].mean(), line[-8:].mean()
    return float((line.max() - high) / (high - low))


def test_an_edge_rings_only_where_k_space_was_cut_and_less_behind_a_filter():
    fine = replace(CLEAN, blur_mm=0.2, pixel_mm=1.0)
    coarse = replace(fine, pixel_mm=1.8)
    assert overshoot(fine) < 0.01
    assert 0.05 < overshoot(coarse) < 0.13  # Gibbs: 9 % of the step
    assert overshoot(replace(coarse, apodisation=1.0)) < 0.02


def test_larger_acquired_pixels_and_motion_blur_along_their_axes():
    square = filled("CSF")
    square[:, :, 24:40, 24:40] = TISSUE_INDEX["white matter"]

    def sharpness(**changes) -> tuple[float, float]:
        image = acquire(slabs(square), T2, replace(CLEAN, **changes), rng())[0]
        return float(image.diff(dim=0).abs().max()), float(image.diff(dim=1).abs().max())

    fine, coarse = sharpness(), sharpness(pixel_mm=2.0, apodisation=1.0)
    assert coarse[0] < 0.7 * fine[0] and coarse[1] < 0.7 * fine[1]
    moved = sharpness(readout="rows", motion_mm=1.5)  # phase encoding along the columns
    assert moved[0] == pytest.approx(fine[0], rel=0.02) and moved[1] < 0.6 * fine[1]


def test_a_thick_slice_averages_through_its_profile():
    labels = filled("CSF", sub_slices=7)
    labels[:, 3] = TISSUE_INDEX["white matter"]
    maps = slabs(labels, sub_slice_mm=1.0)
    thin = float(acquire(maps, T2, replace(CLEAN, slice_mm=1.0), rng()).mean())
    thick = float(acquire(maps, T2, replace(CLEAN, slice_mm=5.0), rng()).mean())
    white, fluid = value("white matter", T2), value("CSF", T2)
    assert thin == pytest.approx(white, rel=0.02)
    assert (thick - fluid) / (white - fluid) == pytest.approx(1 / 5, abs=0.03)


def test_a_slice_profile_has_its_thickness_and_soft_edges():
    weights = slice_profile(101, 0.1, 4.0)
    assert weights.sum() == pytest.approx(1)
    assert (weights > weights.max() / 2).sum() * 0.1 == pytest.approx(4.0, abs=0.2)
    assert 0.01 < weights[50 + 24] / weights.max() < 0.5


def test_images_are_displaced_against_each_other_by_what_was_drawn():
    maps = slabs(disc("CSF", "air", 12))

    def centre(**changes) -> np.ndarray:
        image = acquire(maps, T2, replace(CLEAN, **changes), rng())[0].numpy()
        return np.array([(image.sum(1 - a) * np.arange(64)).sum() for a in (0, 1)]) / image.sum()

    moved = centre(shift_mm=(1.4, -0.6)) - centre()
    np.testing.assert_allclose(moved, (1.4, -0.6), atol=0.05)
    bar = filled("air")
    bar[:, :, 30:34, 8:56] = TISSUE_INDEX["CSF"]
    image = acquire(slabs(bar), T2, replace(CLEAN, rotation_deg=5.0), rng())[0].numpy()
    rows = [(image[:, c] * np.arange(64)).sum() / image[:, c].sum() for c in (12, 51)]
    assert abs(math.degrees(math.atan2(rows[1] - rows[0], 39))) == pytest.approx(5.0, abs=0.5)


def test_swallowing_moves_what_lies_beside_the_airway_and_nothing_else():
    labels = disc("air", "muscle", 9, 96)
    labels[:, :, 33:36] = TISSUE_INDEX["CSF"]
    still, moved = (
        acquire(slabs(labels), T2, replace(CLEAN, swallow_mm=mm), rng())[0] for mm in (0.0, 3.0)
    )

    def row(image: torch.Tensor, column: int) -> float:
        line = (image[25:38, column] - image[20, column]).clamp_min(0)
        return float((line * torch.arange(25, 38)).sum() / line.sum())

    assert row(moved, 48) > row(still, 48) + 0.8
    assert row(moved, 5) == pytest.approx(row(still, 5), abs=0.1)


# Noise, coils, ghosts, storage


def test_air_holds_rician_noise_and_the_head_gaussian():
    labels = disc("white matter", "air", 40, 128)
    noisy = replace(CLEAN, noise=0.05, blur_mm=0.2)
    image = acquire(slabs(labels), T1, noisy, rng())[0]
    air, brain = image[:20, :20], image[50:78, 50:78]
    sigma = 0.05 * float(brain.mean())
    assert float(air.mean()) == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.15)
    assert float(air.std()) == pytest.approx(sigma * math.sqrt(2 - math.pi / 2), rel=0.15)
    assert float(brain.std()) == pytest.approx(sigma, rel=0.15)


def test_interpolated_noise_is_correlated_and_as_strong():
    maps = slabs(filled("white matter", 128))
    fine = acquire(maps, T1, replace(CLEAN, noise=0.05, blur_mm=0.05), rng())[0]
    coarse = acquire(maps, T1, replace(CLEAN, noise=0.05, blur_mm=0.05, pixel_mm=2.0), rng())[0]

    def neighbours(image: torch.Tensor) -> float:
        flat = image - image.mean()
        return float((flat[:, 1:] * flat[:, :-1]).mean() / flat.var())

    assert abs(neighbours(fine)) < 0.05 and neighbours(coarse) > 0.5
    assert float(coarse.std()) == pytest.approx(float(fine.std()), rel=0.15)


def test_parallel_imaging_leaves_more_noise_in_the_middle():
    maps = slabs(filled("white matter", 128))
    image = acquire(maps, T1, replace(CLEAN, noise=0.03, g_factor=2.5), rng())[0]
    assert float(image[48:80, 48:80].std()) > 1.6 * float(image[:16, :16].std())


def test_coils_shade_smoothly_and_one_stack_has_one_shading():
    maps = slabs(filled("white matter", 96, slices=3), levels_mm=np.array([0.0, 3.0, 60.0]))
    image = acquire(maps, T1, replace(CLEAN, bias=0.3), rng())
    image = image / image.mean()
    assert float(image.std()) > 0.08
    assert float(image.diff(dim=2).abs().max()) < 0.05
    near, far = (float((image[0] - image[n]).abs().mean()) for n in (1, 2))
    assert near < 0.3 * far
    surface = acquire(maps, T1, replace(CLEAN, surface=0.5), rng())[0]
    assert float(surface[2, 48]) > 1.1 * float(surface[48, 48])


def test_one_coil_shades_all_images_of_an_examination_and_the_transmitted_field_each_its_own():
    maps = slabs(filled("white matter", 96))
    numbers = rng()

    def shading(protocol, **how) -> torch.Tensor:
        image = acquire(maps, protocol, replace(CLEAN, bias=0.3, **how), numbers)[0]
        unshaded = acquire(maps, protocol, CLEAN, numbers)[0]
        return image / unshaded

    first, second = shading(T1), shading(T2)
    assert float(first.std()) > 0.05
    torch.testing.assert_close(first, second, rtol=0.01, atol=0.01)
    assert float((shading(T2, transmit=0.1) / first).std()) > 0.03


def test_motion_leaves_ghosts_along_phase_encoding_only():
    labels = disc("CSF", "air", 8)
    ghosts = replace(CLEAN, ghosts=0.05, ghost_period=0.3, readout="rows")
    image = acquire(slabs(labels), T2, ghosts, rng())[0]
    step = round(64 * 0.3)
    assert float(image[32, 32 + step]) == pytest.approx(0.05 * float(image[32, 32]), rel=0.05)
    assert float(image[32 + step, 32]) < 0.002 * float(image[32, 32])


def test_echo_planar_ghosts_lie_half_a_field_of_view_away_along_the_blips():
    labels = disc("CSF", "air", 8)
    ghosts = replace(CLEAN, ghosts=0.03, ghost_period=0.5, readout="rows")
    diffusion = Protocol("DWI", "DWI", 3.0, 5000, 80, b_value=0.0)
    image = acquire(slabs(labels), diffusion, ghosts, rng())[0]
    assert float(image[0, 32]) == pytest.approx(0.03 * float(image[32, 32]), rel=0.05)
    assert float(image[32, 0]) < 0.002 * float(image[32, 32])


def test_stored_values_are_whole_and_end_where_the_vendor_ends():
    image = acquire(slabs(disc("CSF", "white matter", 12)), T2, CLEAN, rng())
    stored = stored_values(image, T2, Acquisition(grey_levels=900, highest=1000))
    assert torch.equal(stored, stored.round())
    assert float(stored.quantile(0.995)) == pytest.approx(900, abs=5) and stored.max() <= 1000
    ct = stored_values(torch.tensor([-3000.0, 40.4, 9000.0]), Protocol("CT", "CT"), CLEAN)
    assert ct.tolist() == [-1024.0, 40.0, 3071.0]


# Fat, field and metal


@pytest.mark.parametrize(("readout", "axis"), [("rows", 0), ("columns", 1)])
def test_fat_is_shifted_by_its_frequency_over_the_bandwidth(readout, axis):
    protocol = Protocol("T1w", "SE", 3.0, 600, 10)
    narrow = replace(CLEAN, readout=readout, bandwidth_hz=110.25)
    assert fat_shift_mm(protocol, narrow, 1.0) == pytest.approx(441 / 110.25)  # 4 pixels

    def centre(tissue: str) -> np.ndarray:
        image = acquire(slabs(disc(tissue, "air", 10)), protocol, narrow, rng())[0].numpy()
        return np.array([(image.sum(1 - a) * np.arange(64)).sum() for a in (0, 1)]) / image.sum()

    moved = centre("fat") - centre("white matter")
    assert moved[axis] == pytest.approx(4.0, abs=0.4)  # fat tissue holds a little water
    assert moved[1 - axis] == pytest.approx(0.0, abs=0.05)
    half = replace(protocol, field_t=1.5)
    assert fat_shift_mm(half, narrow, 1.0) == pytest.approx(2.0, rel=0.01)


def test_fat_and_water_cancel_at_their_borders_out_of_phase():
    """At 3 T they are opposed at about 1.13 ms and in phase at 2.27 ms."""
    labels = slabs(disc("fat", "muscle", 16))
    opposed, in_phase = (
        acquire(labels, Protocol("T1w", "GRE", 3.0, 6, te, flip_deg=12), CLEAN, rng())[0, 32]
        for te in (1.134, 2.268)
    )
    assert float(opposed[12:20].min()) < 0.75 * float(opposed[2:8].mean())
    assert float(in_phase[12:20].min()) > 0.95 * float(in_phase[2:8].mean())


def test_stir_and_fat_suppression_leave_little_fat_and_fat_level_is_continuous():
    for field_t in (0.55, 1.5, 3.0):
        fat = value("fat", typical_protocol("STIR", field_t))
        assert fat < 0.2 * value("tumour", typical_protocol("STIR", field_t))
    plain = value("fat", T1)
    levels = [value("fat", replace(T1, fat_signal=s)) / plain for s in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert np.all(np.diff(levels) > 0.15) and levels[0] < 0.2


def test_fat_suppression_fails_in_patches_near_air_and_differently_in_every_image():
    labels = filled("fat", 128)
    y, x = np.mgrid[:128, :128]
    outside = np.hypot(y - 63.5, x - 63.5) > 60
    cavity = np.hypot(y - 64, x - 40) < 11
    labels[:, :, outside | cavity] = TISSUE_INDEX["air"]
    protocol = Protocol("T1w-FS", "SE", 3.0, 600, 10, fat_signal=0.05)
    failing = replace(CLEAN, fat_failure=1.0)
    beside = (np.hypot(y - 64, x - 40) < 16) & (np.hypot(y - 64, x - 40) > 13)
    away = (np.hypot(y - 64, x - 92) < 12) & ~outside

    def image(seed: int, acquisition: Acquisition) -> np.ndarray:
        return acquire(slabs(labels), protocol, acquisition, rng(seed))[0].numpy()

    first, second, good = image(1, failing), image(2, failing), image(1, CLEAN)
    assert first[beside].mean() > 3 * good[beside].mean()
    assert np.median(first[away]) < 1.5 * np.median(good[away])
    assert np.abs(first - second).max() > good.mean()
    stir = typical_protocol("STIR")
    np.testing.assert_array_equal(
        acquire(slabs(labels), stir, failing, rng()), acquire(slabs(labels), stir, CLEAN, rng())
    )


def void(technique: str, te_ms: float) -> int:
    """Pixels that metal darkens to less than half."""
    labels = filled("muscle", 96)
    labels[:, :, 46:50, 46:50] = TISSUE_INDEX["metal"]
    protocol = Protocol("T1w", technique, 3.0, 300, te_ms, flip_deg=60)
    image = acquire(slabs(labels), protocol, replace(CLEAN, susceptibility=1.0), rng())[0]
    return int((image < 0.5 * image[:8].mean()).sum())


def test_metal_darkens_more_in_gradient_echoes_and_more_with_longer_echo_times():
    assert 16 <= void("SE", 10) < 120
    assert void("GRE", 3) > 1.3 * void("SE", 10)
    assert void("GRE", 8) > 1.3 * void("GRE", 3)


def test_gradient_echoes_lose_signal_beside_air_and_spin_echoes_do_not():
    labels = disc("air", "muscle", 10, 96)

    def left_beside(technique: str, te_ms: float) -> float:
        protocol = Protocol("T1w", technique, 3.0, 300, te_ms, flip_deg=60)
        image = acquire(slabs(labels), protocol, replace(CLEAN, susceptibility=1.0), rng())[0]
        return float(image[48, 60] / image[48, 90])

    assert left_beside("GRE", 10) < 0.7
    assert left_beside("GRE", 2) > left_beside("GRE", 10)
    assert left_beside("SE", 10) > 0.97


def test_echo_planar_images_are_distorted_beside_air():
    labels = disc("air", "muscle", 10, 96)
    labels[:, :, 30:33] = TISSUE_INDEX["CSF"]
    labels[:, :, 2:5] = TISSUE_INDEX["CSF"]
    protocol = Protocol("DWI", "DWI", 3.0, 5000, 70, b_value=0)
    slow = replace(CLEAN, bandwidth_hz=30.0, susceptibility=1.0, readout="rows")
    image = acquire(slabs(labels), protocol, slow, rng())[0]
    assert int(image[22:45, 48].argmax()) + 22 > 34  # was in row 31
    assert int(image[:12, 4].argmax()) == 3


def test_metal_streaks_a_ct_between_fillings_and_clean_slices_stay_clean():
    labels = np.concatenate([disc("muscle", "air", 50, 128)] * 2)
    for column in (40, 84):
        labels[0, :, 60:66, column : column + 5] = TISSUE_INDEX["metal"]
    ct = acquire(slabs(labels), Protocol("CT", "CT"), replace(CLEAN, susceptibility=1.0), rng())
    muscle = float(ct[1, 60:66, 55:75].mean())
    assert muscle == pytest.approx(55, abs=2)
    assert float(ct[0, 61:65, 55:75].mean()) < muscle - 60  # the dark band
    rays = ct[:, 40:55, 40:88]
    assert float(rays[0].std()) > 20 and float(rays[1].std()) < 2


# Tissue, blood and contrast agent


def test_tissues_vary_inside_on_several_scales_and_between_patients():
    labels = filled("tumour", 128, slices=2)
    patient = PatientTissues(tissue_table(3.0), 3.0)
    image = acquire(tissue_maps(torch.from_numpy(labels), patient, rng()), T2, CLEAN, rng())[0]
    image = image / image.mean()
    assert 0.03 < float(image.std()) < 0.25
    coarse = torch.nn.functional.avg_pool2d(image[None], 32)
    assert 0.25 < float(coarse.std() / image.std()) < 0.9  # across the head
    assert float(image.diff(dim=0).std() / image.std()) > 0.15  # and from pixel to pixel
    means = []
    for seed in range(12):
        drawn = PatientTissues.draw(np.random.default_rng(seed), 3.0)
        maps = tissue_maps(torch.from_numpy(labels), drawn, rng())
        means.append(float(acquire(maps, T2, CLEAN, rng()).mean()))
    assert 0.05 < np.std(means) / np.mean(means) < 0.4


def test_a_tumour_takes_up_the_agent_unevenly():
    maps = slabs(filled("tumour", 128), textured=True)
    relaxation, density, uptake = maps.textures
    maps.textures = (0 * relaxation, 0 * density, uptake)
    after = typical_protocol("CE-T1w")
    before = acquire(maps, replace(after, dose=0.0), CLEAN, rng())
    gain = acquire(maps, after, CLEAN, rng()) / before - 1
    assert float(before.std() / before.mean()) < 0.001
    assert float(gain.std() / gain.mean()) > 0.08


def test_one_look_up_a_tissue_is_as_good_as_the_equations_in_every_voxel():
    """The image's spread over texture is that of the signal equations themselves."""
    for protocol in (T1, T2, typical_protocol("CE-T1w"), typical_protocol("STIR")):
        patient = PatientTissues(tissue_table(3.0), 3.0)
        exact = signal_samples(patient, protocol, 4000)
        for tissue in ("grey matter", "tumour", "fat", "muscle"):
            maps = tissue_maps(torch.from_numpy(filled(tissue, 256)), patient, rng())
            maps.textures = tuple((t - t.mean()) / t.std() for t in maps.textures)
            image = acquire(maps, protocol, replace(CLEAN, blur_mm=0.05), rng())
            wanted = exact[TISSUE_INDEX[tissue]]
            scale = float(exact[TISSUE_INDEX["grey matter"]].mean())
            assert float(image.mean()) == pytest.approx(float(wanted.mean()), abs=0.04 * scale)
            assert float(image.std()) == pytest.approx(float(wanted.std()), abs=0.04 * scale)


def test_blood_is_dark_in_spin_echoes_and_bright_where_it_flows_into_a_gradient_echo():
    labels = disc("artery", "muscle", 16)

    def against_muscle(protocol: Protocol) -> float:
        image = acquire(slabs(labels), protocol, CLEAN, rng())[0]
        return float(image[32, 32] / image[4, 4])

    assert against_muscle(T2) < 0.1
    assert against_muscle(Protocol("T1w", "GRE", 3.0, 200, 3, flip_deg=70)) > 1.5
    assert against_muscle(replace(T1, slice_mm=8.0)) > against_muscle(replace(T1, slice_mm=2.0))


def test_enhancement_follows_dose_delay_agent_and_tissue():
    after = typical_protocol("CE-T1w")
    before = replace(after, dose=0.0)

    def gain(tissue: str, **changes) -> float:
        return value(tissue, replace(after, **changes)) / value(tissue, before)

    assert 1.3 < gain("tumour") < 2.2 and gain("mucosa") > gain("muscle") > 1.0
    assert gain("tumour", dose=0.5) < gain("tumour", dose=1.0) < gain("tumour", dose=1.5)
    assert gain("tumour", relaxivity=3.0) < gain("tumour", relaxivity=5.0)
    assert gain("tumour", delay_min=0.0) == pytest.approx(1.0, abs=1e-3)
    assert gain("tumour", delay_min=1.0) < gain("tumour", delay_min=4.0)
    assert gain("tumour", delay_min=20.0) < gain("tumour", delay_min=5.0)  # washed out
    assert gain("fibrosis", delay_min=10.0) > gain("fibrosis", delay_min=2.0)  # scars fill late
    assert value("air", after) == pytest.approx(0.0, abs=1e-4)


def test_every_sequence_of_the_vocabulary_is_made_and_a_seed_means_one_image():
    labels = disc("white matter", "air", 24)
    labels[:, :, 28:36, 28:36] = TISSUE_INDEX["tumour"]
    labels[:, :, 20:22, 40:42] = TISSUE_INDEX["metal"]
    for sequence in SEQUENCE_NAMES:
        drawn = []
        for _ in range(2):
            numbers = np.random.default_rng(5)
            protocol = draw_protocol(sequence, numbers, 3.0)
            acquisition = AcquisitionStyle().draw(sequence, numbers, moved=True)
            maps = tissue_maps(torch.from_numpy(labels), PatientTissues.draw(numbers, 3.0), rng(5))
            drawn.append(acquire(maps, protocol, acquisition, rng(6)))
        assert drawn[0].shape == (1, 64, 64) and drawn[0].isfinite().all()
        assert torch.equal(*drawn)
        assert float(drawn[0][0, 20:44, 20:44].std()) > 0
