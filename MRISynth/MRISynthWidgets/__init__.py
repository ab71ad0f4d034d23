"""Pieces of the panels that both modules use: the parts that need Qt or Slicer's own API.

This is a package and not a file because Slicer takes every ``.py`` file beside a module
for a module. What can be decided without Qt lies in ``MRISynthLib.panel``.
"""
