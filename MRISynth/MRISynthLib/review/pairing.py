"""Which images belong together: of one patient, and the real one beside a synthetic one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Protocol, TypeVar


class Image(Protocol):
    """What pairing needs to know of an image; :class:`MRISynthLib.panel.InputRow` has it."""

    sequence: str | None
    synthetic: bool
    patient: str
    study: str


AnyImage = TypeVar("AnyImage", bound=Image)


def of_two_patients(one: Image, other: Image) -> bool:
    """Whether two images are known to be of different patients."""
    return bool(one.patient and other.patient and one.patient != other.patient)


def two_patients_among(images: Iterable[AnyImage]) -> tuple[AnyImage, AnyImage] | None:
    """The first two images that are known to be of different patients; None if there are none."""
    pairs = combinations(images, 2)
    return next((pair for pair in pairs if of_two_patients(*pair)), None)


def of_two_studies(one: Image, other: Image) -> bool:
    """Whether two images are known to be of different patients or of different studies of one: a
    user may want them together, but must say so."""
    return of_two_patients(one, other) or bool(
        one.study and other.study and one.study != other.study
    )


def real_of(synthetic: AnyImage, images: Iterable[AnyImage]) -> AnyImage | None:
    """The first real image of the sequence that was made, not of another patient or study; None if
    there is none."""
    return next(
        (
            image
            for image in images
            if not image.synthetic
            and image.sequence
            and image.sequence == synthetic.sequence
            and not of_two_studies(image, synthetic)
        ),
        None,
    )


def pairs_of(images: Iterable[AnyImage]) -> list[tuple[AnyImage, AnyImage]]:
    """(real, synthetic) for each synthetic image whose real one is there, in their order."""
    images = list(images)
    found = []
    for image in images:
        real = real_of(image, images) if image.synthetic else None
        if real is not None:
            found.append((real, image))
    return found
