"""What the product notes of a segment: who drew it, as what, and how it looked then."""
