"""The models that are measured, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bundles import Bundle
from ..synthesis.synthesizer import ARBITRARY, UNITS, Synthesizer, Target
from ..volume import Volume
from .tasks import Task

ONLY = "network"
"""What a model is called in figures where it is the only one."""

PROMPTED = ", protocol in the prompt"
"""Added to its name where the prompt says how the truth was acquired."""


@dataclass(frozen=True)
class Made:
    """A synthetic image and its expected absolute error, both on the network's 0-1 scale."""

    image: np.ndarray
    expected: np.ndarray


@dataclass(frozen=True)
class Model:
    """A loaded model under the name that figures call it by."""

    label: str
    synthesizer: Synthesizer
    match: bool | None = None
    """Whether inputs are brought to the brightness of training images; None as it is in use."""

    def can(self, task: Task) -> bool:
        """Whether the model does this task at all."""
        inputs, target = task
        bundle = self.synthesizer.bundle
        only = getattr(self.synthesizer.network, "tasks", None)
        if only is not None and not any(
            set(given) == set(inputs) and made == target for given, made in only
        ):
            return False
        return set(inputs) <= set(bundle.sequences_in) and target in bundle.sequences_out

    @property
    def reads_prompts(self) -> bool:
        """Whether words about the target can change anything."""
        return self.synthesizer.network.reads_prompts

    def make(
        self,
        inputs: Sequence[Volume],
        targets: Sequence[str],
        prompts: dict[str, str] | None = None,
    ) -> dict[str, Made]:
        """Every target from inputs that lie upon each other.

        ``prompts``: target -> words; None names the sequences only.
        """
        wanted = [Target(name, (prompts or {}).get(name, "")) for name in targets]
        result = self.synthesizer.synthesize(list(inputs), wanted, register=False, match=self.match)
        return {
            name: Made(
                network_scale(result.volumes[name]),
                result.uncertainty[name].voxels / UNITS.get(name, ARBITRARY)[0],
            )
            for name in targets
        }

    @property
    def called(self) -> str:
        """Label, name, version and the beginning of the hash, as figures name it."""
        bundle = self.synthesizer.bundle
        return f"{self.label}: {bundle.name} {bundle.version} ({bundle.hash[:12]})"


def network_scale(volume: Volume) -> np.ndarray:
    """A synthetic volume back on the network's own 0-1 scale."""
    scale, offset, _ = UNITS.get(volume.sequence, ARBITRARY)
    return (volume.voxels - offset) / scale


def load_models(
    bundles: Sequence[Bundle], device: str = "auto", match: bool | None = None
) -> list[Model]:
    """The models in the given order, each with a name of its own; ``match`` as in
    :class:`Model`."""
    names = [ONLY] if len(bundles) == 1 else _labels(bundles)
    return [
        Model(name, Synthesizer(bundle, device), match)
        for name, bundle in zip(names, bundles, strict=True)
    ]


def _labels(bundles: Sequence[Bundle]) -> list[str]:
    """The bundles' names; where several have the same, those of their folders, then numbers."""
    names = [bundle.name for bundle in bundles]
    for distinct in (
        [bundle.folder.name for bundle in bundles],
        [f"{name} ({number})" for number, name in enumerate(names, start=1)],
    ):
        again = {name for name, count in Counter(names).items() if count > 1}
        names = [
            other if name in again else name for name, other in zip(names, distinct, strict=True)
        ]
    return names
