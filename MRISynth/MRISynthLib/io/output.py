"""Results appear whole or not at all: written beside, then renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

_REASONS = {
    errno.EACCES: "there is no permission to write there; choose another place",
    errno.EPERM: "there is no permission to write there; choose another place",
    errno.EROFS: "that disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EFBIG: "the file is too large for that disk; choose another place",
    errno.EIO: "the disk reports an error; choose another place",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another place",
    errno.EISDIR: "a folder of that name is in the way; choose another name",
    errno.EEXIST: "a file of that name is in the way; choose another name",
    errno.ENOTEMPTY: "a folder of that name is in the way; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOENT: "the folder is gone or its name is not possible; choose another place",
}
if hasattr(errno, "EDQUOT"):
    _REASONS[errno.EDQUOT] = "the disk quota is used up; free some space or choose another place"


def output_error(path: Path, error: OSError) -> OutputError:
    """``error`` in words, for the person who asked for ``path``."""
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; choose another place")
    return OutputError(f"{path} cannot be written: {reason}.")


@contextmanager
def staged_folder(output: Path) -> Iterator[Path]:
    """A private folder whose files move into ``output`` when all went well.

    Yields an empty folder on the same disk. On success every file in it (subfolders too) takes its
    place in ``output``, which is created if needed, replacing files of the same name. On any
    exception, a Ctrl-C too, everything made here is removed, a created ``output`` included, and
    files that were replaced are put back.

    Raises
    ------
    OutputError
        If the folder cannot be made or written: no permission, no space, a file in the way.
    """
    output = Path(output)
    made: list[Path] = []
    stage: Path | None = None
    try:
        try:
            _make_folders(output, made)
            stage = Path(tempfile.mkdtemp(prefix=".mrisynth-", dir=output))
            work = stage / "new"
            work.mkdir()
        except OSError as error:
            raise output_error(output, error) from error
        try:
            yield work
        except OSError as error:
            if _is_about(error, output):
                raise output_error(output, error) from error
            raise
        except OutputError as error:  # from save(), about a private name: say the user's
            if isinstance(error.__cause__, OSError):
                raise output_error(output, error.__cause__) from error
            raise
        try:
            _move_all(work, output, stage / "old", made)
        except OSError as error:
            raise output_error(output, error) from error
        made.clear()
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        for folder in reversed(made):
            try:
                folder.rmdir()
            except OSError:
                break  # someone else has put something there


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A private name beside ``path``, with its suffixes, that becomes ``path`` when all went well.

    Raises
    ------
    OutputError
        As :func:`staged_folder`; the folder of ``path`` must exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; create it.")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder; add a file name.")
    stage: Path | None = None
    try:
        stage = Path(tempfile.mkdtemp(prefix=".mrisynth-", dir=path.parent))
        yield stage / path.name
        os.replace(stage / path.name, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Create ``folder`` and its parents, noting in ``made`` those that were not there."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folders(folder.parent, made)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        made.append(folder)


def _is_about(error: OSError, output: Path) -> bool:
    """Whether an error in the body concerns the output rather than something that was read."""
    if error.filename is not None:
        named = Path(os.fsdecode(error.filename)).absolute()
        return named.is_relative_to(output.absolute())
    return error.errno in _REASONS


def _move_all(work: Path, output: Path, old: Path, made: list[Path]) -> None:
    """Move every file below ``work`` to the same place below ``output``, or none of them."""
    moved: list[tuple[Path, Path | None]] = []
    try:
        for source in sorted(path for path in work.rglob("*") if not path.is_dir()):
            relative = source.relative_to(work)
            target = output / relative
            _make_folders(target.parent, made)
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
            backup = None
            if target.exists() or target.is_symlink():
                backup = old / relative
                backup.parent.mkdir(parents=True, exist_ok=True)
                os.replace(target, backup)
            moved.append((target, backup))
            os.replace(source, target)
    except BaseException:
        for target, backup in reversed(moved):
            if backup is not None:
                os.replace(backup, target)
            else:
                target.unlink(missing_ok=True)
        raise
