"""A CLIP's or BiomedCLIP's text model from a local folder."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models import ABOUT
from MRISynthLib.bundles import verify, write_bundle
from MRISynthLib.errors import BundleError, InputError
from MRISynthLib.prompts import understand
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.synthesis.checkpoint_text import PretrainedTextTower, model_files
from MRISynthLib.synthesis.conditioning import VECTOR_SIZE, describe_target
from MRISynthLib.synthesis.equation_net import EquationNet
from MRISynthLib.synthesis.towers import ContrastiveTowers
from MRISynthLib.training.synthesis import take_tower

transformers = pytest.importorskip("transformers", reason="the extra 'clip' is not installed")

TEXTS = ["T1 with contrast", "T2"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """(folder, model) of a tiny random CLIP in Hugging Face's layout."""
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "t1</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nt 1</w>\n")
    small = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16,
    }  # fmt: skip
    last = len(words) - 1
    special = {"bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": last}
    config = transformers.CLIPConfig(
        text_config={**small, **special, "vocab_size": len(words)},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="module")
def biomedclip(tmp_path_factory):
    """(folder, BERT, projection) of a tiny random BERT in open_clip's layout."""
    folder = tmp_path_factory.mktemp("biomedclip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "t1", "with", "contrast", "t2"]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=1,
            intermediate_size=16, max_position_embeddings=40,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    projection = nn.Sequential(
        nn.Linear(64, 20, bias=False), nn.GELU(), nn.Linear(20, 12, bias=False)
    )
    weights = {f"text.transformer.{name}": value for name, value in bert.state_dict().items()}
    weights |= {f"text.proj.{name}": value for name, value in projection.state_dict().items()}
    weights["visual.trunk.cls_token"] = torch.zeros(1, 1, 4)
    save_file(weights, folder / "open_clip_model.safetensors")
    text = {
        "hf_model_name": "some/bert", "hf_proj_type": "mlp", "context_length": 30,
        "hf_pooler_type": "cls_last_hidden_state_pooler",
    }  # fmt: skip
    described = {"model_cfg": {"embed_dim": 12, "text_cfg": text}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return folder, bert, projection


def test_a_clip_gives_its_own_embedding(clip):
    folder, model = clip
    tokens = transformers.CLIPTokenizerFast.from_pretrained(folder)(
        TEXTS, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = model.text_model(**tokens).pooler_output
        expected = nn.functional.normalize(model.text_projection(states), dim=1)
    found = PretrainedTextTower.load(folder).features(TEXTS)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_biomedclip_gives_its_own_embedding(biomedclip):
    folder, bert, projection = biomedclip
    tokens = transformers.BertTokenizerFast.from_pretrained(folder)(
        TEXTS, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        pooled = bert(**tokens).last_hidden_state[:, 0]
        expected = nn.functional.normalize(projection(pooled), dim=1)
    found = PretrainedTextTower.load(folder).features(TEXTS)
    assert torch.allclose(found, expected, atol=1e-6)


def test_it_takes_the_place_of_the_words_own_network(clip):
    folder, _ = clip
    towers = ContrastiveTowers(PretrainedTextTower.load(folder))
    vectors = torch.zeros(2, VECTOR_SIZE)
    vectors[1, 0] = 1.0
    towers.read(TEXTS, vectors).sum().backward()
    assert towers.text.project.weight.grad is not None
    assert not any("network" in name for name in towers.state_dict())
    assert towers.read([""]).isfinite().all()


def _without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def _cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _configured(**fields):
    def change(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["text_config"] |= fields.pop("text_config", {})
        path.write_text(json.dumps({**config, **fields}))

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without("config.json"), "neither config.json nor open_clip_config.json"),
        (_without("model.safetensors"), "has no weights"),
        (_without("merges.txt"), "lacks its tokenizer"),
        (_without("vocab.json", "merges.txt"), "lacks its tokenizer"),
        (_pickled, "convert it"),
        (_cut, "cannot be read as safetensors"),
        (_configured(model_type="vit"), "'vit'"),
        (_configured(text_config={"hidden_size": 64}), "do not fit"),
        (_configured(text_config={"hidden_size": "wide"}), "not one of a text model"),
        (lambda folder: (folder / "config.json").write_text("{"), "damaged"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(clip, tmp_path, spoil, says):
    folder = tmp_path / "checkpoint"
    shutil.copytree(clip[0], folder)
    spoil(folder)
    with pytest.raises(InputError, match=says) as raised:
        PretrainedTextTower.load(folder)
    assert str(raised.value).endswith(".")


def test_an_open_clip_without_a_bert_is_refused(biomedclip, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(biomedclip[0], folder)
    (folder / "open_clip_config.json").write_text('{"model_cfg": {"text_cfg": {"width": 512}}}')
    with pytest.raises(InputError, match="no BERT"):
        PretrainedTextTower.load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        PretrainedTextTower.load(tmp_path / "nowhere")


def test_a_model_that_reads_with_a_clip_is_a_bundle_that_stands_alone(clip, tmp_path):
    """Trained with the tower, exported, read on a machine without the checkpoint's folder."""
    elsewhere = tmp_path / "checkpoint"
    shutil.copytree(clip[0], elsewhere)
    torch.manual_seed(0)
    options = {"widths": [16, 16, 16], "condition": 16}
    network = EquationNet(**options).eval()
    take_tower(network, ContrastiveTowers(PretrainedTextTower.load(elsewhere)))
    assert not any(weight.requires_grad for weight in network.prompt.tower.parameters())
    said = [describe_target(understand(text)) for text in ("CE-T1w", "T2w at 3 T")]
    wanted = network.embed(said)
    metadata = {
        **ABOUT, "name": "Reader", "task": "synthesis", "sequences_out": list(SEQUENCE_NAMES)
    }  # fmt: skip
    target = f"{EquationNet.__module__}.EquationNet"
    inference = {"network_def": {"_target_": target, **options}, "text_model": True}
    bundle = write_bundle(
        tmp_path / "bundle", metadata, inference, network.state_dict(),
        text_model=model_files(elsewhere),
    )  # fmt: skip
    shutil.rmtree(elsewhere)
    torch.testing.assert_close(verify(bundle.folder).network().embed(said), wanted)
    (bundle.folder / "text_model" / "vocab.json").unlink()
    with pytest.raises(BundleError, match=r"vocab\.json"):
        verify(bundle.folder)
