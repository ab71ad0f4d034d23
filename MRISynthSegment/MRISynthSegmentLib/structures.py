"""Names, codes and colours of the structures that can be delineated.

Names follow AAPM TG-263; codes are SNOMED CT. Sides are the patient's own.
"""

from __future__ import annotations

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


STRUCTURES: dict[str, Structure] = {
    structure.name: structure
    for structure in (
        Structure(
            "GTVp",
            "Primary gross tumour volume",
            ABNORMAL,
            ("SCT", "86049000", "Neoplasm, Primary"),
            (0.86, 0.12, 0.16),
            "Target",
        ),
        _organ("Brain", "Brain", ("12738006", "Brain"), (244, 214, 190), "Brain"),
        _organ("Brainstem", "Brainstem", ("15926001", "Brainstem"), (62, 162, 114), "Brain"),
        _organ("SpinalCord", "Spinal cord", ("2748008", "Spinal cord"), (244, 197, 48), "Neck"),
        *_pair("Eye", "eye", ("81745001", "Eye"), (0, 114, 178), "Orbit"),
        *_pair("OpticNrv", "optic nerve", ("18234004", "Optic nerve"), (230, 120, 0), "Orbit"),
        *_pair(
            "Lobe_Temporal", "temporal lobe", ("78277001", "Temporal lobe"), (150, 90, 170), "Brain"
        ),
        *_pair("Parotid", "parotid gland", ("45289007", "Parotid gland"), (170, 170, 40), "Face"),
        _organ("Bone_Mandible", "Mandible", ("91609006", "Mandible"), (120, 170, 200), "Face"),
    )
}
"""TG-263 name -> structure, in the order in which faces list them."""
