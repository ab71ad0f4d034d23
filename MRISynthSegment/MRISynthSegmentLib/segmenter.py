"""The one class that callers use to delineate structures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from MRISynthLib.devices import dtype_name
from MRISynthLib.errors import InputError
from MRISynthLib.loaded_model import LoadedModel
from MRISynthLib.preprocessing.preparation import Prepared, prepare
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

from .segmentation import Segmentation
from .structures import STRUCTURES

SMALLEST_ML = 0.05
"""Parts below this volume are dropped."""

LARGEST_HOLE_MM2 = 100.0
"""Holes in a structure's outline on a slice below this area are filled: nobody contours them."""

SLICES_AT_ONCE = 4

TUMOUR_ADVICE = (
    "GTVp is a proposal: healthy mucosa, adenoids and fluid can be taken for tumour, also where "
    "there is none; check every slice."
)


@dataclass
class SegmentationResult:
    """Structures on the grid of the first input, with what a clinician needs to know."""

    segmentation: Segmentation
    warnings: tuple[str, ...]
    timings: dict[str, float]
    device: str
    dtype: str
    registrations: list[dict] = field(default_factory=list)


class Segmenter(LoadedModel):
    """Delineates structures on any subset of real and synthetic sequences."""

    def segment(
        self,
        inputs: list[Volume],
        structures: list[str] | None = None,
        *,
        register: bool = True,
        callbacks: Callbacks = SILENT,
    ) -> SegmentationResult:
        """Delineate ``structures`` (None: all that the model knows).

        Raises
        ------
        InputError
            If an input or a structure cannot be used; says which and why.
        Cancelled
            If the callbacks say so.
        """
        names = self._check(inputs, structures)
        prepared = prepare(inputs, register=register, pixel_mm=self.pixel_mm, callbacks=callbacks)
        warnings = list(prepared.warnings)
        begun = time.perf_counter()
        probability = self._run(prepared, inputs, names, callbacks)
        probability = sided(probability, prepared.body)
        masks = {}
        voxel_ml = abs(float(np.linalg.det(inputs[0].index_to_world[:3, :3]))) / 1000.0
        pixel_mm2 = float(np.prod(inputs[0].spacing[:2]))
        for name in names:
            callbacks.check()
            mask = prepared.grid.from_grid_mask(probability[name])
            mask = without_small_holes(mask, LARGEST_HOLE_MM2 / pixel_mm2)
            masks[name] = clean(mask, voxel_ml, keep_parts=STRUCTURES[name].is_target)
        missing = [name for name in names if not masks[name].any()]
        if missing:
            warnings.append(
                f"Not found in these images: {', '.join(missing)}; check whether they are in the "
                "field of view."
            )
        if masks.get("GTVp") is not None and masks["GTVp"].any():
            warnings.append(TUMOUR_ADVICE)
        provenance = Provenance(
            synthetic=any(v.is_synthetic for v in inputs),
            kind="segmentation",
            warnings=tuple(warnings),
            **self.origin(inputs),
        )
        segmentation = Segmentation(masks, inputs[0], provenance, tuple(warnings))
        timings = {**prepared.timings, "segment": time.perf_counter() - begun}
        return SegmentationResult(
            segmentation, tuple(warnings), timings, str(self.device), dtype_name(self.dtype),
            prepared.registrations,
        )  # fmt: skip

    def _check(self, inputs: list[Volume], structures: list[str] | None) -> list[str]:
        self.check_inputs(inputs)
        known = list(self.bundle.structures)
        for name in structures or ():
            if name not in known:
                raise InputError(
                    f"The model {self.bundle.name} does not know the structure {name}; it knows "
                    f"{', '.join(known)}."
                )
        return [name for name in known if structures is None or name in structures]

    @torch.inference_mode()
    def _run(self, prepared: Prepared, inputs, names, callbacks) -> dict[str, np.ndarray]:
        """Structure -> probability (slices, rows, columns) on the working grid.

        The other side of a paired structure comes along: see :func:`sided`.
        """
        known = self.bundle.structures
        wanted = {name for name in known if name in names or STRUCTURES[name].mirror in names}
        names = [name for name in known if name in wanted]
        shape, stride = prepared.grid.shape, self.network.stride
        rows, columns = shape[1:]
        pad = (0, -columns % stride, 0, -rows % stride)
        channels = [self.bundle.structures.index(name) for name in names]
        probability = np.zeros((len(names), *shape), np.float32)
        callbacks.progress("segment", 0, shape[0])
        for start in range(0, shape[0], SLICES_AT_ONCE):
            stop = min(start + SLICES_AT_ONCE, shape[0])
            images = {}
            for volume in inputs:
                part = np.ascontiguousarray(prepared.stack[volume.sequence][start:stop])
                images[volume.sequence] = functional.pad(
                    torch.from_numpy(part).to(self.device), pad
                )
            with self.autocast():
                logits = self.network(images)
            found = torch.sigmoid(logits[:, channels, :rows, :columns].float())
            probability[:, start:stop] = found.transpose(0, 1).cpu().numpy()
            callbacks.progress("segment", stop, shape[0])
        return dict(zip(names, probability, strict=True))


def sided(probability: dict[str, np.ndarray], body: np.ndarray) -> dict[str, np.ndarray]:
    """Paired structures with each side's name on its own side of the head.

    A network that sees one slice can doubt which side is which where it does not doubt the
    structure; position decides that better. The midline is a straight line through the body's
    centre of each slice; columns of the working grid run to the patient's left.

    Parameters
    ----------
    probability:
        Structure -> (slices, rows, columns) on the working grid.
    body:
        Boolean of the same shape.
    """
    columns = np.arange(body.shape[2])
    area = body.sum((1, 2))
    filled = np.flatnonzero(area > 0.2 * area.max()) if area.any() else np.array([], int)
    centre = np.full(body.shape[0], (body.shape[2] - 1) / 2)
    if filled.size > 1:
        found = (body[filled].sum(1) * columns).sum(1) / area[filled]
        slope, offset = np.polyfit(filled, found, 1)
        centre = slope * np.arange(body.shape[0]) + offset
    is_left = (columns[None, :] > centre[:, None])[:, None, :]
    result = dict(probability)
    for name in probability:
        if name.endswith("_L"):
            other = STRUCTURES[name].mirror
            either = np.minimum(probability[name] + probability[other], 1)
            result[name] = np.where(is_left, either, 0)
            result[other] = np.where(is_left, 0, either)
    return result


def without_small_holes(mask: np.ndarray, pixels: float) -> np.ndarray:
    """The mask (slices, rows, columns) with holes of fewer than ``pixels`` on a slice filled."""
    result = mask.copy()
    for k in np.flatnonzero(mask.any((1, 2))):
        holes, count = ndimage.label(ndimage.binary_fill_holes(mask[k]) & ~mask[k])
        if count:
            small = np.flatnonzero(np.bincount(holes.ravel())[1:] < pixels) + 1
            result[k] |= np.isin(holes, small)
    return result


def clean(mask: np.ndarray, voxel_ml: float, keep_parts: bool) -> np.ndarray:
    """Without specks: the largest part of an organ, all parts of a target that are not tiny."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    volumes = np.bincount(labels.ravel())[1:] * voxel_ml
    if keep_parts:
        kept = np.flatnonzero(volumes >= max(SMALLEST_ML, 0.1 * volumes.max())) + 1
    else:
        kept = np.array([volumes.argmax() + 1]) if volumes.max() >= SMALLEST_ML else np.array([])
    return np.isin(labels, kept)
