"""The comparators: what they take and make, that they learn, and what each paper promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from fakes import METADATA
from MRISynthLib.bundles import write_bundle
from MRISynthLib.comparators import NETWORKS
from MRISynthLib.comparators.simple import apply_linear, copy_best, cubic_remap, fit_linear
from MRISynthLib.comparators.swin_unetr import info_nce
from MRISynthLib.errors import InputError
from MRISynthLib.synthesis.adversarial import PatchCritic, critic_term, generator_term
from MRISynthLib.synthesis.base import TRAINED_ONLY, Step
from MRISynthLib.synthesis.conditioning import Description

SMALL = {
    "u-net": {"width": 8},
    "swin-unetr": {"feature_size": 12},
    "hi-net": {"width": 8},
    "mmgsn-net": {"width": 8},
    "mhdgn-net": {"width": 8},
    "pix2pix": {"width": 16, "levels": 3},
    "cyclegan": {"width": 8, "blocks": 2},
}
ANY_TO_ANY = ("u-net", "swin-unetr", "pix2pix")
PAIRED = ("hi-net", "mmgsn-net", "mhdgn-net")
WITH_CRITIC = (*PAIRED, "pix2pix", "cyclegan")

BRIGHTNESS = {
    "T1w": (0.3, 0.5, 0.9, 0.7),
    "T2w": (0.9, 0.4, 0.7, 0.2),
    "CE-T1w": (0.3, 0.9, 0.8, 0.6),
    "STIR": (0.8, 0.5, 0.1, 0.3),
}
"""Of four invented tissues."""


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def small(name: str, **options):
    return NETWORKS[name](**{**SMALL[name], **options})


def said(*sequences: str) -> list[Description]:
    return [Description(name, name, name.startswith("CE"), False) for name in sequences]


def tissue_images(sequences: tuple[str, ...], batch: int, size: int) -> torch.Tensor:
    """Blobs of four tissues in air, alike in all sequences but for their brightness: (batch,
    sequences, size, size)."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand((batch, 4, 6, 6), generator=generator)
    tissue = functional.interpolate(noise, (size, size), mode="bicubic").argmax(1)
    axis = torch.linspace(-1, 1, size)
    body = (axis[:, None] ** 2 + axis**2 < 0.8).float()
    return torch.stack([torch.tensor(BRIGHTNESS[name])[tissue] * body for name in sequences], 1)


def step_of(
    network, inputs: tuple[str, ...], targets: tuple[str, ...], batch: int = 4, size: int = 32
) -> Step:
    images = tissue_images((*inputs, *targets), batch, size)
    described = network.embed(said(*inputs)).expand(len(images), -1, -1)
    wanted = [row.expand(len(images), -1) for row in network.embed(said(*targets))]
    given, truths = images[:, : len(inputs)], images[:, len(inputs) :]
    return Step(
        given, inputs, targets, described, tuple(wanted), truths, torch.ones_like(given[:, 0])
    )


def usual_step(name: str, network) -> Step:
    if name == "swin-unetr":
        return step_of(network, ("T1w", "T2w"), ("CE-T1w", "STIR"), batch=2, size=64)
    if network.tasks is None:
        return step_of(network, ("T1w", "T2w"), ("CE-T1w", "STIR"))
    inputs, target = network.tasks[0]
    return step_of(network, inputs, (target,))


def made_by(network, step: Step) -> torch.Tensor:
    network.eval()
    with torch.inference_mode():
        return torch.stack([network(step.images, step.described, w)[0] for w in step.wanted], 1)


def train(network, step: Step, steps: int, rate: float = 3e-3) -> list[float]:
    """Losses of ``steps`` steps in mixed precision, as a training run takes them."""
    network.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    losses = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = network.step_loss(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", NETWORKS)
def test_it_makes_an_image_and_a_doubt_of_the_inputs_size(name):
    network = small(name).eval()
    inputs, target = network.tasks[0] if network.tasks else (("T2w", "T1w", "STIR"), "CE-T1w")
    least = max(2 * network.stride, 64 if "swin" in name else 8)
    size = (least, least + network.stride)
    images = torch.rand(3, len(inputs), *size)
    described, wanted = network.embed(said(*inputs)), network.embed(said(target))
    with torch.inference_mode():
        image, log_scale = network(images, described, wanted)
        each = network(images, described.expand(3, -1, -1), wanted.expand(3, -1))[0]
        with torch.autocast("cpu", torch.bfloat16):
            half, _ = network(images, described, wanted)
    assert image.shape == log_scale.shape == (3, *size)
    assert image.dtype == half.dtype == torch.float32
    assert torch.isfinite(image).all() and torch.isfinite(half).all()
    torch.testing.assert_close(image, each)
    assert log_scale.unique().numel() == 1


@pytest.mark.parametrize("name", ANY_TO_ANY)
def test_a_single_input_of_any_sequence_will_do(name):
    network = small(name)
    assert network.tasks is None
    for source, target in (("CT", "T1w"), ("ADC", "FLAIR")):
        image, _ = network(
            torch.rand(2, 1, 64, 64), network.embed(said(source)), network.embed(said(target))
        )
        assert image.shape == (2, 64, 64)


def test_networks_of_one_task_say_which_and_refuse_others():
    assert small("hi-net").tasks == small("mmgsn-net").tasks == ((("T1w", "T2w"), "CE-T1w"),)
    assert small("hi-net", target="FLAIR").tasks == ((("T1w", "T2w"), "FLAIR"),)
    assert small("cyclegan", pair=["T2w", "CT"]).tasks == ((("T2w",), "CT"), (("CT",), "T2w"))
    for name, wrong in (*((name, ("T1w", "STIR")) for name in PAIRED), ("cyclegan", ("CT",))):
        network = small(name)
        with pytest.raises(InputError):
            network.encode(torch.rand(1, len(wrong), 32, 32), network.embed(said(*wrong)))
    with pytest.raises(InputError):
        small("hi-net", target="T1w")
    with pytest.raises(InputError):
        small("cyclegan", pair=["T1w", "T1w"])


@pytest.mark.parametrize("name", ("u-net", *PAIRED))
def test_the_order_of_the_inputs_does_not_matter(name):
    network = small(name).eval()
    images = torch.rand(2, 2, 32, 32)
    wanted = network.embed(said("CE-T1w"))
    one = network(images, network.embed(said("T1w", "T2w")), wanted)[0]
    other = network(images.flip(1), network.embed(said("T2w", "T1w")), wanted)[0]
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ("u-net", "pix2pix"))
def test_it_is_told_what_the_input_is(name):
    network = small(name).eval()
    images, wanted = torch.rand(1, 1, 32, 32), network.embed(said("CE-T1w"))
    as_t1, as_t2 = (network(images, network.embed(said(s)), wanted)[0] for s in ("T1w", "T2w"))
    assert not torch.allclose(as_t1, as_t2)


def test_swin_unetr_is_not_told_the_source_but_the_target():
    network = small("swin-unetr").eval()
    images = torch.rand(1, 1, 64, 64)
    t1, t2 = network.embed(said("T1w")), network.embed(said("T2w"))
    assert torch.equal(network(images, t1, t2)[0], network(images, t2, t2)[0])
    assert not torch.allclose(network(images, t1, t1)[0], network(images, t1, t2)[0])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "cyclegan"])
def test_a_few_steps_bring_every_target_nearer(name):
    network = small(name)
    step = usual_step(name, network)
    before = _errors(made_by(network, step), step.truths)
    train(network, step, 20 if name == "swin-unetr" else 30)
    after = _errors(made_by(network, step), step.truths)
    assert (after < 0.5 * before).all()
    if len(step.targets) > 1:
        # one image for all targets, as of a network that is deaf to what is wanted
        halfway = step.truths.mean(1, keepdim=True)
        assert (after < _errors(halfway, step.truths)).all()


def _errors(images: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of each target."""
    return (images - truths).abs().mean((0, 2, 3))


def test_cyclegan_learns_the_way_there_and_back():
    network = small("cyclegan")
    step = usual_step("cyclegan", network)
    way_back = Step(
        step.truths, step.targets, step.inputs, step.wanted[0][:, None],
        (step.described[:, 0],), step.images, step.weights,
    )  # fmt: skip

    def there_and_back() -> float:
        made = made_by(network, step)
        with torch.inference_mode():
            again = network(made, way_back.described, way_back.wanted[0])[0]
        return float((again - step.images[:, 0]).abs().mean())

    before = there_and_back()
    losses = train(network, step, 12) + train(network, way_back, 12)
    assert there_and_back() < 0.5 * before
    assert losses[-1] < losses[0]


def test_cyclegan_never_learns_from_a_place_in_both_sequences():
    network = small("cyclegan").train()
    step = usual_step("cyclegan", network)
    images, truths = step.images.clone(), step.truths.clone()
    images[2:], truths[:2] = torch.rand(2, 2, 1, 32, 32)

    def gradients(given: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        changed = Step(
            given, step.inputs, step.targets, step.described, step.wanted, shown, step.weights
        )
        network.zero_grad()
        network.step_loss(changed).backward()
        learnt = [*network.generators.parameters(), *network.critic.parameters()]
        return torch.cat([p.grad.flatten() for p in learnt])

    assert torch.equal(gradients(step.images, step.truths), gradients(images, truths))


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_doubt_of_what_was_trained_changes(name):
    network = small(name)
    step = usual_step(name, network)
    before = network.log_scale.detach().clone()
    train(network, step, 1)
    trained = {i for i, moved in enumerate(network.log_scale != before) if moved}
    names = set(step.targets) | (set(step.inputs) if name == "cyclegan" else set())
    assert trained == {int(network.embed(said(n))[0, :12].argmax()) for n in names}


@pytest.mark.parametrize("half", (False, True))
@pytest.mark.parametrize("criterion", ("least_squares", "bce"))
def test_each_adversarial_term_trains_its_own_side_only(half, criterion):
    critic = PatchCritic(2, channels=4, norm="batch", criterion=criterion)
    maker = torch.nn.Conv2d(2, 1, 3, padding=1)
    given, real = torch.rand(2, 2, 32, 32), torch.rand(2, 1, 32, 32)

    def gradients(of_critic: bool) -> tuple[float, float]:
        critic.zero_grad()
        maker.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            made = maker(given)
            terms = generator_term(critic, given, made), critic_term(critic, given, real, made)
        terms[of_critic].backward()
        return _length(critic), _length(maker)

    from_generator, from_critic = gradients(False), gradients(True)
    assert from_generator[0] == 0 and from_generator[1] > 0
    assert from_critic[0] > 0 and from_critic[1] == 0
    assert all(p.requires_grad for p in critic.parameters())


def _length(module: torch.nn.Module) -> float:
    return sum(float(p.grad.norm()) for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("norm", ("instance", None))
def test_a_critic_without_the_batchs_statistics_judges_each_image_alone(norm):
    critic = PatchCritic(channels=4, norm=norm)
    images = torch.rand(3, 1, 32, 32)
    alone = torch.cat([critic(None, image[None]) for image in images])
    torch.testing.assert_close(critic(None, images), alone)


def test_mmgsn_has_the_published_patches():
    critic = small("mmgsn-net").critic
    assert critic(None, torch.rand(2, 1, 256, 224)).shape == (2, 1, 16, 14)


def test_self_attention_needs_no_memory_for_pairs_of_pixels():
    attention = small("mmgsn-net").attention
    with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
        attention(torch.rand(1, 8, 128, 96))
    most = max(event.self_cpu_memory_usage for event in profile.key_averages())
    assert most < (128 * 96) ** 2


@pytest.mark.parametrize(("name", "undone"), (("mhdgn-net", True), ("mmgsn-net", False)))
def test_only_mhdgn_undoes_the_gain_of_a_scanner(name, undone):
    network = small(name)
    step = usual_step(name, network)
    train(network, step, 5)
    image = made_by(network, step)
    gain = torch.tensor([1.7, 0.6])[:, None, None]
    scaled = network(step.images * gain, step.described, step.wanted[0])[0]
    assert torch.allclose(image[:, 0], scaled, atol=1e-4) == undone


def test_mhdgn_remembers_the_mean_of_its_training_set_only():
    network = small("mhdgn-net")
    step = usual_step("mhdgn-net", network)
    train(network, step, 3)
    inside = [float(image[image > 0].mean()) for image in step.images.transpose(0, 1)]
    np.testing.assert_allclose(network.mean.numpy(), inside, rtol=0.05)
    remembered = network.mean.clone()
    network.eval()
    network(3 * step.images, step.described, step.wanted[0])
    assert torch.equal(network.mean, remembered)


@pytest.mark.parametrize("name", WITH_CRITIC)
def test_a_bundle_makes_the_same_images_without_the_critic(name, tmp_path):
    network = small(name)
    step = usual_step(name, network)
    train(network, step, 2)
    weights = network.state_dict()
    kept = {key: value for key, value in weights.items() if not key.startswith(TRAINED_ONLY)}
    assert len(kept) < len(weights)
    kind = type(network)
    inference = {"network_def": {"_target_": f"{kind.__module__}.{kind.__name__}", **SMALL[name]}}
    bundle = write_bundle(tmp_path / "Bundle", METADATA["synthesis"], inference, kept)
    again = bundle.network().to(memory_format=torch.channels_last)
    assert torch.equal(made_by(network, step), made_by(again, step))


def test_info_nce_rewards_alike_features_of_one_place():
    ones = functional.normalize(torch.randn(6, 16), dim=1)
    matched, shuffled = info_nce(ones, ones), info_nce(ones, ones.roll(1, 0))
    assert 0 <= float(matched) < 0.1 < float(shuffled)


@pytest.mark.parametrize(
    ("inputs", "target", "best"),
    (
        (("T2w", "T1w"), "CE-T1w", "T1w"),
        (("T1w", "CE-T1w"), "CE-T1w-FS", "CE-T1w"),
        (("T1w", "T2w"), "STIR", "T2w"),
        (("T1w", "T2w", "T2w-FS"), "STIR", "T2w-FS"),
        (("T2w", "T1w"), "CT", "T2w"),
    ),
)
def test_the_best_input_to_copy_is_the_nearest_of_the_family(inputs, target, best):
    images = {name: np.full((2, 2), number) for number, name in enumerate(inputs)}
    name, image = copy_best(images, target)
    assert name == best
    assert image is images[best]


def test_linear_regression_finds_the_weights_over_all_patients():
    rng = np.random.default_rng(1)
    examples = []
    for _ in range(3):
        inputs = {name: rng.random((4, 8, 8)).astype(np.float32) for name in ("T1w", "T2w")}
        target = 0.5 * inputs["T1w"] - 2 * inputs["T2w"] + 0.25
        mask = rng.random(target.shape) < 0.5
        examples.append((inputs, np.where(mask, target, 99), mask))
    weights = fit_linear(iter(examples))
    assert weights == pytest.approx({"T1w": 0.5, "T2w": -2, "constant": 0.25}, abs=1e-5)
    inputs, target, mask = examples[0]
    np.testing.assert_allclose(apply_linear(weights, inputs)[mask], target[mask], atol=1e-5)
    with pytest.raises(ValueError, match="CT"):
        fit_linear([*examples, ({"CT": target}, target, mask)])
    with pytest.raises(ValueError, match="no examples"):
        fit_linear([])


@pytest.mark.parametrize("scale", (1.0, 4000.0))
def test_the_cubic_remap_recovers_a_cubic(scale):
    rng = np.random.default_rng(2)
    one, two = rng.random((2, 3, 16, 16))
    mask = rng.random(one.shape) < 0.4
    truth = 0.1 + one - 3 * one**2 + 2 * one**3
    np.testing.assert_allclose(cubic_remap(scale * one, truth, mask), truth, atol=1e-8)
    both = truth + two**3
    np.testing.assert_allclose(cubic_remap([scale * one, two], both, mask), both, atol=1e-8)
    assert np.abs(cubic_remap(scale * one, both, mask) - both)[mask].mean() > 0.05
    with pytest.raises(ValueError, match="empty"):
        cubic_remap(one, truth, np.zeros_like(mask))
