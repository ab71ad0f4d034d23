"""Building the network that a bundle describes, and nothing else that it might ask for."""

from __future__ import annotations

import functools
import os
import pydoc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import BundleError

if TYPE_CHECKING:
    import torch

NETWORK_SOURCES = ("MRISynthLib.", "MRISynthSegmentLib.", "monai.networks.")
"""Where the classes named in ``network_def`` may come from."""


def build_network(definition: Any, where: str | os.PathLike) -> torch.nn.Module:
    """The network that a ``network_def`` in MONAI's notation describes, with fresh weights.

    Only the plain part of that notation is understood: ``_target_`` and its arguments, nested
    where an argument is a network itself. MONAI's own parser also evaluates ``$`` expressions
    and calls any function, which a file from elsewhere must not be able to ask for.

    Raises
    ------
    BundleError
        If the definition asks for anything else.
    """
    import torch

    if not isinstance(definition, Mapping) or "_target_" not in definition:
        raise BundleError(f"The field 'network_def' is missing in {where}; install it again.")

    def build(value: Any) -> Any:
        if isinstance(value, str) and value[:1] in ("$", "@", "%"):
            raise BundleError(
                f"The expression '{value}' in {where} is refused: a bundle may name a network, "
                "not run code."
            )
        if isinstance(value, list):
            return [build(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        values = {key: build(item) for key, item in value.items()}
        if "_target_" not in values:
            return values
        target = values.pop("_target_")
        values.pop("_desc_", None)
        special = [key for key in values if key.startswith("_") and key.endswith("_")]
        if special:
            raise BundleError(f"The key '{special[0]}' in {where} is refused; remove it.")
        try:
            return _network_class(target, where)(**values)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"The network {target} in {where} cannot be built ({error}); install a version of "
                "MRISynth that matches the bundle."
            ) from error

    network = build(definition)
    assert isinstance(network, torch.nn.Module)
    return network


@functools.cache
def _network_class(target: str, where: Any) -> type:
    import torch

    found = None
    if isinstance(target, str) and target.startswith(NETWORK_SOURCES):
        try:
            found = pydoc.locate(target)
        except pydoc.ErrorDuringImport as error:
            raise BundleError(f"The network {target} in {where} cannot be imported.") from error
    # The prefix alone would let "monai.networks.utils.torch.load" through: what counts is
    # what the name leads to.
    if (
        not isinstance(found, type)
        or not issubclass(found, torch.nn.Module)
        or not f"{found.__module__}.".startswith(NETWORK_SOURCES)
    ):
        raise BundleError(
            f"The network '{target}' in {where} is not a network class of MRISynth or MONAI, "
            "so it was not built."
        )
    return found
