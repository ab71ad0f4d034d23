"""The engine of MRISynthSegment: structures on real and synthetic images."""
