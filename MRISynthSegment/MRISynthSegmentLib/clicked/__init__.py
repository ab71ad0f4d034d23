"""Clicks in a scene: the points that the user sets, and what follows from each."""
