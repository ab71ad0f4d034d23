"""The model card that a bundle gets from its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def model_card(metadata: Mapping[str, Any]) -> str:
    """A model card in Markdown with everything that the metadata say."""
    title = {"sequences_in": "Takes", "sequences_out": "Makes", "structures": "Delineates"}
    lines = [f"# {metadata['name']} {metadata['version']}", ""]
    for key, value in metadata.items():
        if key in ("name", "version"):
            continue
        lines += [f"## {title.get(key, key.replace('_', ' ').capitalize())}", ""]
        lines += [*_as_markdown(value), ""]
    return "\n".join(lines)


def _as_markdown(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [
            f"- {key}: {json.dumps(v) if isinstance(v, dict) else v}" for key, v in value.items()
        ]
    if isinstance(value, list):
        return [", ".join(str(item) for item in value)]
    return [str(value)]
