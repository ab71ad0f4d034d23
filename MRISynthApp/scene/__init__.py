"""A Slicer scene without the desktop: set up, rendered off screen, saved for Slicer.

Needs slicer-core (the extra ``scene`` of the package); nothing else of the application does.
"""
