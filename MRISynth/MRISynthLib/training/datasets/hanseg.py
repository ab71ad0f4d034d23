"""HaN-Seg: CT and T1w of one patient, 30 organs at risk drawn on the CT.

Layout: Zenodo 7442914; names: table 2 of Podobnik et al., Medical Physics 2023
(doi 10.1002/mp.16197). The MR image was not registered to the CT. Not every organ was drawn in
every patient.
"""

from __future__ import annotations

import re
from pathlib import Path

from .cases import DatasetCase, LabelFile
from .layout import Finding, Layout, Listing, folders_in, not_here, odd_masks, stem

CASES = 42

STRUCTURES: dict[str, tuple[str, ...]] = {
    "A_Carotid_L": ("A_Carotid_L",),
    "A_Carotid_R": ("A_Carotid_R",),
    "Bone_Mandible": ("Bone_Mandible",),
    "Brainstem": ("Brainstem",),
    "Cavity_Oral": ("Cavity_Oral",),
    "Cochlea_L": ("Cochlea_L",),
    "Cochlea_R": ("Cochlea_R",),
    "Eye_L": ("Eye_AL", "Eye_PL"),
    "Eye_R": ("Eye_AR", "Eye_PR"),
    "Glnd_Lacrimal_L": ("Glnd_Lacrimal_L",),
    "Glnd_Lacrimal_R": ("Glnd_Lacrimal_R",),
    "Glnd_Submand_L": ("Glnd_Submand_L",),
    "Glnd_Submand_R": ("Glnd_Submand_R",),
    "Glnd_Thyroid": ("Glnd_Thyroid",),
    "OpticChiasm": ("OpticChiasm",),
    "OpticNrv_L": ("OpticNrv_L",),
    "OpticNrv_R": ("OpticNrv_R",),
    "Parotid_L": ("Parotid_L",),
    "Parotid_R": ("Parotid_R",),
    "Pituitary": ("Pituitary",),
    "SpinalCord": ("SpinalCord",),
    "Arytenoid": ("Arytenoid",),
    "BuccalMucosa": ("BuccalMucosa",),
    "Cricopharyngeus": ("Cricopharyngeus",),
    "Esophagus_S": ("Esophagus_S",),
    "Glottis": ("Glottis",),
    "Larynx_SG": ("Larynx_SG",),
    "Lips": ("Lips",),
}
"""Structure -> the published masks that make it up.

The eyeball is drawn in an anterior and a posterior segment. Larynx and oesophagus keep their own
names: only parts of them are drawn, and a part must not be learned as the whole.
"""

_PUBLISHED = {part for parts in STRUCTURES.values() for part in parts}
_CT, _MR = "CT", "T1w"


def _is_case(folder: Path) -> bool:
    return bool(re.fullmatch(r"case_\d+", folder.name)) and any(folder.glob("*_IMG_*.nrrd"))


def _list_cases(root: Path) -> Listing:
    cases, findings = [], []
    for folder in folders_in(root):
        if _is_case(folder):
            case, found = _case(folder)
            cases.append(case)
            findings += found
        elif re.fullmatch(r"case_\d+", folder.name):
            findings.append(Finding(f"{folder} has no image *_IMG_*.nrrd; left out."))
    findings += not_here("HaN-Seg", CASES, (case.patient for case in cases), "cases")
    return Listing(tuple(cases), tuple(findings))


def _case(folder: Path) -> tuple[DatasetCase, list[Finding]]:
    name = folder.name
    expected = {_CT: folder / f"{name}_IMG_CT.nrrd", _MR: folder / f"{name}_IMG_MR_T1.nrrd"}
    images = {sequence: path for sequence, path in expected.items() if path.is_file()}
    findings = [
        Finding(f"{name} has no {sequence} image: {path} is missing.", name)
        for sequence, path in expected.items()
        if sequence not in images
    ]
    prefix = f"{name}_OAR_"
    masks = {stem(path).removeprefix(prefix): path for path in folder.glob(f"{prefix}*.nrrd")}
    findings += odd_masks(name, masks, _PUBLISHED)
    labels: dict[str, tuple[LabelFile, ...]] = {}
    if _CT in images:
        for structure, parts in STRUCTURES.items():
            if all(part in masks for part in parts):
                labels[structure] = (LabelFile(tuple(masks[part] for part in parts), _CT),)
    elif masks:
        findings.append(
            Finding(f"{name} has masks but not the CT that they were drawn on; they are left out.",
                    name)
        )  # fmt: skip
    return DatasetCase(name, f"hanseg/{name}", images, labels), findings


LAYOUT = Layout(
    "hanseg",
    "HaN-Seg",
    "set_1/case_01/case_01_IMG_CT.nrrd, case_01_OAR_Parotid_L.seg.nrrd",
    _is_case,
    _list_cases,
    (
        "The licence (CC BY-NC-ND) forbids passing on anything derived from the data.",
        "Organs are drawn on the CT; the MR image is not registered to it.",
    ),
)
