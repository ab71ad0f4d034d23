"""The provenance of a synthetic image inside its DICOM files: a private block of their own.

The standard's attributes tell people and other programs that an image is synthetic; the block
holds the whole :class:`Provenance`, for reading back (PS3.5, 7.8.1).
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from ..provenance import SYNTHETIC_MARK, Provenance
from ..volume import Volume
from . import metadata

GROUP, CREATOR, ELEMENT = 0x0071, "MRISynth", 0x01
"""Private group and creator, and the element of the block with :func:`metadata.header_text`."""


def put_provenance(volume: Volume, record: Dataset) -> None:
    """Write the sequence, provenance and warnings of ``volume`` into ``record``."""
    block = record.private_block(GROUP, CREATOR, create=True)
    block.add_new(ELEMENT, "UT", metadata.header_text(volume))


def found_provenance(header: Dataset) -> dict[str, Any]:
    """Keyword arguments for :class:`Volume` from :func:`put_provenance`; empty for a real image.

    An image that says in any other way that it is synthetic stays so where the block was lost:
    archives and anonymisation drop private elements.
    """
    try:
        value = header.private_block(GROUP, CREATOR)[ELEMENT].value
    except KeyError:
        value = ""
    if isinstance(value, bytes):  # an archive that does not know the element keeps plain bytes
        value = value.decode("ascii", "replace").rstrip("\0 ")
    kept = metadata.from_header_text(str(value))
    if kept.get("provenance") is None and _says_synthetic(header):
        lost = ("The full provenance was lost in another program.",)
        kept = {"provenance": Provenance(synthetic=True, warnings=lost)}
    return kept


def _says_synthetic(header: Dataset) -> bool:
    image_type = header.get("ImageType") or ()
    kinds = [image_type] if isinstance(image_type, str) else image_type
    return (
        header.get("SyntheticData") == "YES"
        or SYNTHETIC_MARK in kinds
        or str(header.get("SeriesDescription") or "").startswith(SYNTHETIC_MARK)
    )
