"""Scenes that were saved while their views showed something for a time only.

Slicer tells nobody that it saves the scene, so they are put right when they are loaded.
"""

from __future__ import annotations

import slicer


def put_right_when_loaded() -> None:
    """Put right every scene that is loaded from now on, whichever module is open."""
    slicer.mrmlScene.AddObserver(slicer.mrmlScene.EndImportEvent, put_right)


def put_right(*_) -> None:
    """Show in the scene what was shown before something took its place for a time, unless that is
    still going on."""
    from MRISynthLib.reader_study import mrml as study

    from . import unfinished

    study.put_right(slicer.mrmlScene)
    unfinished.put_right()
