"""The sections of module MRISynthSegment's panel: the parts that need Qt or Slicer's own API.

What can be decided without Qt lies in ``MRISynthSegmentLib``.
"""
