"""A CLIP's or a BiomedCLIP's text model, from a local folder, in the place of the words' network.

Two layouts are read: that of Hugging Face (``config.json`` of model type ``clip`` or
``clip_text_model``, ``model.safetensors``) and that of open_clip with a BERT
(``open_clip_config.json``; weights ``text.transformer.*`` and ``text.proj.*``), as BiomedCLIP has
it (Zhang et al., arXiv 2303.00915). Beside them lie the tokenizer's files. Nothing is fetched and
nothing in the folder is executed: weights are safetensors only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from .towers import SIZE, joined, joining_network, numbers_network

_HEAD_WIDTH = 64
"""Of BERT's attention heads, in all its published sizes."""

_REMEMBERED = 4096
"""Texts whose features are kept; the names of sequences come up at every step."""

Encode = Callable[[dict[str, torch.Tensor]], torch.Tensor]


class PretrainedTextTower(nn.Module):
    """Like :class:`towers.TextTower`, with a frozen text model of the folder ``source``.

    A learnt linear map takes its features to the common space, where the contrast's numbers join
    them. The frozen model is no part of the state: it comes from its folder every time.
    """

    def __init__(self, frozen: FrozenTextModel, size: int = SIZE) -> None:
        super().__init__()
        self.size = size
        self._frozen = (frozen,)  # in a tuple, so that torch does not make it part of the state
        self._known: dict[str, torch.Tensor] = {}
        self.project = nn.Linear(frozen.width, size)
        self.numbers = numbers_network(size)
        self.join = joining_network(size)

    @classmethod
    def load(cls, source: Path, size: int = SIZE) -> PretrainedTextTower:
        """The text model of a local folder.

        Raises
        ------
        InputError
            If the folder lacks a file, its weights are no safetensors or damaged, it holds another
            kind of model, or the package transformers is missing.
        """
        return cls(load_text_model(Path(source)), size)

    def forward(self, texts: Sequence[str], vectors: torch.Tensor | None = None) -> torch.Tensor:
        """(len(texts), size), of length 1: see :meth:`towers.TextTower.forward`."""
        device = self.project.weight.device
        features = self.project(self.features(texts).to(device))
        said = torch.tensor([bool(text.strip()) for text in texts], device=device)
        return joined(self, features * said[:, None], said, vectors)

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """(len(texts), width): what the frozen model makes of the texts, of length 1."""
        model = self._frozen[0]
        model.network.to(self.project.weight.device)
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(fresh) > _REMEMBERED:
            self._known.clear()
            fresh = list(dict.fromkeys(texts))
        if fresh:
            found = nn.functional.normalize(model.encode(fresh), dim=1).cpu()
            self._known |= dict(zip(fresh, found, strict=True))
        return torch.stack([self._known[text] for text in texts])


class FrozenTextModel:
    """A text model with its tokenizer; not trained.

    ``read`` takes the tokenizer's tensors to features (n, ``width``).
    """

    def __init__(
        self, network: nn.Module, tokenizer: Any, read: Encode, width: int, longest: int
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.tokenizer, self.read, self.width, self.longest = tokenizer, read, width, longest

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """(len(texts), width)."""
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        device = next(self.network.parameters()).device
        names = ("input_ids", "attention_mask")
        return self.read({name: tokens[name].to(device) for name in names})


def load_text_model(folder: Path) -> FrozenTextModel:
    """The text model of a folder in either layout; errors as :meth:`PretrainedTextTower.load`."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name the folder of a CLIP checkpoint.")
    try:
        import transformers
    except ImportError:
        raise InputError(
            "Text models of other makers need the package transformers; "
            "install it with: pip install transformers."
        ) from None
    transformers.logging.set_verbosity_error()
    if (folder / "open_clip_config.json").is_file():
        return _open_clip(folder, transformers)
    if (folder / "config.json").is_file():
        return _hugging_face(folder, transformers)
    raise InputError(
        f"{folder} has neither config.json nor open_clip_config.json; "
        "name the folder of a CLIP checkpoint with all its files."
    )


def model_files(folder: Path) -> dict[str, Path]:
    """Name -> file of all that :func:`load_text_model` may read.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name the folder of a CLIP checkpoint.")
    read = (".json", ".txt", ".safetensors")
    return {path.name: path for path in sorted(folder.iterdir()) if path.suffix in read}


def _hugging_face(folder: Path, transformers: Any) -> FrozenTextModel:
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    text = config.get("text_config") if kind == "clip" else config
    if kind not in ("clip", "clip_text_model") or not isinstance(text, dict):
        raise InputError(
            f"{folder / 'config.json'} describes a model of type {kind!r} and not the text model "
            "of a CLIP; name the folder of a CLIP or BiomedCLIP checkpoint."
        )
    width = {"projection_dim": config.get("projection_dim", 512)}
    network = _built(
        lambda: transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig.from_dict({**text, **width})
        ),
        folder,
    )
    _fill(network, _weights(folder), "", folder)
    return FrozenTextModel(
        network,
        _tokenizer(transformers.CLIPTokenizerFast, folder, network.config.vocab_size),
        lambda tokens: network(**tokens).text_embeds,
        network.config.projection_dim,
        network.config.max_position_embeddings,
    )


def _open_clip(folder: Path, transformers: Any) -> FrozenTextModel:
    path = folder / "open_clip_config.json"
    config = _json(path)
    model = config.get("model_cfg", config)
    text = model.get("text_cfg", {}) if isinstance(model, dict) else {}
    if not isinstance(text, dict) or "hf_model_name" not in text:
        raise InputError(
            f"{path} names no hf_model_name in text_cfg, so its text model is no BERT; "
            "name the folder of a BiomedCLIP, or of a CLIP in Hugging Face's layout."
        )
    pool = _POOLERS.get(text.get("hf_pooler_type", "mean_pooler"))
    if pool is None:
        raise InputError(
            f"{path} asks for another hf_pooler_type than {' or '.join(_POOLERS)}; "
            "name the folder of another checkpoint."
        )
    weights = _weights(folder)
    sizes = _bert_settings(folder, weights)
    bert = _built(
        lambda: transformers.BertModel(
            transformers.BertConfig.from_dict(sizes), add_pooling_layer=False
        ),
        folder,
    )
    _fill(bert, weights, "text.transformer.", folder)
    projection = _projection(weights, folder)

    def read(tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        states = bert(**tokens).last_hidden_state
        return projection(pool(states, tokens["attention_mask"]))

    return FrozenTextModel(
        nn.ModuleList([bert, projection]),
        _tokenizer(transformers.BertTokenizerFast, folder, bert.config.vocab_size),
        read,
        projection[-1].out_features,
        bert.config.max_position_embeddings,
    )


def _first_token(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states[:, 0]


def _mean_token(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    there = mask[..., None].to(states)
    return (states * there).sum(1) / there.sum(1)


_POOLERS = {"cls_last_hidden_state_pooler": _first_token, "mean_pooler": _mean_token}


def _bert_settings(folder: Path, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """BERT's own config.json where it lies beside; else its sizes as the weights have them."""
    if (folder / "config.json").is_file():
        config = _json(folder / "config.json")
        if config.get("model_type") == "bert":
            return config
    before = "text.transformer."
    try:
        vocabulary, width = weights[f"{before}embeddings.word_embeddings.weight"].shape
        positions = weights[f"{before}embeddings.position_embeddings.weight"].shape[0]
        between = weights[f"{before}encoder.layer.0.intermediate.dense.weight"].shape[0]
    except (KeyError, ValueError):
        raise _other_model(folder) from None
    layers = {name.split(".")[4] for name in weights if name.startswith(f"{before}encoder.layer.")}
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "num_hidden_layers": len(layers),
        "intermediate_size": between,
        "max_position_embeddings": positions,
    }


def _projection(weights: dict[str, torch.Tensor], folder: Path) -> nn.Module:
    """``text.proj``: one linear map, or two with a GELU between."""
    if "text.proj.weight" in weights:
        shapes = [weights["text.proj.weight"].shape]
        names = {"0.weight": "text.proj.weight"}
    else:
        names = {f"{n}.weight": f"text.proj.{n}.weight" for n in (0, 2)}
        if not set(names.values()) <= set(weights):
            raise _other_model(folder)
        shapes = [weights[name].shape for name in names.values()]
    layers: list[nn.Module] = []
    for rows, columns in shapes:
        layers += [nn.Linear(columns, rows, bias=False), nn.GELU()]
    projection = nn.Sequential(*layers[:-1])
    projection.load_state_dict({name: weights[source] for name, source in names.items()})
    return projection


def _fill(network: nn.Module, weights: dict[str, torch.Tensor], prefix: str, folder: Path) -> None:
    wanted = network.state_dict()
    found = {name: weights.get(prefix + name) for name in wanted}
    if any(value is None or value.shape != wanted[name].shape for name, value in found.items()):
        raise _other_model(folder)
    network.load_state_dict(found)


def _other_model(folder: Path) -> InputError:
    return InputError(
        f"The weights in {folder} do not fit its configuration; "
        "name a folder with all the files of one CLIP checkpoint."
    )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the one safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth"))
        if pickles:
            raise InputError(
                f"{folder} has its weights in {pickles[0]} only, which could run foreign code when "
                "read; convert it with safetensors.torch.save_file where you trust it, and put "
                "model.safetensors beside it."
            )
        raise InputError(f"{folder} has no weights; put its model.safetensors there.")
    if len(files) > 1:
        raise InputError(
            f"{folder} has {len(files)} files of weights; leave the whole model's only."
        )
    try:
        return load_file(files[0])
    except (SafetensorError, OSError):
        raise InputError(f"{files[0]} cannot be read as safetensors; copy it again.") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; copy it again.")
    return content


def _built(make: Callable[[], nn.Module], folder: Path) -> nn.Module:
    """What ``make`` gives; InputError where the library does not take the configuration."""
    try:
        return make()
    except Exception as error:  # the library raises of many kinds; the file alone is to blame
        raise InputError(
            f"The configuration in {folder} is not one of a text model ({type(error).__name__}); "
            "copy it again."
        ) from None


_TOKENIZER_FILES = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))


def _tokenizer(kind: Any, folder: Path, words: int) -> Any:
    """The folder's own, of at most ``words`` words."""
    there = any(all((folder / n).is_file() for n in names) for names in _TOKENIZER_FILES)
    try:
        # without files the library makes an empty tokenizer and says nothing
        tokenizer = kind.from_pretrained(folder, local_files_only=True) if there else None
    except Exception:  # as above
        tokenizer = None
    if tokenizer is None:
        raise InputError(
            f"{folder} lacks its tokenizer; put tokenizer.json, or vocab.txt (BERT) or vocab.json "
            "and merges.txt (CLIP), there."
        )
    if len(tokenizer) > words:
        raise InputError(
            f"The tokenizer in {folder} knows {len(tokenizer)} words and the model {words}; "
            "copy both from the same place."
        )
    return tokenizer
