"""The one class that callers use to delineate structures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from MRISynthLib.bundles import Bundle
from MRISynthLib.devices import dtype_name
from MRISynthLib.errors import InputError
from MRISynthLib.loaded_model import LoadedModel, convert_weights
from MRISynthLib.preprocessing.grid import WorkingGrid
from MRISynthLib.preprocessing.preparation import Prepared, prepare
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

from .cleaning import about_cores, cleaned, inside_body, partners
from .inference import Run
from .reference_grid import mask_on_reference
from .segmentation import Segmentation
from .sides import FULL, mirror_of, sided
from .structures import STRUCTURES

FAINT = round(0.05 * FULL)
"""A lower probability is none: summed over a whole head it would outweigh a small structure."""

TUMOUR_ADVICE = (
    "GTVp is a proposal: healthy mucosa, adenoids and fluid can be taken for tumour, also where "
    "there is none; check every slice."
)


@dataclass
class SegmentationResult:
    """Structures on the grid of the first input, with what a clinician needs to know.

    probabilities: structure -> float32 volume of 0 to 1 on that grid, if asked for; timings in
    seconds.
    """

    segmentation: Segmentation
    warnings: tuple[str, ...]
    timings: dict[str, float]
    device: str
    dtype: str
    registrations: list[dict] = field(default_factory=list)
    probabilities: dict[str, Volume] | None = None

    @property
    def doubt(self) -> dict[str, float]:
        """Structure -> :func:`doubt_of`, from 0 (sure) to 1."""
        return dict(self.segmentation.doubt)


class Segmenter(LoadedModel):
    """Delineates structures on any subset of real and synthetic sequences."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        super().__init__(bundle, device)
        convert_weights(self.network, self.dtype)

    @property
    def takes_clicks(self) -> bool:
        """Whether a ``Refiner`` can correct what it draws."""
        return bool(getattr(self.network, "takes_clicks", False))

    def segment(
        self,
        inputs: list[Volume],
        structures: list[str] | None = None,
        *,
        register: bool = True,
        clean: bool = True,
        flips: bool = True,
        probabilities: bool = False,
        prepared: Prepared | None = None,
        callbacks: Callbacks = SILENT,
    ) -> SegmentationResult:
        """Delineate ``structures`` (None: all that the model finds well).

        Parameters
        ----------
        register:
            Align inputs that lie differently from the first.
        clean:
            Take out what anatomy does not allow (:mod:`cleaning`); without it a mask is where the
            probability exceeds one half.
        flips:
            See each slice mirrored as well and take the mean: twice the work, and surer.
        probabilities:
            Hand over each structure's probability too, as it was before the clean-up.
        prepared:
            What :meth:`prepare` made of these inputs, if that was done before.

        Raises
        ------
        InputError
            If an input or a structure cannot be used; says which and why.
        Cancelled
            If the callbacks say so.
        """
        self.check_inputs(inputs)
        names = self.check_structures(structures)
        if prepared is None:
            prepared = self.prepare(inputs, register=register, callbacks=callbacks)
        warnings, left_out = list(prepared.warnings), []
        begun = time.perf_counter()
        found = Run(self, prepared, inputs, self._looked_for(names, clean), flips)
        probability = found.probabilities(callbacks)
        probability = sided(probability, prepared.body, float(prepared.grid.spacing[0]))
        callbacks.check()
        masks = {name: each > FULL // 2 for name, each in probability.items()}
        if clean:
            masks |= self._about_cores(masks, probability, prepared.grid.spacing)
            masks = inside_body(masks, prepared.body, prepared.grid.spacing)
            kept, left_out = cleaned(masks, prepared.grid.spacing, names)
            masks |= kept
            warnings += [each.sentence(prepared.grid.index_to_world) for each in left_out]
        doubt = {name: doubt_of(probability[name], masks[name]) for name in names}
        for name in names:
            callbacks.check()
            masks[name] = mask_on_reference(masks[name], probability[name], prepared.grid)
        told = {"GTVp"} if left_out else set()  # where it may be is said
        warnings += _advice({name: masks[name] for name in names}, self.bundle.weak, told)
        provenance = Provenance(
            synthetic=any(v.is_synthetic for v in inputs),
            kind="segmentation",
            warnings=tuple(warnings),
            **self.origin(inputs),
        )
        images = None
        if probabilities:
            wanted = {name: probability[name] for name in names}
            images = _images(wanted, inputs[0], prepared.grid, provenance)
        chosen = {name: masks[name] for name in names}
        segmentation = Segmentation(chosen, inputs[0], provenance, tuple(warnings), doubt)
        timings = {**prepared.timings, "segment": time.perf_counter() - begun}
        return SegmentationResult(
            segmentation, tuple(warnings), timings, str(self.device), dtype_name(self.dtype),
            prepared.registrations, images,
        )  # fmt: skip

    def prepare(
        self, inputs: list[Volume], *, register: bool = True, callbacks: Callbacks = SILENT
    ) -> Prepared:
        """The inputs as :meth:`segment` and a ``Refiner`` need them, for several calls with them.

        Raises
        ------
        InputError, Cancelled
            As :meth:`segment`.
        """
        self.check_inputs(inputs)
        return prepare(inputs, register=register, pixel_mm=self.pixel_mm, callbacks=callbacks)

    def check_structures(self, structures: list[str] | None) -> list[str]:
        """Names of ``structures``, or (None) those that the model finds well, in its order.

        Raises
        ------
        InputError
            If the model does not know one of them.
        """
        known = list(self.bundle.structures)
        for name in structures or ():
            if name not in known:
                raise InputError(
                    f"The model {self.bundle.name} does not know the structure {name}; it knows "
                    f"{', '.join(known)}."
                )
        if structures is None:
            return [name for name in known if name not in self.bundle.weak]
        return [name for name in known if name in structures]

    def _about_cores(
        self, masks: Mapping[str, np.ndarray], probability: Mapping[str, np.ndarray], spacing
    ) -> dict[str, np.ndarray]:
        """Tumours that the model draws from less than its network's one half: only about places
        where that says more."""
        return {
            name: about_cores(masks[name], probability[name] > (1 - cut) * FULL, spacing)
            for name, cut in self.bundle.cuts.items()
            if cut < 0.5 and name in masks and STRUCTURES[name].is_target
        }

    def _looked_for(self, names: list[str], clean: bool) -> list[str]:
        """With them the other side of each pair, and what the clean-up looks at."""
        wanted = {*names, *(partners(names) if clean else ())}
        known = self.bundle.structures
        return [name for name in known if name in wanted or mirror_of(name) in wanted]


def doubt_of(probability: np.ndarray, mask: np.ndarray) -> float:
    """How little a mask can be trusted, from 0 (sure) to 1: one minus the Dice that is expected if
    every voxel is in the structure with its probability.

    A structure that was not found is doubtful as far as something looked like it: the highest
    probability anywhere.

    Parameters
    ----------
    probability:
        uint8 of any shape, 0 to ``sides.FULL``; :data:`FAINT` and less counts as none.
    mask:
        Boolean of the same shape.
    """
    if not mask.any():
        return round(float(probability.max(initial=0)) / FULL, 4)
    inside = float(probability[mask].sum(dtype=np.int64)) / FULL
    everywhere = float(probability[probability > FAINT].sum(dtype=np.int64)) / FULL
    return round(1 - 2 * inside / (np.count_nonzero(mask) + max(everywhere, inside)), 4)


def _images(
    probability: Mapping[str, np.ndarray],
    reference: Volume,
    grid: WorkingGrid,
    provenance: Provenance,
) -> dict[str, Volume]:
    """The probabilities on the reference's grid, said to be a network's and no scan."""
    made = replace(provenance, synthetic=True, kind="map")
    return {
        name: Volume(
            grid.from_grid(each) / np.float32(FULL),
            reference.index_to_world,
            name=f"{name} probability",
            provenance=made,
        )
        for name, each in probability.items()
    }


def _advice(
    masks: Mapping[str, np.ndarray], weak: Mapping[str, float | None], told: set[str]
) -> list[str]:
    """What the user must look at; why those ``told`` were not found is said already."""
    said = []
    poor = [name for name in masks if name in weak]
    if poor:
        said.append(
            f"This model finds {', '.join(poor)} poorly (Dice below one half, or not measured); "
            "check every slice or draw by hand."
        )
    missing = [name for name, mask in masks.items() if not mask.any() and name not in told]
    if missing:
        said.append(
            f"Not found in these images: {', '.join(missing)}; check whether they are in the "
            "field of view."
        )
    if "GTVp" in masks and masks["GTVp"].any():
        said.append(TUMOUR_ADVICE)
    return said
