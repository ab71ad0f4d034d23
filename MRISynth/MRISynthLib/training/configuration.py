"""Settings of a training run: files over defaults, checked before anything is made.

A file is YAML or JSON with one field a line, or the same in the form of a MONAI bundle, where
``@id`` stands for another field's value and ``%file::id`` for a part of another file. Expressions
(``$...``) and objects (``_target_``) are refused: a configuration from elsewhere runs no code.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES

COMMON_DEFAULTS: dict[str, Any] = {
    "precision": "bf16",
    "device": "auto",
    "threads": 2,
    "seed": 1,
    "accumulate": 1,
    "optimiser": "muon",
    "procedural": 48,
    "label_maps": None,
    "mapping": None,
    "atlas": None,
    "atlas_mapping": None,
    "jobs": 2,
    "per_label_map": 0,
    "held_out_maps": [],
    "healthy": 0.3,
    "validation_procedural": 6,
    "cohort": None,
    "validate_every": 500,
    "checkpoint_every": 250,
    "sample_steps": [100, 500],
}
"""Fields of every training configuration; paths count from the working directory."""

DATA_DEFAULTS: dict[str, Any] = {
    "data": None,
    "data_split": None,
    "data_share": 1.0,
    "data_keep": 32,
}
"""Fields of a run that may learn from folders of patients: the folders (none is the virtual
cohort), a split that `mrisynth train check` wrote, the chance that a batch is of these folders
rather than of the virtual cohort, and how many prepared cases stay in memory."""

MAY_CHANGE = frozenset(
    {
        "steps", "device", "threads", "jobs", "validate_every", "checkpoint_every", "sample_steps",
        "cohort", "label_maps", "mapping", "atlas", "atlas_mapping", "data", "data_split",
        "data_keep",
    }
)  # fmt: skip
"""Fields that may be others when a run is resumed: how far and where it runs, and where its
patients are kept (a cohort's own plan, and a run's own split, say whether they are the same)."""

SHARES = {"training": 0.7, "validation": 0.15, "test": 0.15}
"""Of the patients, in a split."""

PRECISIONS = ("bf16", "fp32")

AT_LEAST_ONE = frozenset(
    {"accumulate", "steps", "cases", "slices", "threads", "jobs", "validate_every",
     "checkpoint_every", "data_keep"}
)  # fmt: skip

FRACTIONS = frozenset(
    {"healthy", "ema", "data_share", "neighbours", "synthetic_share", "stripped_share",
     "edit_share"}
)  # fmt: skip

LISTS_OF_PATHS = frozenset({"data"})
"""Fields that may be a list though their default is null."""

Origins = dict[str, str]
"""Field -> the file or option that says it."""


def read_config(
    paths: Path | Sequence[Path], defaults: dict[str, Any], overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Configurations, later ones over earlier ones, over the defaults.

    Relative paths inside are left as they are; they count from the working directory. Fields whose
    names begin with ``_`` are values for others to refer to, and are not part of the result.

    Parameters
    ----------
    overrides:
        ``field=value`` or ``field::part=value``, the value in YAML; they come last.

    Raises
    ------
    InputError
        If a file cannot be read, or has a field or a sequence that is not known, a value of
        another type than the default's, or something that would run code.
    """
    given: dict[str, Any] = {}
    origins: Origins = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        content = _read(Path(path))
        given |= content
        origins |= dict.fromkeys(content, str(path))
    for text in overrides:
        field = _override(given, defaults, text)
        origins[field] = "--set"
    unknown = sorted(name for name in given if name not in defaults and name[:1] != "_")
    if unknown:
        raise InputError(
            f"The field {unknown[0]} in {origins[unknown[0]]} is unknown; "
            f"known are {', '.join(sorted(defaults))}."
        )
    resolved = _without_references({**copy.deepcopy(defaults), **given}, origins)
    config = {}
    for field, default in defaults.items():
        about = f"The field {field} in {origins.get(field, 'the defaults')}"
        config[field] = _checked(field, resolved[field], default, about)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"The configuration {path} does not exist; name another file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration {path} cannot be read ({error}).") from None
    is_json = path.suffix.lower() == ".json"
    try:
        content = json.loads(text) if is_json else _parse(text)
    except ValueError as error:
        kind = "JSON" if is_json else "YAML"
        raise InputError(f"The configuration {path} is not valid {kind} ({error}).") from None
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise InputError(f"The configuration {path} must be a list of `name: value` lines.")
    return content


def _parse(text: str) -> Any:
    """YAML, read as plain values; ValueError if it is none."""
    try:
        import yaml
    except ImportError:
        raise InputError(
            'Settings are read with PyYAML; install it with pip install "mrisynth[train]".'
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _override(given: dict[str, Any], defaults: dict[str, Any], text: str) -> str:
    """Set what ``field=value`` or ``field::part=value`` says; returns the field."""
    name, equals, value = text.partition("=")
    field, *parts = (part.strip() for part in name.split("::"))
    if not equals or not field or not all(parts):
        raise InputError(f"'{text}' of --set is not field=value; write such as steps=1000.")
    try:
        parsed = _parse(value)
    except ValueError as error:
        raise InputError(f"'{text}' of --set has a value that is no YAML ({error}).") from None
    if not parts:
        given[field] = parsed
        return field
    inner = given[field] = copy.deepcopy(given.get(field, defaults.get(field)))
    for place, part in enumerate(parts):
        if not isinstance(inner, dict):
            raise InputError(f"'{text}' of --set names a part of {field}, which has no parts.")
        if place == len(parts) - 1:
            inner[part] = parsed
        else:
            inner = inner.setdefault(part, {})
    return field


def _without_references(config: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """The same with ``@id`` and ``%file::id`` replaced by what they stand for."""
    _refuse_code(config, origins)
    if not any(_is_reference(text) for text in _texts(config)):
        return config
    from monai.bundle import ConfigParser

    try:
        # nothing is instantiated or evaluated, whatever another file holds
        found = ConfigParser(copy.deepcopy(config)).get_parsed_content(
            "", instantiate=False, eval_expr=False
        )
    except (KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        files = ", ".join(dict.fromkeys(origins.values()))
        raise InputError(
            f"A reference (@ or %) in {files} leads nowhere ({reason}); correct it."
        ) from None
    resolved = _replaced(config, found)
    _refuse_code(resolved, origins)
    return resolved


def _texts(value: Any) -> list[str]:
    """All texts in nested lists and dicts."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in _texts(item)]


def _is_reference(text: str) -> bool:
    return text[:1] in ("@", "%")


def _replaced(value: Any, found: Any) -> Any:
    """``value`` with its references as in ``found``, in which other texts may be changed too."""
    if isinstance(value, str):
        return found if _is_reference(value) else value
    if isinstance(value, dict):
        return {name: _replaced(item, found[name]) for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, found[place]) for place, item in enumerate(value)]
    return value


def _refuse_code(config: dict[str, Any], origins: Origins) -> None:
    """Refuse what MONAI would evaluate or instantiate."""
    for field, value in config.items():
        what = _code_in(value)
        if what:
            raise InputError(
                f"The field {field} in {origins.get(field, 'the defaults')} has {what}; write the "
                "value itself."
            )


def _code_in(value: Any) -> str:
    """What in ``value`` asks for code to be run, in words; empty if nothing does."""
    if isinstance(value, str):
        return f"the expression '{value}', which is never run" if value.startswith("$") else ""
    if isinstance(value, dict):
        if "_target_" in value:
            return f"an object (_target_: {value['_target_']}), which is never made"
        value = list(value.values())
    if isinstance(value, list):
        return next((found for item in value if (found := _code_in(item))), "")
    if type(value).__module__.startswith("monai."):
        return "an expression or an object of another file, which is never run"
    plain = value is None or isinstance(value, bool | int | float)
    return "" if plain else f"a value of the kind {type(value).__name__}, which no field takes"


def _checked(field: str, value: Any, default: Any, about: str) -> Any:
    """``value`` in the type of ``default``.

    Raises
    ------
    InputError
        If it has another type, or is out of the field's range.
    """
    if field in ("input_weights", "target_weights"):
        return _weights(value, about)
    value = _typed(value, default, about, field in LISTS_OF_PATHS)
    if field in AT_LEAST_ONE and value < 1:
        raise InputError(f"{about} is {value}; it must be at least 1.")
    if field in FRACTIONS and not 0 <= value <= 1:
        raise InputError(f"{about} is {value}; it must be between 0 and 1.")
    if field == "precision" and value not in PRECISIONS:
        raise InputError(f"{about} is '{value}'; choose {' or '.join(PRECISIONS)}.")
    if field == "size" and len(value) != 2:
        raise InputError(f"{about} must have two numbers: rows and columns.")
    return value


def _typed(value: Any, default: Any, about: str, or_list: bool = False) -> Any:
    if default is None:
        if value is None or isinstance(value, str):
            return value
        if or_list and isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise InputError(f"{about} must be a path, not {value!r}; put it in quotes if it is one.")
    if isinstance(default, bool):
        right, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int | float):
        return _number(value, default, about)
    elif isinstance(default, str):
        right, wanted = isinstance(value, str), "text"
    elif isinstance(default, list):
        right, wanted = isinstance(value, list), "a list such as [1, 2]"
    else:
        right, wanted = isinstance(value, dict), "lines of `name: value`"
    if not right:
        raise InputError(f"{about} must be {wanted}, not {value!r}.")
    if isinstance(default, list) and default:
        return [_typed(item, default[0], about) for item in value]
    return value


def _number(value: Any, default: float, about: str) -> float:
    whole = isinstance(default, int)
    try:
        # YAML reads 1e-3, without a point, as text
        number = math.nan if isinstance(value, bool | None) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        wanted = "a whole number" if whole else "a number"
        raise InputError(f"{about} must be {wanted}, not {value!r}.")
    return int(number) if whole else number


def _weights(value: Any, about: str) -> dict[str, float]:
    """Refuse weights that are not of sequences."""
    if not isinstance(value, dict):
        raise InputError(f"{about} must be lines of `sequence: weight`.")
    for name in value:
        if name not in SEQUENCE_NAMES:
            raise InputError(
                f"{about} names the unknown sequence '{name}'; "
                f"choose from {', '.join(SEQUENCE_NAMES)}."
            )
    weights = {name: _number(weight, 1.0, f"{about} for {name}") for name, weight in value.items()}
    if any(weight < 0 for weight in weights.values()):
        raise InputError(f"{about} has a weight below 0; leave that sequence out.")
    return weights
