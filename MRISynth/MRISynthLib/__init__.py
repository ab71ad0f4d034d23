"""The engine of MRISynth: from the sequences at hand to the sequences that are missing.

Importing this package loads nothing heavy: Slicer imports it before torch is there.
"""

__version__ = "0.1.0"
