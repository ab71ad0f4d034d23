"""The one class that callers use to make missing sequences."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..bundles import Bundle
from ..devices import dtype_name
from ..errors import InputError
from ..loaded_model import LoadedModel, convert_weights
from ..preprocessing.checks import check_targets
from ..preprocessing.overlap import label
from ..preprocessing.preparation import Prepared, prepare
from ..progress import SILENT, Callbacks
from ..prompts import Contrast, understand
from ..provenance import SYNTHETIC_MARK, Provenance
from ..sequences import SEQUENCE_NAMES
from ..volume import Volume
from .completion import completed
from .conditioning import describe_input, describe_target, understood_as
from .inference import Run, arranged, described_inputs
from .matching import matched
from .screen import Finding, pooled

UNITS: dict[str, tuple[float, float, str]] = {
    "CT": (2500.0, -1000.0, "HU"),
    "ADC": (3000.0, 0.0, "about 1e-6 mm2/s"),
}
"""Sequence -> (scale, offset, name) from the network's 0-1 to the image; the rest are
arbitrary units in which 1000 is the bright end of the body."""

ARBITRARY = (1000.0, 0.0, "arbitrary units")

SCREENED = 8
"""Slices by which the screen judges an input."""


@dataclass(frozen=True)
class Target:
    """An image that is wanted: a canonical sequence name and, if any, the user's words."""

    sequence: str
    prompt: str = ""

    @property
    def name(self) -> str:
        """Name of the output."""
        return self.sequence


@dataclass
class SynthesisResult:
    """Synthetic images, each on the exact grid of the first input.

    uncertainty: expected absolute error of each voxel, in the image's own units;
    registered: the inputs resampled onto the same grid; timings in seconds.
    """

    volumes: dict[str, Volume]
    uncertainty: dict[str, Volume]
    registered: list[Volume]
    warnings: tuple[str, ...]
    timings: dict[str, float]
    device: str
    dtype: str
    registrations: list[dict] = field(default_factory=list)


class Synthesizer(LoadedModel):
    """Any non-empty subset of sequences in, any set of targets out.

    Attributes
    ----------
    brightness:
        Sequence -> mean of the bodies that the model was trained on.
    matches:
        Whether matching inputs to it was measured to help.
    doubt:
        Target -> factor that makes expected errors as large as those measured on patients kept
        from training.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        super().__init__(bundle, device)
        for name, part in self.network.named_children():
            if name != "screen":  # it judges in float32, as do the linear layers that read texts
                convert_weights(part, self.dtype, (nn.Conv2d, nn.ConvTranspose2d))
        survey = bundle.inference.get("survey", {})
        self.brightness: dict[str, float] = dict(survey.get("brightness", {}))
        self.matches = bool(survey.get("matching", False))
        self.doubt: dict[str, float] = dict(survey.get("doubt", {}))

    def synthesize(
        self,
        inputs: list[Volume],
        targets: list[Target],
        *,
        seed: int = 0,
        visible_slice: int | None = None,
        register: bool = True,
        match: bool | None = None,
        prepared: Prepared | None = None,
        callbacks: Callbacks = SILENT,
    ) -> SynthesisResult:
        """Make the targets from the inputs; the first input is the reference.

        Parameters
        ----------
        inputs:
            Real or synthetic images, each with its sequence.
        visible_slice:
            Slice of the reference that is wanted first; the others follow outwards.
        register:
            Align inputs that lie differently from the reference.
        match:
            Bring the inputs to the brightness of training images (:mod:`matching`); None does
            what was measured to be better for this model.
        prepared:
            What :meth:`prepare` made of these inputs, if that was done before.

        Raises
        ------
        InputError
            If inputs or targets cannot be used; says which and why.
        Cancelled
            If the callbacks say so.
        """
        started = time.perf_counter()
        wanted = self._understand(inputs, targets)
        torch.manual_seed(seed)
        if prepared is None:
            prepared = self.prepare(inputs, register=register, callbacks=callbacks)
        prepared, matched_by = self._matched(prepared, match)
        begun = time.perf_counter()
        run = self._run(prepared, inputs, wanted, visible_slice, callbacks)
        # only now, as nobody waits for it as for the first slice
        warnings = (*prepared.warnings, *said(self.screened(prepared, inputs)))
        result = SynthesisResult(
            {}, {}, prepared.registered, warnings, {}, str(self.device),
            dtype_name(self.dtype), prepared.registrations,
        )  # fmt: skip
        reference = inputs[0]
        for target, contrast in wanted:
            callbacks.check()
            scale, offset, _ = UNITS.get(target.sequence, ARBITRARY)
            image = prepared.grid.from_grid(run.images[target.name], order=3)
            doubt = prepared.grid.from_grid(run.doubts[target.name], order=1)
            doubt *= np.float32(self.doubt.get(target.sequence, 1.0))
            provenance = self._provenance(inputs, target, contrast, seed, warnings, matched_by)
            name = f"{SYNTHETIC_MARK} {target.sequence}"
            result.volumes[target.name] = Volume(
                np.maximum(image, 0) * np.float32(scale) + np.float32(offset),
                reference.index_to_world,
                target.sequence,
                name,
                provenance=provenance,
                warnings=warnings,
            )
            result.uncertainty[target.name] = Volume(
                np.maximum(doubt, 0) * np.float32(scale),
                reference.index_to_world,
                None,
                f"{name} uncertainty",
                provenance=Provenance.from_dict({**provenance.to_dict(), "kind": "uncertainty"}),
            )
        result.timings = {
            **prepared.timings,
            "synthesize": time.perf_counter() - begun,
            "first_slice": run.first - started,
        }
        return result

    def preview(
        self,
        inputs: list[Volume],
        targets: list[Target],
        visible_slice: int,
        *,
        prepared: Prepared,
        seed: int = 0,
        match: bool | None = None,
        callbacks: Callbacks = SILENT,
    ) -> None:
        """Hand over one slice of each target, as :meth:`synthesize` with the same seed begins.

        Nothing comes of a reference whose slices are not the network's.
        """
        wanted = self._understand(inputs, targets)
        torch.manual_seed(seed)
        if prepared.grid.slices_coincide:
            prepared, _ = self._matched(prepared, match)
            self._run(prepared, inputs, wanted, visible_slice, callbacks, most=1)

    def prepare(
        self,
        inputs: list[Volume],
        *,
        register: bool = True,
        normalisation: str = "robust",
        callbacks: Callbacks = SILENT,
    ) -> Prepared:
        """The inputs on one grid, as the network takes them; for :meth:`synthesize`.

        ``normalisation`` is as in :func:`~MRISynthLib.preprocessing.preparation.prepare`.

        Raises
        ------
        InputError
            If they cannot be used; says which and why.
        """
        self.check_inputs(inputs)
        return prepare(
            inputs,
            register=register,
            pixel_mm=self.pixel_mm,
            normalisation=normalisation,
            callbacks=callbacks,
        )

    def _matched(self, prepared: Prepared, match: bool | None) -> tuple[Prepared, dict]:
        if not (self.matches if match is None else match):
            return prepared, {}
        stack, factors = matched(prepared.stack, prepared.body, self.brightness)
        return replace(prepared, stack=stack), factors

    def _understand(
        self, inputs: list[Volume], targets: list[Target]
    ) -> list[tuple[Target, Contrast]]:
        self.check_inputs(inputs)
        check_targets({str(volume.sequence): volume for volume in inputs}, targets)
        if not targets:
            raise InputError("No target is given; choose at least one sequence to make.")
        wanted = []
        for target in targets:
            contrast = understand(target.prompt, target.sequence)
            if contrast.sequence not in self.bundle.sequences_out:
                raise InputError(
                    f"The model {self.bundle.name} cannot make {contrast.sequence}; it makes "
                    f"{', '.join(self.bundle.sequences_out)}."
                )
            self._check_task(inputs, contrast.sequence)
            wanted.append((target, contrast))
        return wanted

    def _check_task(self, inputs: list[Volume], target: str) -> None:
        """Raise InputError where the network can do some tasks only, and this is none of them."""
        tasks = self.network.tasks
        given = {volume.sequence for volume in inputs}
        if tasks is None or any(set(names) == given and made == target for names, made in tasks):
            return
        able = "; ".join(f"{made} from {' and '.join(names)}" for names, made in tasks)
        raise InputError(
            f"The model {self.bundle.name} makes only {able}; give just that, or choose another "
            "model."
        )

    def screened(self, prepared: Prepared, inputs: list[Volume]) -> list[tuple[Volume, Finding]]:
        """What the model's screen finds of each input; empty without a screen or a body."""
        screen = getattr(self.network, "screen", None)
        if screen is None:
            return []
        return [
            (volume, screen.judge(images, features, str(volume.sequence), self.pixel_mm))
            for volume, images, features in self.looked_at(prepared, inputs)
        ]

    @torch.inference_mode()
    def looked_at(
        self, prepared: Prepared, inputs: list[Volume]
    ) -> list[tuple[Volume, torch.Tensor, torch.Tensor]]:
        """What a screen judges each input by: some slices through the body, from its first to its
        last, normalised (slices, rows, columns), and the encoder's coarsest features of them
        (slices, channels). Empty without a body."""
        filled = np.flatnonzero(prepared.body.any((1, 2)))
        if not filled.size:
            return []
        found = []
        some = filled[np.unique(np.linspace(0, len(filled) - 1, SCREENED).astype(int))]
        body = torch.from_numpy(prepared.body[some]).to(self.device)
        for volume in inputs:
            name = str(volume.sequence)
            described = described_inputs(self.network, [volume])
            images, told, _, around = arranged(self, prepared, (name,), list(some), described)
            with self.autocast():
                looks = self.network.look(images, told.expand(len(images), 1, -1), around)
            rows, columns = images.shape[-2:]
            whole = functional.pad(body, (0, columns - body.shape[2], 0, rows - body.shape[1]))
            found.append((volume, images[:, 0].float(), pooled(looks[-1], whole)))
        return found

    def _provenance(self, inputs, target, contrast, seed, warnings, matched_by) -> Provenance:
        return Provenance(
            synthetic=True,
            sequence=target.sequence,
            prompt=target.prompt,
            understood=understood_as(contrast, inputs),
            seed=seed,
            warnings=warnings,
            matching={name: round(factor, 4) for name, factor in matched_by.items()},
            **self.origin(inputs),
        )

    def _run(self, prepared: Prepared, inputs, wanted, visible_slice, callbacks, most=None) -> Run:
        """The slices of all targets, or of the first ``most`` of them."""
        given = [describe_input(volume) for volume in inputs]
        wishes = {
            target.name: completed(describe_target(contrast), given)[0]
            for target, contrast in wanted
        }
        run = Run(self, prepared, inputs, wishes)

        def hand_over(k: int) -> None:
            if callbacks.on_slice is None or not prepared.grid.slices_coincide:
                return
            for target, _ in wanted:
                scale, offset, _ = UNITS.get(target.sequence, ARBITRARY)
                index, image = prepared.grid.slice_to_reference(
                    run.images[target.name][k], k, order=3
                )
                finished = np.maximum(image, 0) * np.float32(scale) + np.float32(offset)
                callbacks.slice_ready(target.name, index, finished)

        run.go(visible_slice, callbacks, hand_over, most)
        return run


def said(findings: list[tuple[Volume, Finding]]) -> list[str]:
    """What the user must know of inputs that the model does not know."""
    sentences = []
    for volume, finding in findings:
        if finding.mistaken:
            sentences.append(
                f"{label(volume)} is given as {volume.sequence} but looks like "
                f"{finding.looks_like}; check which sequence it is."
            )
        elif finding.outside:
            sentences.append(
                f"{label(volume)} is unlike the images that the model was trained on (another "
                "part of the body, an artefact, an unusual contrast); what is made from it "
                "may be wrong."
            )
    return sentences


def available_targets(inputs: list[str]) -> list[str]:
    """Canonical names that are not among the inputs."""
    return [name for name in SEQUENCE_NAMES if name not in inputs]
