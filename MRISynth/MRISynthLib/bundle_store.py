"""Models that the user imported: where they lie, and how they come and go.

The folder is the user's own, so that an update of the extension keeps it, and all faces find what
one of them imported. Shipped models are never touched.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BundleError, OutputError

if TYPE_CHECKING:
    from .bundles import Bundle

FOLDER_VARIABLE = "MRISYNTH_IMPORTED"
"""Environment variable for another folder than the user's own."""


def imported_root() -> Path:
    """The folder for imported models; it need not exist."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "MRISynth" / "Models"


def is_imported(bundle: Bundle) -> bool:
    """Whether the user imported this model, so that it can be removed."""
    return bundle.folder.parent == imported_root().resolve()


def import_bundle(folder: str | os.PathLike, task: str | None = None) -> Bundle:
    """Copy a bundle to where every face finds it, after checking it; ``folder`` stays as it is.

    Raises
    ------
    BundleError
        If it is no sound bundle, is for another task, or a model of its name is there already.
    OutputError
        If it cannot be written.
    """
    from .bundles import find_bundles, read_bundle, verify

    bundle = verify(folder)
    if task is not None and bundle.task != task:
        raise BundleError(f"The model {bundle.name} is for {bundle.task}, not for {task}.")
    for other in find_bundles():
        if other.name.casefold() == bundle.name.casefold():
            how = "is imported already; remove it first" if is_imported(other) else "is shipped"
            raise BundleError(f"A model called {other.name} {how}.")
    root = imported_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".importing-", dir=root))
        try:
            shutil.copytree(folder, beside / "bundle")
            verify(beside / "bundle")
            os.replace(beside / "bundle", root / bundle.folder.name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The model {bundle.name} could not be copied to {root}: {error.strerror}."
        ) from error
    return read_bundle(root.resolve() / bundle.folder.name)


def remove_bundle(bundle: Bundle) -> None:
    """Delete an imported model.

    Raises
    ------
    BundleError
        If it is a shipped one.
    OutputError
        If it cannot be deleted.
    """
    if not is_imported(bundle):
        raise BundleError(f"The model {bundle.name} is shipped with MRISynth and stays.")
    try:
        away = Path(tempfile.mkdtemp(prefix=".removing-", dir=bundle.folder.parent))
        os.replace(bundle.folder, away / "bundle")  # gone at once, or not at all
        shutil.rmtree(away, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The model {bundle.name} could not be deleted: {error.strerror}."
        ) from error
