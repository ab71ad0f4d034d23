"""SegRap2023: CT without and with contrast agent of NPC patients, 45 organs, GTVp and GTVnd.

Layout: segrap2023.grand-challenge.org; names in the order of the challenge's own evaluation
program. A folder a patient with one mask a structure, which may overlap; they are 0 and 255 in
some files and 0 and 1 in others, of several types. Both CTs share one grid.
"""

from __future__ import annotations

from pathlib import Path

from .cases import DatasetCase, LabelFile
from .layout import Finding, Layout, Listing, folders_in, not_here, odd_masks, stem

PATIENTS = 120
IMAGES = {"": "image", "_contrast": "image_contrast"}
"""Suffix of the case's name -> stem of its CT."""

_SAME = ("Brain", "Pituitary", "SpinalCord", "Esophagus", "Larynx", "GTVp")
_RENAMED = {
    "Brainstem": ("BrainStem",),
    "OpticChiasm": ("Chiasm",),
    "Cavity_Oral": ("OralCavity",),
    "Musc_Constrict": ("PharynxConst",),
    "Glnd_Thyroid": ("Thyroid",),
    "Bone_Mandible": ("Mandible_L", "Mandible_R"),
    "GTVn": ("GTVnd",),
}
_PAIRS = {
    "Lobe_Temporal": "TemporalLobe",
    "Hippocampus": "Hippocampus",
    "Eye": "Eye",
    "Lens": "Lens",
    "OpticNrv": "OpticNerve",
    "Cochlea": "Cochlea",
    "Glnd_Submand": "Submandibular",
    "Parotid": "Parotid",
    "Joint_TM": "TMjoint",
    "MiddleEar": "MiddleEar",
    "IAC": "IAC",
    "TympanicCavity": "TympanicCavity",
    "VestibulSemi": "VestibulSemi",
    "ETbone": "ETbone",
    "Mastoid": "Mastoid",
}
_OWN = ("Larynx_Glottic", "Larynx_Supraglot", "Trachea")

STRUCTURES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in (*_SAME, *_OWN)},
    **_RENAMED,
    **{f"{ours}_{s}": (f"{theirs}_{s}",) for ours, theirs in _PAIRS.items() for s in "LR"},
}
"""Structure -> the published masks that make it up; the mandible is drawn in two halves."""

_PUBLISHED = {part for parts in STRUCTURES.values() for part in parts}
_TARGETS = ("GTVp", "GTVn")


def _is_case(folder: Path) -> bool:
    return any((folder / f"{name}.nii.gz").is_file() for name in IMAGES.values())


def _list_cases(root: Path) -> Listing:
    cases: list[DatasetCase] = []
    findings: list[Finding] = []
    for folder in folders_in(root):
        if _is_case(folder):
            _add(folder, cases, findings)
        elif folder.name.startswith("segrap_"):
            findings.append(Finding(f"{folder} has no image.nii.gz; left out."))
    findings += not_here("SegRap2023's training set", PATIENTS, (c.patient for c in cases),
                         "patients")  # fmt: skip
    return Listing(tuple(cases), tuple(findings))


def _add(folder: Path, cases: list[DatasetCase], findings: list[Finding]) -> None:
    name = folder.name
    masks = {
        stem(path): path
        for path in folder.glob("*.nii.gz")
        if stem(path) not in IMAGES.values() and not path.name.startswith(".")
    }
    findings += odd_masks(name, masks, _PUBLISHED)
    labels = {
        structure: (
            LabelFile(
                tuple(masks[part] for part in parts),
                "CT",
                if_empty="odd" if structure in _TARGETS else "unusable",
            ),
        )
        for structure, parts in STRUCTURES.items()
        if all(part in masks for part in parts)
    }
    for suffix, image in IMAGES.items():
        path = folder / f"{image}.nii.gz"
        if not path.is_file():
            findings.append(Finding(f"{name} has no {image}.nii.gz.", name))
            continue
        agent = {"CT": {"Modality": "CT"}}
        if suffix:
            agent["CT"]["ContrastBolusAgent"] = "iodine"
        cases.append(
            DatasetCase(
                name + suffix,
                f"segrap/{name}",
                {"CT": path},
                labels,
                ("With contrast agent.",) if suffix else (),
                registered=True,
                acquisition=agent,
            )
        )


LAYOUT = Layout(
    "segrap",
    "SegRap2023",
    "SegRap2023_Training_Set_120cases/segrap_0000/image.nii.gz, Brain.nii.gz",
    _is_case,
    _list_cases,
    ("CT without and with contrast agent are two cases of one patient, with the same masks.",),
)
