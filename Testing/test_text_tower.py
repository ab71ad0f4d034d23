"""Text and image towers: what they must tell apart, what they must not, and the lexicon."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from MRISynthLib.errors import InputError
from MRISynthLib.prompts import understand
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation.hospitals import inside_hospitals
from MRISynthLib.simulation.protocols import draw_protocol, typical_protocol
from MRISynthLib.synthesis.conditioning import contrast_vector
from MRISynthLib.synthesis.spelling import spell, words_of
from MRISynthLib.synthesis.towers import (
    ContrastiveTowers,
    consistency,
    contrastive_loss,
    image_reading,
    text_reading,
)
from MRISynthLib.training import lexicon_words, text, text_validation
from MRISynthLib.training.handwriting import nonsense
from MRISynthLib.training.lexicon import FORMS, Lexicon
from MRISynthLib.training.text import (
    full_description,
    likeness,
    load_towers,
    reserved_texts,
    train_text,
)

PROMPTS = sorted((Path(__file__).parent / "prompts").glob("*.json"))


@pytest.fixture(scope="module")
def towers():
    torch.manual_seed(3)
    return ContrastiveTowers().eval().requires_grad_(False)


def _head(seed: int, side: int = 64) -> torch.Tensor:
    """A bright disc with some texture; (2, side, side)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = ((rows - side / 2) ** 2 + (columns - side / 2) ** 2) < 24**2
    noise = torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed))
    return disc * (0.3 + 0.7 * noise)


def _vector(sequence: str, **changed) -> torch.Tensor:
    described = replace(full_description(typical_protocol(sequence)), **changed)
    return torch.from_numpy(contrast_vector(described))[None]


class TestImageTower:
    def test_gain_does_not_matter(self, towers):
        images = _head(0)
        assert torch.allclose(towers.look(images), towers.look(700 * images), atol=1e-4)

    def test_air_around_the_body_hardly_matters(self, towers):
        images = _head(0)
        more_air = torch.nn.functional.pad(images, (32, 32, 32, 32))
        alike = (towers.look(images) * towers.look(more_air)).sum(1)
        apart = (towers.look(images) * towers.look(1.0 - images)).sum(1)
        assert alike.min() > 0.999
        assert apart.max() < alike.min()

    def test_pixels_of_half_the_size_are_looked_at_as_if_they_were_not(self, towers):
        images = torch.nn.functional.avg_pool2d(_head(0), 4, 1, 2)[:, :64, :64]
        fine = images.repeat_interleave(2, 1).repeat_interleave(2, 2)
        alike = (towers.look(images) * towers.look(fine, pixel_mm=1.0)).sum(1)
        assert alike.min() > 0.99

    def test_an_empty_image_has_an_embedding_too(self, towers):
        assert torch.isfinite(towers.look(torch.zeros(1, 64, 64))).all()


class TestTextTower:
    def test_words_and_numbers_each_may_be_missing(self, towers):
        numbers = torch.cat([_vector("T2w"), torch.zeros_like(_vector("T2w"))])
        both, words_only = towers.read(["T2w", "T2w"], numbers)
        assert torch.allclose(words_only, towers.read(["T2w"])[0], atol=1e-6)
        numbers_only = towers.read([""], numbers[:1])[0]
        assert len({tuple(found.tolist()) for found in (both, words_only, numbers_only)}) == 3
        lengths = torch.stack([both, words_only, numbers_only]).norm(dim=1)
        assert torch.allclose(lengths, torch.ones(3), atol=1e-5)

    def test_an_echo_time_changes_the_embedding(self, towers):
        short, long = (towers.read(["T2w"], _vector("T2w", te_ms=te))[0] for te in (70.0, 120.0))
        assert not torch.allclose(short, long)

    def test_a_text_alone_is_read_as_in_company(self, towers):
        company = towers.read(["T1", "a much longer text, T2 TSE axial with fat saturation, 3 T"])
        assert torch.allclose(towers.read(["T1"])[0], company[0], atol=1e-5)

    def test_the_same_words_in_another_order_can_be_told_apart(self):
        torch.manual_seed(0)
        towers = ContrastiveTowers()
        agents, fats = ("gadolinium", "contrast", "Gadovist"), ("fat sat", "FS", "suppression")
        texts, meant = [], []
        for agent in agents:
            for fat in fats:
                texts += [f"T1 with {agent} without {fat}", f"T1 without {agent} with {fat}"]
                meant += [0, 1]
        optimiser = torch.optim.AdamW(towers.text.parameters(), 2e-3)
        for _ in range(25):
            kept = list(range(4, len(texts)))  # all but one pair of names
            found = towers.similarity(towers.read([texts[n] for n in kept]), towers.read("AB"))
            loss = torch.nn.functional.cross_entropy(found, torch.tensor([meant[n] for n in kept]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        unseen = towers.similarity(towers.read(texts[:4]), towers.read("AB"))
        assert unseen.argmax(1).tolist() == meant[:4]


class TestSpelling:
    def test_words_of_three_languages(self):
        assert words_of("CET1w +C") == ["ce", "t1", "w", "+", "c"]
        assert words_of("T1增强 TR 0,62 s") == ["t1", "增", "强", "tr", "0,62", "s"]

    def test_a_misspelt_word_keeps_most_of_its_parts(self):
        right, wrong = (set(spell(w)[0].tolist()) - {0} for w in ("gadolinium", "gadolinum"))
        assert len(right & wrong) > 0.5 * len(right)

    def test_seconds_are_a_thousand_milliseconds(self):
        seconds, milliseconds = spell("TR 0.62 s")[1], spell("TR 620 ms")[1]
        assert len(set(seconds.tolist()) & set(milliseconds.tolist()) - {0}) == 3

    @pytest.mark.parametrize("text", ["", "9" * 400, "٣ tesla ½", "\ud800", "🙂", "T1 " * 500])
    def test_any_text_can_be_read(self, towers, text):
        assert towers.read([text]).isfinite().all()


class TestLoss:
    def test_images_of_the_same_contrast_are_no_negatives(self):
        similarity = torch.full((2, 2), 5.0, requires_grad=True)
        contrastive_loss(similarity, torch.ones(2, 2)).backward()
        assert torch.allclose(similarity.grad, torch.zeros(2, 2), atol=1e-6)
        similarity.grad = None
        contrastive_loss(similarity, torch.eye(2)).backward()
        assert similarity.grad[0, 1] > 0 > similarity.grad[0, 0]

    def test_a_text_true_of_no_image_is_pushed_away(self):
        similarity = torch.zeros(2, 3, requires_grad=True)
        alike = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        contrastive_loss(similarity, alike).backward()
        assert (similarity.grad[:, 2] > 0).all()

    def test_likeness_counts_what_the_text_says_and_nothing_else(self):
        image = _vector("T2w", te_ms=80.0)
        name_only = _vector("T2w", te_ms=None, tr_ms=None, field_strength_t=None)
        assert likeness(image, name_only) == 1.0
        assert likeness(image, _vector("STIR")) == 0.0
        near, far = (float(likeness(image, _vector("T2w", te_ms=te))) for te in (85.0, 130.0))
        assert 1.0 > near > 2 * far

    def test_consistency_moves_the_image_and_leaves_the_towers(self, towers):
        image = _head(1).requires_grad_(True)
        loss = consistency(towers, image, ["T1w"] * 2, _vector("T1w").expand(2, -1), pixel_mm=2.0)
        loss.backward()
        assert 0.0 <= loss.item() <= 2.0
        assert image.grad.abs().sum() > 0
        assert all(weight.grad is None for weight in towers.parameters())


class TestReadings:
    def test_readings_are_probabilities_of_all_sequences(self, towers):
        for found in (text_reading(towers, "T1 mit KM"), image_reading(towers, _head(2))):
            assert list(found) == list(SEQUENCE_NAMES)
            assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)

    def test_reading_twice_gives_the_same(self, towers):
        assert text_reading(towers, "T1 增强") == text_reading(towers, "T1 增强")


def _writings(count: int, lexicon: Lexicon, **how) -> list:
    rng = np.random.default_rng(11)
    names = SEQUENCE_NAMES
    return [
        lexicon.write(draw_protocol(names[n % len(names)], rng), rng, **how) for n in range(count)
    ]


class TestLexicon:
    def test_covers_languages_forms_and_negation(self):
        found = _writings(1500, Lexicon())
        assert {each.language for each in found} == set(lexicon_words.LANGUAGES)
        assert {each.form for each in found} == set(FORMS)
        texts = " | ".join(each.said.text for each in found)
        for expected in ("without", "ohne", "不", "Scanner: ", "None", "Siemens", "矢状", "毫秒"):
            assert expected in texts
        assert 0.1 < np.mean([each.negated for each in found]) < 0.6

    def test_never_writes_a_prompt_that_the_product_is_judged_by(self):
        reserved = reserved_texts([str(path) for path in PROMPTS])
        judged = {tuple(words_of(text)) for text in reserved}
        found = {}
        for kept_out in ((), reserved):
            writings = _writings(1500, Lexicon(kept_out), form="list")
            found[bool(kept_out)] = {tuple(words_of(each.said.text)) for each in writings}
        assert judged & found[False]  # they would come up
        assert not judged & found[True]

    def test_phrases_for_the_test_stay_out_of_training(self):
        held = lexicon_words.FAMILIES["de"]["FLAIR"][lexicon_words.KEPT_BACK - 1]
        flair = draw_protocol("FLAIR", np.random.default_rng(0))
        rng = np.random.default_rng(1)
        how = {"form": "list", "language": "de"}
        lexicon = Lexicon()
        for test in (False, True):
            texts = [lexicon.write(flair, rng, test=test, **how).said.text for _ in range(200)]
            assert any(held.casefold() in text.casefold() for text in texts) == test
        assert all(each.kept_back for each in _writings(50, lexicon, test=True))

    def test_what_it_writes_is_understood_as_meant(self):
        """By the product's own rules, but for phrases that they do not know."""
        right = wrong = 0
        for form in ("list", "sentence", "answers", "header", "understood"):
            for each in _writings(120, Lexicon(), form=form):
                try:
                    found = understand(each.said.text).sequence
                except InputError:
                    continue
                right += found == each.said.sequence
                wrong += found != each.said.sequence
        assert right > 400
        assert wrong < 0.1 * right

    def test_numbers_in_the_text_are_the_numbers_that_it_says(self):
        for each in _writings(200, Lexicon(), form="header"):
            said = understand(each.said.text)
            for name in ("tr_ms", "te_ms", "ti_ms"):
                expected = getattr(each.said, name)
                found = getattr(said, name)
                assert (expected is None) == (found is None), each.said.text
                assert expected is None or found == pytest.approx(expected, rel=0.01)

    def test_the_same_random_numbers_write_the_same(self):
        assert _writings(20, Lexicon()) == _writings(20, Lexicon())

    def test_nonsense_asks_for_no_image(self):
        """By the product's own rules, but for contradictions that they overlook."""
        rng = np.random.default_rng(5)
        refused = 0
        for number in range(100):
            try:
                understand(nonsense(rng, test=number % 2 == 0))
            except InputError:
                refused += 1
        assert refused > 85


SETTINGS = """
steps: 2
size: [64, 64]
sequences: 4
phrases: 8
sample_steps: []
threads: 1
reserved_prompts: [{reserved}]
"""


class _Discs:
    """Stands in for simulated slices: discs of any contrast, with a protocol each."""

    hospitals = inside_hospitals()

    def __init__(self, *_, **__) -> None:
        pass

    def draw(self, rng, torch_rng, sequences, **_):
        return SimpleNamespace(
            images={name: _head(int(rng.integers(99)))[:1] for name in sequences},
            protocols={name: [draw_protocol(name, rng)] for name in sequences},
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("text")
    settings = folder / "text.yaml"
    settings.write_text(SETTINGS.format(reserved=PROMPTS[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "SimulatedSlices", _Discs)
        patch.setattr(text, "cohort_paths", lambda *_: ([], []))
        for name, count in (("PATIENTS", 1), ("PHRASES", 24), ("ECHOES", 4)):
            patch.setattr(text_validation, name, count)
        return train_text(settings, folder / "run", report=lambda line: None)


class TestTraining:
    def test_a_run_validates_and_can_be_loaded(self, run):
        figures = {}
        for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            figures |= json.loads(line)
        for name in ("images named", "phrases read zh", "phrases read with a negation", "score"):
            assert 0.0 <= figures[name] <= 1.0
        towers = load_towers(run)
        assert not towers.training
        assert not any(weight.requires_grad for weight in towers.parameters())
        assert sum(text_reading(towers, "T1").values()) == pytest.approx(1.0, abs=1e-5)

    def test_other_folders_are_refused(self, run, tmp_path):
        with pytest.raises(InputError):
            load_towers(tmp_path)
        (tmp_path / "config.json").write_text("{}")
        torch.save({"weights": {}, "step": 1, "score": 0.0}, tmp_path / "best.pt")
        with pytest.raises(InputError, match="mrisynth train text"):
            load_towers(tmp_path)

    @pytest.mark.parametrize("content", ["not json", "[1, 2]", '{"a": [{"words": "T1"}]}'])
    def test_damaged_lists_of_prompts_are_refused(self, tmp_path, content):
        path = tmp_path / "prompts.json"
        path.write_text(content)
        with pytest.raises(InputError, match="reserved_prompts"):
            reserved_texts([str(path)])
        with pytest.raises(InputError, match="cannot be read"):
            reserved_texts([str(tmp_path / "missing.json")])
