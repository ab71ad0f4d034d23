"""From a training run to a bundle, with a model card written from measured figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ..bundle_weights import in_eight_bits
from ..bundles import TEXT_MODEL, Bundle, write_bundle
from ..errors import InputError
from ..evaluation.parts import EVERY_PATIENT
from ..evaluation.patients import SIDES
from ..provenance import DISCLAIMER
from ..sequences import SEQUENCE_NAMES
from .checkpoint import best_weights
from .sources import trained_on
from .start import began_with
from .survey import SCREEN, SURVEY
from .synthesis import make_network
from .text import files_of_towers

FIRST_VERSION = "0.1.0"
INTENDED_USE = (
    "Research and demonstration of missing-sequence synthesis and delineation for radiotherapy "
    "of nasopharyngeal carcinoma. Not for diagnosis, staging, contouring for treatment or any "
    "other clinical decision."
)
ONLY_SIMULATED = "Trained on simulated patients only: no real scan has been seen. "
LIMITS = (
    "Enhancement of a synthetic contrast-enhanced image is an estimate from the images given; "
    "mucosa, adenoids and post-treatment change can look like tumour and the other way round."
)


def read_run(run: Path) -> dict[str, Any]:
    """The configuration of a finished or interrupted run.

    Raises
    ------
    InputError
        If the folder is not a run's.
    """
    path = Path(run) / "config.json"
    if not path.is_file() or not (Path(run) / "checkpoint.pt").is_file():
        raise InputError(f"{run} is not the folder of a training run; name one.")
    return json.loads(path.read_text(encoding="utf-8"))


def export_run(
    run: Path,
    folder: Path,
    metadata: Mapping[str, Any],
    network_def: Mapping[str, Any],
    pixel_mm: float,
    figures: Mapping[str, Any],
    survey: Mapping[str, Any] | None = None,
    further: Mapping[str, torch.Tensor] | None = None,
    text_model: Mapping[str, Path] | None = None,
    eight_bit: bool = False,
    version: str | None = None,
) -> Bundle:
    """Write the best averaged weights of a run as a bundle, in half precision or in eight bits.

    Parameters
    ----------
    metadata:
        name, version, task and what goes in and out; the rest is filled in here.
    figures:
        What ``mrisynth evaluate`` wrote: title -> its JSON content. Empty before the first
        evaluation.
    survey, further, text_model:
        What the run found out about itself, weights beside the network's own, and the files of a
        text model of another maker.
    eight_bit:
        Store large tensors as :func:`MRISynthLib.bundle_weights.in_eight_bits` does.
    version:
        Without it, :func:`version_after` what the run began with.
    """
    config = read_run(run)
    found, step = best_weights(run)
    parameters = sum(value.numel() for value in [*found.values(), *(further or {}).values()])
    weights = {
        key: value.half().contiguous() if value.is_floating_point() else value
        for key, value in found.items()
    }
    if eight_bit:
        weights = in_eight_bits(weights)
    # distances need the precision of their numbers, and are few
    weights |= {key: value.float().contiguous() for key, value in (further or {}).items()}
    labelled, real = _labelled(config), trained_on(Path(run))
    virtual = (
        f"Virtual NPC cohort: {config['procedural']} procedural heads{labelled}; images simulated "
        "while training."
    )
    if not real:
        training_data = f"{virtual} No patient data."
    else:
        training_data = f"{real}. {virtual}" if float(config["data_share"]) < 1 else f"{real}."
    before = began_with(run)
    training_data += _began_in_words(before, training_data)
    full = {
        "version": version or version_after(before),
        **metadata,
        "training_data": training_data,
        "training": {
            "steps": step,
            "hours": round(_seconds(Path(run), step) / 3600, 2),
            "parameters": parameters,
            "held_out_maps": list(config["held_out_maps"]) if labelled else [],
            **({"before": before} if before else {}),
        },
        "quality": _without_patients(figures) or "not evaluated",
        "licence": "Apache-2.0",
        "intended_use": INTENDED_USE,
        "limits": LIMITS if real else ONLY_SIMULATED + LIMITS,
    }
    inference = {"network_def": dict(network_def), "pixel_mm": pixel_mm}
    if survey:
        inference["survey"] = dict(survey)
    if text_model:
        inference[TEXT_MODEL] = True
    return write_bundle(folder, full, inference, weights, card(full), text_model)


def _began_in_words(before: Mapping[str, Any], learned_from: str, who: str = "It") -> str:
    """With which weights a run began, and with which these did."""
    if not before:
        return ""
    words = f" {who} began with the weights of {before['model']} ({before['hash'][:12]})"
    own, _, _ = before["training_data"].partition(" It began with")
    words += ", which learned from the same." if own == learned_from else f", which had: {own}"
    return words + _began_in_words(before.get("training", {}).get("before", {}), own, "That one")


def version_after(before: Mapping[str, Any]) -> str:
    """Of a model that began as ``before``: other weights are never under that one's version."""
    parts = str(before.get("model", "")).rpartition(" ")[2].split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return FIRST_VERSION
    return f"{parts[0]}.{int(parts[1]) + 1}.0"


def _seconds(run: Path, step: int) -> float:
    """How long a run learned until a step, by its log."""
    log, seconds = run / "log.jsonl", 0.0
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        record = json.loads(line)
        if record["step"] <= step:
            seconds = float(record.get("seconds", seconds))
    return seconds


def _labelled(config: Mapping[str, Any]) -> str:
    """What a run learned from label maps, in words; empty if it had none."""
    each = int(config["per_label_map"])
    if not config.get("label_maps") or each < 1:
        return ""
    # every head is of a map chosen by chance, so that only their number altogether is known
    atlas = ", joined with a head-and-neck atlas" if config.get("atlas") else ""
    return f" and deformed label maps (training ones only), {each} times as many as maps{atlas}"


def export_synthesis(
    run: Path,
    folder: Path,
    name: str,
    figures: Mapping[str, Any],
    matching: bool = False,
    eight_bit: bool = False,
    version: str | None = None,
) -> Bundle:
    """A run of ``train synthesis`` as a bundle, with its survey and, if it had towers or began
    with a model that has one, a screen that lets everything pass until
    :func:`MRISynthLib.training.screening.fit_screen` fits it.

    ``matching``: whether site matching was measured to help this model, and is on unless asked
    otherwise. ``eight_bit``, ``version``: see :func:`export_run`.
    """
    config = read_run(run)
    network = make_network(config)
    metadata = {
        "name": name,
        "task": "synthesis",
        "sequences_in": list(SEQUENCE_NAMES),
        "sequences_out": list(SEQUENCE_NAMES),
    }
    if network.tasks is not None:
        metadata["tasks"] = [f"{' + '.join(given)} -> {made}" for given, made in network.tasks]
    options, further = dict(config["network_options"]), {}
    if (Path(run) / SCREEN).is_file():
        options["screen"] = True
        screen = load_file(Path(run) / SCREEN)
        further = {f"screen.{key}": value for key, value in screen.items()}
    kind = type(network)
    network_def = {"_target_": f"{kind.__module__}.{kind.__qualname__}", **options}
    found = Path(run) / SURVEY
    survey = json.loads(found.read_text(encoding="utf-8")) if found.is_file() else None
    if survey is not None:
        survey["matching"] = matching
    pixel_mm = float(config["pixel_mm"])
    text_model = files_of_towers(Path(config["towers"])) if config["towers"] else {}
    return export_run(
        run,
        folder,
        metadata,
        network_def,
        pixel_mm,
        figures,
        survey,
        further,
        text_model,
        eight_bit,
        version,
    )


def rewritten(
    bundle: Bundle,
    folder: Path,
    metadata: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Bundle:
    """``bundle`` with other metadata, or with other weights or options of its network too, as
    another bundle.

    weights: as they are to be stored; without them, those of the bundle.
    """
    network = {**bundle.inference["network_def"], **(options or {})}
    texts = sorted((bundle.folder / TEXT_MODEL).glob("*"))
    # a bundle that no run of this product made has no such figures for its card
    text = card(metadata) if "training" in metadata else None
    return write_bundle(
        folder,
        metadata,
        {**bundle.inference, "network_def": network},
        bundle.stored_weights() if weights is None else weights,
        text,
        {path.name: path for path in texts},
    )


def with_figures(
    bundle: Bundle,
    figures: Mapping[str, Any],
    folder: Path,
    further: Mapping[str, Any] | None = None,
) -> Bundle:
    """``bundle`` with what was measured of it since, as another bundle.

    Parameters
    ----------
    figures:
        Title -> what ``mrisynth evaluate`` wrote.
    further:
        Other fields of the metadata that follow from the figures.

    Raises
    ------
    InputError
        If figures are of another model or version.
    """
    who = f"{bundle.name} {bundle.version}"
    for title, record in figures.items():
        said = [record.get("model", ""), *record.get("models", ())]
        if not any(f"{who} (" in str(each) for each in said):
            raise InputError(
                f"The figures '{title}' are not of {who}; give those that 'mrisynth evaluate' "
                "wrote of it."
            )
    metadata = {**bundle.metadata, **(further or {}), "quality": _without_patients(figures)}
    return rewritten(bundle, folder, metadata)


def card(metadata: Mapping[str, Any]) -> str:
    """The model card in Markdown."""
    outputs = metadata.get("sequences_out") or metadata.get("structures")
    lines = [
        f"# {metadata['name']} {metadata['version']}",
        "",
        DISCLAIMER,
        "",
        f"- Task: {metadata['task']}",
        f"- Takes any subset of: {', '.join(metadata['sequences_in'])}",
        f"- Makes: {', '.join(outputs)}",
        f"- Training data: {metadata['training_data']}",
        f"- Training: {metadata['training']['steps']} steps, {metadata['training']['hours']} h, "
        f"{metadata['training']['parameters'] / 1e6:.2f} M parameters",
        *_screen(metadata.get("screen")),
        *_carrying(metadata.get("carrying")),
        *_thresholds(metadata.get("thresholds")),
        f"- Licence: {metadata['licence']}",
        "",
        "## Intended use",
        "",
        metadata["intended_use"],
        "",
        "## Limits",
        "",
        metadata["limits"],
        "",
        "## Measured quality",
        "",
    ]
    quality = metadata["quality"]
    if isinstance(quality, str):
        return "\n".join([*lines, quality, ""])
    for title, record in quality.items():
        lines += [f"### {title}", ""]
        about = [
            f"{key} {_plain(value)}"
            for key, value in record.items()
            if key not in ("figures", "details")
        ]
        lines += [", ".join(about), ""] if about else []
        figures = record["figures"]
        if "benchmark" not in record:
            lines += _tasks(figures)
            continue
        # a table of each of the many sets would bury these two
        for side in (name for name in SIDES if name in figures):
            lines += [f"#### {side} the hospitals that models train on", "", *_tasks(figures[side])]
        lines += ["The figures of each test set are in the bundle's metadata.", ""]
    return "\n".join(lines)


def _without_patients(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Title -> record, without the figures of single patients, which are many."""
    return {
        title: {key: value for key, value in record.items() if key != EVERY_PATIENT}
        for title, record in figures.items()
    }


def _screen(about: Mapping[str, Any] | None) -> list[str]:
    if about is None:
        return []
    figures = ", ".join(f"{key}: {value}" for key, value in about.items())
    return [f"- Screen for images unlike training: {figures}"]


def _carrying(about: Mapping[str, Any] | None) -> list[str]:
    if about is None:
        return []
    return [
        f"- Detail is carried over from the input most like the wanted image "
        f"{about['sharpness']:g} times as strictly as in training, as {about['patients']} patients "
        "showed best"
    ]


def _thresholds(about: Mapping[str, Any] | None) -> list[str]:
    if about is None:
        return []
    cuts = ", ".join(f"{name} {cut:g}" for name, cut in about["cuts"].items())
    return [
        f"- Drawn from another probability than 0.5, as {about['patients']} patients showed best: "
        f"{cuts or 'none'}"
    ]


def _plain(value: Any) -> str:
    return "; ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _tasks(figures: Mapping[str, Any]) -> list[str]:
    """Figures of every task under its name."""
    lines: list[str] = []
    for task, values in figures.items():
        lines += [f"**{task}**", "", *_table(values), ""]
    return lines


def _table(figures: Mapping[str, Any]) -> list[str]:
    """Nested figures as Markdown: a table of methods by region, then single numbers."""
    lines: list[str] = []
    nested = {k: v for k, v in figures.items() if _depth(v) == 2}
    if nested:
        lines += ["| method | region | MAE | PSNR (dB) | SSIM |", "|---|---|---|---|---|"]
        for method, regions in nested.items():
            for region, row in regions.items():
                lines.append(
                    f"| {method} | {region} | {row['MAE']:.4f} | {row['PSNR']:.2f} "
                    f"| {row['SSIM']:.3f} |"
                )
        lines.append("")
    for key, value in figures.items():
        if _depth(value) == 1:
            parts = ", ".join(f"{name} {number:.3f}" for name, number in value.items())
            lines.append(f"- {key}: {parts}")
        elif _depth(value) == 0:
            lines.append(f"- {key}: {value:.3f}")
    return lines


def _depth(value: Any) -> int:
    if not isinstance(value, Mapping):
        return 0
    return 1 + max((_depth(item) for item in value.values()), default=0)
