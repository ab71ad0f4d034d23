"""A real image beside a synthetic one: numbers, derived images, profiles, and how they are shown.

Nothing here needs torch or Slicer but ``mrml.py`` (Slicer) and what the worker runs of ``task.py``.
"""
