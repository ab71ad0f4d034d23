"""A set of possibly overlapping structures on the grid of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

if TYPE_CHECKING:
    from .origins import Origin


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Binary masks by TG-263 name on the grid of ``reference``.

    Attributes
    ----------
    masks:
        Structure name -> boolean array (slices, rows, columns) of the reference's shape,
        read-only. Structures may overlap. An empty mask means "looked for, not found".
    reference:
        The image whose geometry the masks have.
    provenance:
        Which inputs (real and synthetic) and which model made it; None for one drawn by hand.
    doubt:
        How little each structure that a model drew can be trusted, from 0 (sure) to 1; nothing for
        those drawn or edited by hand.
    origins:
        Who or what drew each structure, as far as the file said it that they were read from, or
        since a user corrected one; nothing for others, of which ``provenance`` speaks.

    Raises
    ------
    InputError
        If a mask's shape differs from the reference's.
    """

    masks: Mapping[str, np.ndarray]
    reference: Volume
    provenance: Provenance | None = None
    warnings: tuple[str, ...] = ()
    doubt: Mapping[str, float] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked = {}
        for name, mask in self.masks.items():
            array = np.asarray(mask).astype(bool, copy=False).view()
            if array.shape != self.reference.shape:
                raise InputError(
                    f"Structure {name} has the shape {array.shape}, but its reference image "
                    f"{self.reference.name} has {self.reference.shape}; use a matching pair."
                )
            array.flags.writeable = False
            checked[name] = array
        object.__setattr__(self, "masks", MappingProxyType(checked))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        known = {name: float(value) for name, value in self.doubt.items() if name in checked}
        object.__setattr__(self, "doubt", MappingProxyType(known))
        origins = {name: origin for name, origin in self.origins.items() if name in checked}
        object.__setattr__(self, "origins", MappingProxyType(origins))

    def volume_ml(self, name: str) -> float:
        """Volume of a structure in millilitres."""
        voxel_mm3 = abs(np.linalg.det(self.reference.index_to_world[:3, :3]))
        return float(np.count_nonzero(self.masks[name]) * voxel_mm3 / 1000.0)
