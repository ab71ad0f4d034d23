"""Names, codes and colours of the structures that can be delineated.

Names follow AAPM TG-263; codes are SNOMED CT. Sides are the patient's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Code = tuple[str, str, str]
"""(coding scheme, code value, code meaning)."""

ANATOMY: Code = ("SCT", "123037004", "Anatomical Structure")
ABNORMAL: Code = ("SCT", "49755003", "Morphologically Abnormal Structure")
LEFT: Code = ("SCT", "7771000", "Left")
RIGHT: Code = ("SCT", "24028007", "Right")


@dataclass(frozen=True)
class Structure:
    """One structure: TG-263 name, coded meaning, display colour (RGB, 0-1) and region."""

    name: str
    label: str
    category: Code
    type: Code
    colour: tuple[float, float, float]
    region: str
    modifier: Code | None = None

    @property
    def is_target(self) -> bool:
        """Whether it is a tumour volume rather than an organ at risk."""
        return self.category == ABNORMAL

    @property
    def mirror(self) -> str:
        """Name of the same structure on the other side; its own name if it has none."""
        if self.name.endswith("_L"):
            return self.name[:-2] + "_R"
        if self.name.endswith("_R"):
            return self.name[:-2] + "_L"
        return self.name


def _organ(name, label, code, rgb, region) -> Structure:
    colour = tuple(channel / 255 for channel in rgb)
    return Structure(name, label, ANATOMY, ("SCT", *code), colour, region)


def _pair(name, label, code, rgb, region) -> tuple[Structure, Structure]:
    """Left slightly lighter than right, so that the sides can be told apart."""
    colour = tuple(channel / 255 for channel in rgb)
    lighter = tuple(channel + (1 - channel) * 0.35 for channel in colour)
    type_code = ("SCT", *code)
    return (
        Structure(f"{name}_L", f"Left {label}", ANATOMY, type_code, lighter, region, LEFT),
        Structure(f"{name}_R", f"Right {label}", ANATOMY, type_code, colour, region, RIGHT),
    )


def _target(name, label, code, colour) -> Structure:
    return Structure(name, label, ABNORMAL, ("SCT", *code), colour, "Target")


UNKNOWN_COLOUR = (0.6, 0.6, 0.6)
"""Display colour of a structure that is none of :data:`STRUCTURES`."""

STRUCTURES: dict[str, Structure] = {
    structure.name: structure
    for structure in (
        _target(
            "GTVp",
            "Primary gross tumour volume",
            ("86049000", "Neoplasm, Primary"),
            (0.86, 0.12, 0.16),
        ),
        _target(
            "GTVn",
            "Nodal gross tumour volume",
            ("14799000", "Neoplasm, Secondary"),
            (0.98, 0.04, 0.98),
        ),
        _organ("Brain", "Brain", ("12738006", "Brain"), (244, 214, 190), "Brain"),
        _organ("Brainstem", "Brainstem", ("15926001", "Brainstem"), (62, 162, 114), "Brain"),
        _organ("SpinalCord", "Spinal cord", ("2748008", "Spinal cord"), (244, 197, 48), "Neck"),
        *_pair("Eye", "eye", ("81745001", "Eye"), (0, 114, 178), "Orbit"),
        *_pair("Lens", "lens", ("78076003", "Lens"), (145, 70, 25), "Orbit"),
        *_pair("OpticNrv", "optic nerve", ("18234004", "Optic nerve"), (230, 120, 0), "Orbit"),
        _organ(
            "OpticChiasm", "Optic chiasm", ("244453006", "Optic chiasm"), (10, 250, 250), "Orbit"
        ),
        *_pair(
            "Glnd_Lacrimal",
            "lacrimal gland",
            ("13561001", "Lacrimal gland"),
            (70, 250, 70),
            "Orbit",
        ),
        *_pair(
            "Lobe_Temporal", "temporal lobe", ("78277001", "Temporal lobe"), (150, 90, 170), "Brain"
        ),
        *_pair("Hippocampus", "hippocampus", ("5366008", "Hippocampus"), (70, 115, 250), "Brain"),
        _organ("Pituitary", "Pituitary gland", ("56329008", "Pituitary"), (10, 145, 10), "Brain"),
        *_pair("Cochlea", "cochlea", ("80169004", "Cochlea"), (250, 70, 130), "Ear"),
        *_pair("Parotid", "parotid gland", ("45289007", "Parotid gland"), (170, 170, 40), "Face"),
        *_pair(
            "Glnd_Submand",
            "submandibular gland",
            ("385296007", "Submandibular gland"),
            (115, 10, 250),
            "Face",
        ),
        _organ("Bone_Mandible", "Mandible", ("91609006", "Mandible"), (120, 170, 200), "Face"),
        *_pair(
            "Joint_TM",
            "temporomandibular joint",
            ("53620006", "Temporomandibular joint"),
            (70, 100, 40),
            "Face",
        ),
        _organ("Cavity_Oral", "Oral cavity", ("74262004", "Oral cavity"), (10, 100, 100), "Face"),
        _organ("Nasopharynx", "Nasopharynx", ("71836000", "Nasopharynx"), (160, 55, 85), "Neck"),
        _organ(
            "Musc_Constrict",
            "Pharyngeal constrictor muscle",
            ("4866005", "Pharyngeal constrictor muscle"),
            (10, 250, 190),
            "Neck",
        ),
        _organ("Larynx", "Larynx", ("4596009", "Larynx"), (115, 85, 100), "Neck"),
        _organ("Glnd_Thyroid", "Thyroid gland", ("69748006", "Thyroid"), (205, 10, 160), "Neck"),
        _organ("Esophagus", "Esophagus", ("32849002", "Esophagus"), (250, 130, 250), "Neck"),
        *_pair(
            "A_Carotid", "carotid artery", ("69105007", "Carotid Artery"), (175, 235, 40), "Neck"
        ),
    )
}
"""TG-263 name -> structure, in the order in which faces list them. A model may know fewer."""


def named_in(sentence: str) -> set[str]:
    """The structures that a sentence names as in :data:`STRUCTURES`."""
    return set(re.findall(r"\w+", sentence)) & STRUCTURES.keys()


def without_side(name: str) -> str:
    """A structure's name without its side."""
    return name.removesuffix("_L").removesuffix("_R")
