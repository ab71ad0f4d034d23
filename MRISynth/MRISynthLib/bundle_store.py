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
    return source_of(bundle.folder) == "imported"


def source_of(folder: Path) -> str:
    """How a model came here: "imported", "shipped", or "own folder" for one that lies where the
    user keeps it."""
    from .bundles import shipped_roots

    folder = folder.resolve()
    if folder.parent == imported_root().resolve():
        return "imported"
    return "shipped" if folder.parent in shipped_roots() else "own folder"


def import_bundle(folder: str | os.PathLike, task: str | None = None) -> Bundle:
    """Copy a bundle to where every face finds it, after checking it; ``folder`` stays as it is.

    Raises
    ------
    BundleError
        If it is no sound bundle, is for another task, or a model of its name is there already.
    OutputError
        If it cannot be written.
    """
    from .bundle_files import METADATA
    from .bundles import find_bundles, read_bundle, verify

    if Path(folder).is_dir() and not (Path(folder) / METADATA).is_file():
        raise BundleError(  # before every file of what may be a home folder is looked at
            f"{folder} is no model, for it has no file {METADATA}; name the folder that has it, as "
            "mrisynth train export writes it."
        )
    bundle = verify(folder)
    if task is not None and bundle.task != task:
        raise BundleError(f"The model {bundle.name} is for {bundle.task}, not for {task}.")
    for other in find_bundles():
        if other.name.casefold() == bundle.name.casefold():
            how = {
                "imported": "is imported already; remove it first",
                "shipped": "is shipped with MRISynth; give yours another name",
            }.get(source_of(other.folder), f"is found in {other.folder} already")
            raise BundleError(f"A model called {other.name} {how}.")
    root = imported_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".importing-", dir=root))
        try:
            shutil.copytree(folder, beside / "bundle")
            verify(beside / "bundle")
            place = _free(root, Path(folder).resolve().name)
            os.replace(beside / "bundle", place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The model {bundle.name} could not be copied to {root}: {error.strerror}."
        ) from error
    return read_bundle(place.resolve())


def _free(root: Path, name: str) -> Path:
    """A folder that is not there yet: models of different names may lie in folders of one name."""
    names = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    return next(root / each for each in names if not (root / each).exists())


def remove_bundle(bundle: Bundle) -> None:
    """Delete an imported model.

    Raises
    ------
    BundleError
        If it was not imported.
    OutputError
        If it cannot be deleted.
    """
    _remove(bundle.name, bundle.folder)


def remove_named(name: str) -> str:
    """Delete the imported model of this name, also one that is damaged; its name as it was written.

    Raises
    ------
    BundleError, OutputError
        As :func:`remove_bundle`, and if there is no model of this name.
    """
    from .bundles import folder_of, read_bundle

    folder = folder_of(name)
    try:
        name = read_bundle(folder).name
    except BundleError:
        name = folder.name
    _remove(name, folder)
    return name


def _remove(name: str, folder: Path) -> None:
    source = source_of(folder)
    if source == "shipped":
        raise BundleError(f"The model {name} is shipped with MRISynth and stays.")
    if source != "imported":
        raise BundleError(f"The model {name} was not imported; delete its folder {folder}.")
    try:
        away = Path(tempfile.mkdtemp(prefix=".removing-", dir=folder.parent))
        os.replace(folder, away / "bundle")  # gone at once, or not at all
        shutil.rmtree(away, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"The model {name} could not be deleted: {error.strerror}.") from error
