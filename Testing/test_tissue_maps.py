"""The network that knows tissue: what a prompt means as a protocol, and that images obey it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from MRISynthLib.prompts import understand
from MRISynthLib.simulation.imaging import PatientTissues, tissue_maps
from MRISynthLib.simulation.signal import TissueMaps
from MRISynthLib.simulation.slabs import PARAMETERS, mean_parameters
from MRISynthLib.simulation.tissues import TISSUE_INDEX, tissue_table
from MRISynthLib.synthesis.completion import completed
from MRISynthLib.synthesis.conditioning import (
    Description,
    contrast_vector,
    describe_input,
    describe_target,
    understood_as,
)
from MRISynthLib.synthesis.equation_net import EquationNet
from MRISynthLib.synthesis.rendering import (
    MAPS,
    map_difference,
    maps_of,
    parameter_maps,
    protocol_of,
    render,
)
from MRISynthLib.volume import Volume


def described(text: str) -> Description:
    return describe_target(understand(text))


def asked(text: str):
    return protocol_of(contrast_vector(described(text)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return EquationNet((16, 16, 16), 16).eval()


def embedded(network, *texts: str) -> torch.Tensor:
    return network.embed([described(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "technique", "tr_ms", "te_ms"),
    [
        ("T1w", "SE", 600, 10),
        ("T2w TR 5000 TE 95", "SE", 5000, 95),
        ("T1 3T, TR 8, TE 3.2, flip angle 12", "GRE", 8, 3.2),
        ("T1 TR 200 TE 3", "GRE", 200, 3),
        ("T1 MPRAGE TR 2300 TE 3 TI 900", "MPRAGE", 2300, 3),
        ("T1 TR 2300 TE 3", "MPRAGE", 2300, 3),
        ("CE-T1w MPRAGE", "MPRAGE", 2200, 2.8),
        ("T1 MPRAGE TR 8 TE 3 TI 900", "MPRAGE", 2200, 3),  # TR is the spacing of echoes
        ("CE-T1w 3D gradient echo", "GRE", 8, 3.3),
        ("T1 gradient echo TR 500 TE 5", "GRE", 500, 5),
        ("T1 spin echo TR 350 TE 12", "SE", 350, 12),
        ("T1 TSE TR 1500 TE 12", "SE", 1500, 12),
        ("STIR", "IR", 5000, 60),
        ("CT", "CT", None, None),
    ],
)
def test_a_prompt_means_a_protocol(text, technique, tr_ms, te_ms):
    protocol = asked(text)
    assert protocol.technique == technique
    if tr_ms is not None:
        assert (protocol.tr_ms, protocol.te_ms) == pytest.approx((tr_ms, te_ms), rel=1e-3)
    assert (protocol.dose > 0) == protocol.sequence.startswith("CE-")


def test_field_strength_angle_and_inversion_time_arrive():
    protocol = asked("T1 1.5T TR 7 TE 3 flip angle 20")
    assert (protocol.field_t, protocol.flip_deg) == pytest.approx((1.5, 20), rel=1e-3)
    assert asked("STIR TI 160 1.5T").ti_ms == pytest.approx(160, rel=1e-3)


def test_maps_stay_within_what_tissue_can_be():
    raw = torch.linspace(-60, 60, len(MAPS) * 12).reshape(1, len(MAPS), 3, 4)
    for values in (raw, -raw):
        maps = parameter_maps(values)
        assert float(maps.t1_ms.min()) > 100 and float(maps.t1_ms.max()) < 8000
        assert float(maps.t2_ms.min()) > 0.5 and float(maps.t2_ms.max()) < 5000
        for name in ("proton_density", "fat_fraction", "uptake_mm", "adc", "flow"):
            assert float(getattr(maps, name).min()) >= 0, name
        assert float(maps.fat_fraction.max()) <= 1
        for text in ("T1w", "T2w", "CE-T1w", "STIR", "FLAIR", "DWI", "CT", "T1 MPRAGE TI 900"):
            assert torch.isfinite(render(maps, asked(text))).all(), text


def test_parameters_of_a_slab_are_those_of_what_is_in_it():
    labels = np.full((1, 2, 8, 8), TISSUE_INDEX["muscle"])
    labels[:, 1, :, 4:] = TISSUE_INDEX["air"]
    patient = PatientTissues(tissue_table(3.0), 3.0)
    maps = tissue_maps(torch.from_numpy(labels), patient, torch.Generator().manual_seed(0))
    found = dict(zip(PARAMETERS, mean_parameters(maps, None)[0, :, 4], strict=True))
    table, muscle = tissue_table(3.0), TISSUE_INDEX["muscle"]
    for name in ("t1_ms", "t2_ms", "proton_density", "uptake_mm", "hu"):
        assert float(found[name][0]) == pytest.approx(float(table[name][muscle]), rel=0.01), name
    # half of the slab is air: half the protons, but the same relaxation
    assert float(found["proton_density"][-1] / found["proton_density"][0]) == pytest.approx(0.5)
    assert float(found["t1_ms"][-1] / found["t1_ms"][0]) == pytest.approx(1, rel=0.02)


def test_true_maps_cost_nothing_and_wrong_ones_something():
    raw = torch.full((1, len(MAPS), 4, 4), 0.3)
    maps = parameter_maps(raw)
    truth = torch.stack([getattr(maps, name) for name in PARAMETERS], 1)
    weights = torch.ones(1, 4, 4)
    assert float(map_difference(maps, truth, weights)) == pytest.approx(0, abs=1e-6)
    for number, name in enumerate(PARAMETERS):
        wrong = truth.clone()
        wrong[:, number] *= 1.5
        wrong[:, number] += 0.1
        assert float(map_difference(maps, wrong, weights)) > 0.01, name


def test_an_untrained_network_already_obeys_the_signal_equation(network):
    with torch.inference_mode():
        features = network.encode(torch.rand(1, 2, 32, 32), embedded(network, "T1w", "T2w"))
        short, long = (
            network.physical_image(features[0], embedded(network, f"T2w TR 9000 TE {te}"))
            for te in (60, 120)
        )
        maps = maps_of(features[0])
        protocol = asked("T1w")
        plain, enhanced = (render(maps, replace(protocol, dose=dose)) for dose in (0.0, 1.0))
    # both are scaled by the bright end of an average head, alike for all pixels
    ratio = (long / short).log()
    expected = -60 / maps.t2_ms
    fat_free = maps.fat_fraction < 0.2
    spread = (ratio - expected)[fat_free].std() / expected[fat_free].std()
    assert float(spread) < 0.35
    taken = maps.uptake_mm > maps.uptake_mm.median()
    gain = enhanced / plain
    assert float(gain[taken].mean()) > float(gain[~taken].mean()) > 1


def test_order_and_number_of_inputs_are_free(network):
    images = torch.rand(2, 3, 32, 32)
    names = ("T1w", "T2w", "FLAIR")
    wanted = embedded(network, "CE-T1w")
    with torch.inference_mode():
        first = network.decode(network.encode(images, embedded(network, *names)), wanted)
        turned = [2, 0, 1]
        given = embedded(network, *(names[n] for n in turned))
        second = network.decode(network.encode(images[:, turned], given), wanted)
        alone = network.decode(network.encode(images[:, :1], embedded(network, "T1w")), wanted)
    torch.testing.assert_close(first[0], second[0], rtol=1e-3, atol=1e-4)
    assert alone[0].shape == first[0].shape == (2, 32, 32)


def test_each_slice_of_a_batch_gets_what_was_asked_for_it(network):
    images, given = torch.rand(2, 1, 32, 32), embedded(network, "T1w")
    wanted = embedded(network, "T2w TE 60", "STIR")
    with torch.inference_mode():
        both, _ = network.decode(network.encode(images, given), wanted)
        one, _ = network.decode(network.encode(images[1:], given), wanted[1:])
    torch.testing.assert_close(both[1:], one, rtol=1e-3, atol=1e-4)


def test_what_was_learned_is_what_is_made(network):
    images, given = torch.rand(2, 2, 32, 32), embedded(network, "T1w", "T2w")
    wanted = embedded(network, "CE-T1w")
    learned = network.decode(network.encode(images, given.expand(2, -1, -1)), wanted.expand(2, -1))
    with torch.inference_mode():  # which takes short cuts
        made = network.decode(network.encode(images, given), wanted)
    assert learned[0].requires_grad
    for a, b in zip(learned, made, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tr_ms", [5000, 6000, 9000, 11000])
def test_flair_is_dark_in_csf_at_any_repetition_time(tr_ms):
    protocol = asked(f"FLAIR TR {tr_ms}")
    table = tissue_table(3.0)
    index = [TISSUE_INDEX[name] for name in ("CSF", "grey matter")]
    maps = TissueMaps(
        **{name: torch.from_numpy(table[name][index]) for name in PARAMETERS},
        flow=torch.zeros(2),
        fat_t1_ms=torch.tensor(371.0),
        fat_t2_ms=torch.tensor(133.0),
    )
    fluid, cortex = render(maps, protocol)
    assert float(fluid) < 0.1 * float(cortex)


def test_what_an_input_does_not_show_is_not_carried_over(network):
    """An input that ends in the middle of a slice must not darken what lies beyond its end."""
    images = torch.full((1, 2, 32, 32), 0.6)
    images[:, 1, 16:] = 0
    valid = torch.ones_like(images, dtype=torch.bool)
    valid[:, 1, 16:] = False
    with torch.no_grad():
        for layer in (network.maps, network.head):
            layer.weight.zero_()

        network.head.bias.copy_(torch.tensor([0.0, 0.0, 20.0]))  # carry over, correct nothing
        given, wanted = embedded(network, "T1w", "T2w"), embedded(network, "CE-T1w")
        image, _ = network.decode(network.encode(images, given, valid), wanted)
        dark, _ = network.decode(network.encode(images, given), wanted)
        nothing, _ = network.decode(network.encode(images, given, valid & False), wanted)
    assert float(image[0, 24, 16]) > 0.8 * float(image[0, 8, 16])
    assert float(dark[0, 24, 16]) < 0.7 * float(dark[0, 8, 16])
    assert nothing.isfinite().all()


HEADER = Description(
    "T1w", "T1w", False, False, field_strength_t=1.5, tr_ms=7.0, te_ms=3.0, flip_angle_deg=15.0
)


def test_what_a_wish_leaves_open_comes_from_the_header_of_its_sister_sequence():
    wish, like = completed(described("CE-T1w"), [described("T2w"), HEADER])
    assert like == "T1w"
    assert (wish.field_strength_t, wish.tr_ms, wish.te_ms, wish.flip_angle_deg) == (1.5, 7, 3, 15)
    protocol = protocol_of(contrast_vector(wish))
    assert protocol.dose == 1 and protocol.technique == "GRE"


def test_what_a_wish_says_is_not_overruled():
    wish, like = completed(described("CE-T1w 3T TR 620 TE 10"), [HEADER])
    assert like is None and (wish.field_strength_t, wish.tr_ms, wish.te_ms) == (3.0, 620, 10)
    wish, like = completed(described("T2w"), [HEADER])
    assert like is None and wish.tr_ms is None and wish.field_strength_t == 1.5
    bare = replace(HEADER, tr_ms=None)
    assert completed(described("CE-T1w"), [bare])[1] is None


def test_a_header_is_taken_over_only_for_the_technique_that_is_wished():
    wish, like = completed(described("CE-T1w spin echo"), [HEADER])
    assert like is None and protocol_of(contrast_vector(wish)).technique == "SE"
    wish, like = completed(described("CE-T1w gradient echo"), [HEADER])
    assert like == "T1w" and (wish.tr_ms, wish.te_ms) == (7, 3)


def _scan(**acquisition) -> Volume:
    return Volume(np.zeros((2, 4, 4), np.float32), np.eye(4), "T1w", "a", acquisition=acquisition)


def test_numbers_of_a_header_that_cannot_be_are_not_believed():
    given = describe_input(
        _scan(MagneticFieldStrength=15000, RepetitionTime=-1.0, EchoTime=float("nan"))
    )
    assert given.field_strength_t == 1.5 and given.tr_ms is None and given.te_ms is None
    assert describe_input(_scan(MagneticFieldStrength=9e9)).field_strength_t is None
    prepared = describe_input(_scan(ScanningSequence=["GR", "IR"], RepetitionTime=8.0))
    assert protocol_of(contrast_vector(prepared)).technique == "MPRAGE"


def test_what_is_taken_from_headers_is_said():
    scan = _scan(MagneticFieldStrength=1.5, RepetitionTime=620.0, EchoTime=10.0)
    said = understood_as(understand("CE-T1w"), [scan])
    assert said.startswith("CE-T1w: T1-weighted look, with contrast agent")
    assert said.endswith("; 1.5 T, TR 620 ms, TE 10 ms as in T1w")
    assert understood_as(understand("T2w"), [scan]).endswith("; 1.5 T as in the inputs")
    usual = understood_as(understand("CE-T1w MPRAGE"), [])
    assert usual.endswith("; TR 2200 ms, TE 2.8 ms, TI 1000 ms, flip angle 8° as usual")
    assert understood_as(understand("T2w"), []) == understand("T2w").describe()
