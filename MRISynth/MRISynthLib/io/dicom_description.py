"""What a synthetic DICOM series says of itself: what it is, from what and by what it was made."""

from __future__ import annotations

import re

from pydicom import charset, uid
from pydicom.dataset import Dataset

from .. import __version__
from ..provenance import DISCLAIMER, SYNTHETIC_MARK
from ..sequences import SEQUENCES
from ..volume import Volume
from .dicom_provenance import put_provenance
from .dicom_source import now_of

_MAKER = "MRISynth"
_EQUIPMENT = ("109100", "Synthesizing Equipment")  # PS3.16, CID 7005
_DERIVATION = ("123110", "Artificial Intelligence")
"""No code of PS3.16, CID 7203 (Image Derivation) means an image made by a network: 113076 is
segmentation, 113085 resampling, most others are arithmetic. The group is extensible, and this
concept of the same coding scheme can be read by others, which a private code could not."""

_NO_PULSES = {
    "ScanningSequence": "RM",  # research mode: the only term that claims no pulse sequence
    "SequenceVariant": "NONE",
    "ScanOptions": None,
    "MRAcquisitionType": None,
    "RepetitionTime": None,
    "EchoTime": None,
    "EchoTrainLength": None,
}
"""Of the MR Image module (C.8.3.1): of type 1 two that say nothing, the others of type 2 empty."""

_NO_BEAM = {"KVP": None, "AcquisitionNumber": None}
"""Of the CT Image module (C.8.2.1)."""


def coded(value: str, meaning: str) -> Dataset:
    """An item of a code sequence, of the standard's own coding scheme."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def is_ct(volume: Volume) -> bool:
    """Whether it becomes CT Image Storage, in Hounsfield units."""
    return volume.sequence == "CT"


def describe(volume: Volume, common: Dataset) -> None:
    """Add to ``common``, which has patient and study, what all slices of ``volume`` share."""
    provenance = volume.provenance
    common.SOPClassUID = uid.CTImageStorage if is_ct(volume) else uid.MRImageStorage
    common.Modality = "CT" if is_ct(volume) else "MR"
    # the third value is the modality's own: every cross-section of CT is "axial" (C.8.2.1.1.1),
    # and of MR's terms for maps and projections none fits (C.8.3.1.1.1)
    kind = "AXIAL" if is_ct(volume) else "OTHER"
    common.ImageType = ["DERIVED", "SECONDARY", kind, SYNTHETIC_MARK]
    common.SyntheticData = "YES"  # C.12.1, as the qualification
    common.ContentQualification = "RESEARCH"
    for keyword, value in (_NO_BEAM if is_ct(volume) else _NO_PULSES).items():
        setattr(common, keyword, value)
    common.SeriesInstanceUID = uid.generate_uid()
    common.SeriesDescription = _sayable(_title(volume), common).replace("\\", "/")[:64].strip()
    common.ImageComments = _sayable(provenance.summary(), common)
    common.DerivationDescription = _sayable(_derivation(volume), common)
    common.DerivationCodeSequence = [coded(*_DERIVATION)]
    common.Manufacturer = common.ManufacturerModelName = _MAKER
    common.SoftwareVersions = __version__
    common.ContributingEquipmentSequence = [_equipment(volume, common)]
    now = now_of(common)
    for begin in ("InstanceCreation", "Series", "Content"):
        setattr(common, f"{begin}Date", now.strftime("%Y%m%d"))
        setattr(common, f"{begin}Time", now.strftime("%H%M%S.%f"))
    put_provenance(volume, common)


def _equipment(volume: Volume, common: Dataset) -> Dataset:
    """The software and the model that made it, which need not be those that write it."""
    made_by = volume.provenance
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [coded(*_EQUIPMENT)]
    equipment.Manufacturer = equipment.ManufacturerModelName = _MAKER
    software = _sayable(made_by.software, common).replace("\\", "/")[:64]
    equipment.SoftwareVersions = software or __version__
    equipment.ContributionDescription = _sayable(
        f"Image synthesis by the model {made_by.bundle or 'of unknown name'}, version "
        f"{made_by.bundle_version or 'unknown'}, SHA-256 {made_by.bundle_hash or 'unknown'}",
        common,
    )
    return equipment


def _title(volume: Volume) -> str:
    """SYNTHETIC first, then the sequence, then what else the name says."""
    rest = volume.name.removeprefix(SYNTHETIC_MARK).strip()
    wanted = [volume.sequence or volume.provenance.sequence or ""]
    if volume.provenance.kind != "image":
        wanted.append(volume.provenance.kind)
    missing = [word for word in wanted if word not in rest.split()]
    return " ".join(filter(None, (SYNTHETIC_MARK, *missing, rest)))


def _derivation(volume: Volume) -> str:
    """How it was made; first what nobody may overlook, for a long text is cut."""
    provenance = volume.provenance
    info = SEQUENCES.get(volume.sequence or provenance.sequence or "")
    sentences = [f"{SYNTHETIC_MARK}: made by a neural network, not acquired by a scanner."]
    if provenance.kind == "uncertainty":
        sentences.append("It shows the error that the network expects of itself, not anatomy.")
    if info is not None and info.contrast_agent:
        sentences.append(
            "No contrast agent was given for this image: what looks like enhancement is the "
            "network's estimate."
        )
    sentences.append(DISCLAIMER)
    inputs = [
        f"{item.get('sequence') or 'unknown'} '{item.get('name') or ''}'"
        + (" (itself synthetic)" if item.get("synthetic") else "")
        for item in provenance.inputs
    ]
    if inputs:
        sentences.append(f"Made from {' + '.join(inputs)}.")
    if provenance.understood:
        sentences.append(f"Asked for: {provenance.understood.rstrip('.')}.")
    return " ".join((*sentences, *provenance.warnings))


def _sayable(text: str, header: Dataset, most: int = 1024) -> str:
    """``text`` in the letters that the header's character set has, without control characters,
    cut where a short text (ST) ends."""
    names = charset.convert_encodings(header.get("SpecificCharacterSet") or "ISO_IR 6")
    codecs = ["ascii" if name == charset.default_encoding else name for name in names]

    def there(letter: str) -> bool:
        for codec in codecs:
            try:
                return bool(letter.encode(codec))
            except UnicodeEncodeError:
                continue
        return False

    plain = re.sub(r"[\x00-\x1f\x7f]+", " ", text.replace("°", " degrees"))
    said = "".join(letter if there(letter) else "?" for letter in plain)
    return said if len(said) <= most else f"{said[: most - 4].rstrip()} ..."
