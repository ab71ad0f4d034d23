"""Names that planning systems and clinics give to structures, as those of TG-263."""

from __future__ import annotations

import re
from collections.abc import Iterable

from MRISynthLib.errors import InputError

from .structures import STRUCTURES

_SIDES = {"L": ("l", "lt", "left"), "R": ("r", "rt", "right")}

_ALSO = {
    "GTVp": ("gtv", "gtvt", "gtvprimary", "gtvnx", "grosstumourvolume", "grosstumorvolume"),
    "GTVn": ("gtvnd", "gtvln", "gtvnode", "gtvnodal", "gtvnodes"),
    "Brain": ("wholebrain",),
    "SpinalCord": ("cord", "myelon", "medullaspinalis"),
    "Eye": ("globe", "eyeball", "bulbusoculi"),
    "OpticNrv": ("on", "opticn", "nopticus"),
    "OpticChiasm": ("chiasm", "chiasma", "opticchiasma"),
    "Glnd_Lacrimal": ("lacrimal", "lacrimalglnd"),
    "Lobe_Temporal": ("templobe",),
    "Pituitary": ("hypophysis", "glndpituitary"),
    "Parotid": ("glndparotid", "parotis"),
    "Glnd_Submand": ("submandibular", "submand", "glndsubmandibular", "smg"),
    "Bone_Mandible": ("jaw", "lowerjaw", "mandibula"),
    "Joint_TM": ("tmj", "tmjoint"),
    "Cavity_Oral": ("oralcavity",),
    "Musc_Constrict": ("constrictor", "constrictormuscle", "pharynxconstrictor"),
    "Glnd_Thyroid": ("thyroid",),
    "Esophagus": ("oesophagus",),
    "A_Carotid": ("carotid",),
}
"""Structure without its side -> what it is called beside its name and its label."""

_SEPARATORS = re.compile(r"[\s_\-.,:/()]+")


def tg263_name(name: str) -> str | None:
    """The product's name of the structure that a clinic calls ``name``; None if it is unknown.

    Case, blanks, separators and where the side stands do not matter; anything more does:
    ``Brainstem PRV`` and ``Brain-GTV`` are other structures, ``Parotids`` has no side, and
    TG-263 marks parts of a structure with ``~``.
    """
    if name in STRUCTURES:
        return name
    return _NAMES.get(_SEPARATORS.sub("", name).casefold())


def check_dicom_names(names: Iterable[str]) -> None:
    """Raise InputError for a name that DICOM cannot hold as a label of a structure (LO)."""
    for name in names:
        is_text = name.isprintable() and name == name.strip() and "\\" not in name
        if not is_text or not 1 <= len(name) <= 64:
            raise InputError(
                f"The structure name {name[:80]!r} cannot be written to DICOM (1 to 64 characters, "
                "no backslash, no space at the ends); rename the structure."
            )


def _known() -> dict[str, str]:
    """Every way to write a name, without separators and in small letters -> the name."""
    found: dict[str, str] = {}
    for name, structure in STRUCTURES.items():
        root, _, side = name.rpartition("_")
        if side not in _SIDES:
            root, side = name, ""
        label = structure.label.split(" ", 1)[1] if side else structure.label
        for plain in (root, label, *_ALSO.get(root, ())):
            plain = _SEPARATORS.sub("", plain).casefold()
            for word in _SIDES.get(side, ("",)):
                for key in (plain + word, word + plain):
                    if found.setdefault(key, name) != name:
                        raise ValueError(f"{key} could be {name} or {found[key]}")
    return found


_NAMES = _known()
