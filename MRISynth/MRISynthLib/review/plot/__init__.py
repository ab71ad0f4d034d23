"""Brightness along a line through two volumes of a scene, as a plot."""
