"""How it is computed: which model, where, and what is done to the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

from .targets import Understanding

SYNTHESIS_TASK = "synthesis"
"""The worker's name for what :func:`synthesis_parameters` asks for."""

PREVIEW_TASK = "preview"
"""The worker's name for one slice of the same."""

DEVICES_TASK = "devices"
"""The worker's name for the question which devices there are."""

MATCHING: dict[str, tuple[str, bool | None]] = {
    "measured": ("As measured to be best for this model", None),
    "on": ("Match brightness to the training images", True),
    "off": ("Leave brightness as it is", False),
}
"""Choice -> (words, ``match`` of the worker's task)."""

NORMALISATION: dict[str, str] = {
    "robust": "By the body's percentiles (as in training)",
    "minmax": "By smallest and largest value",
}
"""Method of :mod:`MRISynthLib.preprocessing.normalisation` -> words."""

CARD: dict[str, str] = {
    "intended_use": "Intended use",
    "licence": "Licence",
    "training_data": "Trained on",
    "quality": "Measured quality",
}
"""Field of a bundle's metadata -> heading on its card."""

_BODY_FIGURES = {"MAE": "{:.3f}", "PSNR": "{:.1f} dB", "SSIM": "{:.2f}"}
_MADE_BY = "network"


class Described(Protocol):
    """A model with its metadata; :class:`MRISynthLib.bundles.Bundle` is one."""

    name: str
    version: str
    metadata: Mapping[str, Any]


def chosen_model(models: Sequence[Any], name: str) -> Any | None:
    """The model of this name, else the first, else None."""
    return next((model for model in models if model.name == name), next(iter(models), None))


def missing_model(models: Sequence[Any], name: str) -> str:
    """One sentence if a scene names a model that is not installed; empty if it does not."""
    model = chosen_model(models, name)
    if model is None or name in ("", model.name):
        return ""
    return (
        f"The model {name}, which was chosen in this scene, is not installed, so {model.name} is "
        "used; import it in Options, or choose another there."
    )


def card_html(model: Described) -> str:
    """What a user must know of a model before using it, as simple HTML."""
    parts = []
    for key, heading in CARD.items():
        value = model.metadata.get(key)
        if value in (None, "", {}, []):
            continue
        words = _quality_html(value) if key == "quality" else escape(str(value))
        parts.append(f"<p><b>{heading}:</b> {words}</p>")
    return "".join(parts)


def _quality_html(quality: Any) -> str:
    """One line for each group of patients that the model was measured on."""
    if not isinstance(quality, Mapping):
        return escape(str(quality))
    lines = []
    for group, measured in quality.items():
        figures = measured.get("figures") if isinstance(measured, Mapping) else None
        if not isinstance(figures, Mapping):
            lines.append(f"{escape(str(group))}: {escape(str(measured))}")
            continue
        cases = measured.get("cases")
        title = escape(str(group)) + (f" ({cases})" if cases else "")
        each = [
            f"{escape(str(task))}: {words}"
            for task, found in figures.items()
            if (words := _figures_in_words(found))
        ]
        if each:
            lines.append(f"<i>{title}</i><br>" + "<br>".join(each))
    return "<br>".join(lines)


def _figures_in_words(found: Any) -> str:
    """ "SSIM 0.71, ..., in the body" of a synthesis task; empty for what is none."""
    made = found.get(_MADE_BY) if isinstance(found, Mapping) else None
    body = made.get("body") if isinstance(made, Mapping) else None
    if not isinstance(body, Mapping):
        return ""
    words = [
        f"{name} {form.format(float(body[name]))}"
        for name, form in _BODY_FIGURES.items()
        if isinstance(body.get(name), int | float)
    ]
    return f"{', '.join(words)} in the body" if words else ""


def device_choices(
    devices: Iterable[Mapping[str, Any]] | None, chosen: str
) -> tuple[tuple[str, str], ...]:
    """(value, words) for each device, by name and with its free memory.

    ``devices`` is the worker's answer, None until it is there. The one that is chosen is always
    listed, also where this machine lacks it: only the run can say so.
    """
    known = list(devices or ())
    choices = {"auto": "Automatic"}
    if known:
        choices["auto"] += f": {_device_words(known[0])}"
    choices |= {str(device["name"]): _device_words(device) for device in known}
    if not known:
        choices["cpu"] = "Processor (CPU)"
    if chosen == "cuda" and "cuda:0" in choices:
        choices["cuda"] = choices.pop("cuda:0")
    choices.setdefault(chosen, f"{chosen} (not on this machine)" if known else chosen)
    return tuple(choices.items())


def _device_words(device: Mapping[str, Any]) -> str:
    free, total = (float(device[key]) / 1024 for key in ("free_mb", "total_mb"))
    return f"{free:.1f} of {total:.1f} GB free, {device['label']}"


def synthesis_parameters(
    understanding: Understanding,
    *,
    model: str | None = None,
    device: str = "auto",
    seed: int = 0,
    register: bool = True,
    match: bool | None = None,
    normalisation: str = "robust",
    visible_slice: int | None = None,
) -> dict[str, Any]:
    """The parameters of the worker's tasks :data:`SYNTHESIS_TASK` and :data:`PREVIEW_TASK`."""
    return {
        "targets": [{"sequence": name, "prompt": words} for name, words in understanding.targets],
        "bundle": model,
        "device": device,
        "seed": int(seed),
        "register": bool(register),
        "match": match,
        "normalisation": normalisation,
        "visible_slice": visible_slice,
    }
