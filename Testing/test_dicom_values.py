"""Numbers as DICOM can hold them: short enough, and as near as that allows."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.valuerep import is_valid_ds

from MRISynthLib.io.dicom_values import decimal, decimals

RANDOM = np.random.default_rng(0)
VALUES = (RANDOM.normal(size=3000) * 10.0 ** RANDOM.integers(-120, 20, 3000)).tolist()
"""Of all sizes, with exponents of three digits among them."""


@pytest.mark.parametrize("places", [None, 6])
def test_every_number_fits_and_reads_back(places: int | None) -> None:
    for value, text in zip(VALUES, decimals(VALUES, places), strict=True):
        assert len(text) <= 16 and is_valid_ds(text)
        allowed = max(5e-9 * abs(value), 0 if places is None else 0.5000001e-6)
        assert abs(float(text) - value) <= allowed


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (-35.25, "-35.25"), (100.0, "100"), (1 / 3, "0.3333333333"),
     (1e-5, "1e-05"), (-123456789012345.0, "-123456789012345"), (0.1 + 0.2, "0.3")],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-1e-9, "0"), (-35.25, "-35.25"), (100.0, "100"), (1 / 3, "0.333333"),
     (1e-5, "0.00001"), (-12345678.123456789, "-12345678.123457"),
     (-1234567890.1234567, "-1234567890.1234"), (-883839842177130.6, "-8.838398422e+14")],
)  # fmt: skip
def test_coordinates_have_no_noise_and_no_exponent(value: float, text: str) -> None:
    assert decimal(value, places=6) == text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("places", [None, 6])
def test_what_is_no_number_is_never_written(value: float, places: int | None) -> None:
    with pytest.raises(ValueError, match="decimal string"):
        decimal(value, places)
