"""Results appear whole or not at all: written beside, then renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

_STAGE = ".mrisynth-"

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
def writable_folder(output: Path) -> Iterator[None]:
    """``output``, created if needed and seen to be writable, before long work that fills it.

    On any exception in the body what was created here is removed, unless something is in it.

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """
    output = Path(output)
    made: list[Path] = []
    try:
        try:
            _make_folders(output, made)
            _probe(output)
        except OSError as error:
            raise output_error(output, error) from error
        yield
    except BaseException:
        _remove_empty(made)
        raise


@contextmanager
def staged_folder(output: Path, last: str | None = None) -> Iterator[Path]:
    """A private folder whose files move into ``output`` when all went well.

    Yields an empty folder on the same disk. On success every file in it (subfolders too) takes its
    place in ``output``, replacing files of the same name; an ``output`` that was not there appears
    with all of them at once. On any exception, a Ctrl-C too, everything made here is removed, a
    created ``output`` included, and files that were replaced are put back.

    Parameters
    ----------
    last:
        The file, relative to ``output``, by which others know that the folder is complete: it is
        there only while all the others are, even if the process is killed.

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
            if made:  # beside, so that it can become the output
                stage = Path(tempfile.mkdtemp(prefix=_stage_name(output), dir=output.parent))
            else:
                stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=output))
            work = stage / "new"
            work.mkdir()
        except OSError as error:
            raise output_error(output, error) from error
        try:
            yield work
        except OSError as error:
            if _is_about(error, output, stage):
                raise output_error(output, error) from error
            raise
        except OutputError as error:  # from save(), about a private name: say the user's
            if isinstance(error.__cause__, OSError):
                raise output_error(output, error.__cause__) from error
            raise
        try:
            if not (made and _became(work, output)):
                _make_folders(output, made)
                _move_all(work, output, stage / "old", made, last)
        except OSError as error:
            raise output_error(output, error) from error
        made.clear()
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        _remove_empty(made)


def remove_leftovers(outputs: Iterable[Path]) -> None:
    """Remove what killed runs of :func:`staged_folder` left beside and in ``outputs``."""
    outputs = [Path(output) for output in outputs]
    beside = {output.with_name(_stage_name(output)) for output in outputs}
    left = [stage for output in outputs for stage in _stages(output)]
    for parent in {output.parent for output in outputs}:
        for stage in _stages(parent):
            begin, hyphen, _ = stage.name.rpartition("-")  # what mkdtemp adds has no hyphen
            if stage.with_name(begin + hyphen) in beside:
                left.append(stage)
    for stage in left:
        shutil.rmtree(stage, ignore_errors=True)


def _stages(folder: Path) -> list[Path]:
    return list(folder.glob(f"{_STAGE}*")) if folder.is_dir() else []


def file_with_ending(path: str, ending: str) -> Path:
    """The file that a name from a file chooser means; on Linux choosers add no ending.

    Raises
    ------
    OutputError
        If the ending had to be added and that file exists: the chooser asked about another.
    """
    if path.lower().endswith(ending):
        return Path(path)
    named = Path(f"{path}{ending}")
    if named.exists():
        raise OutputError(
            f"{named} exists already; choose that file to replace it, or another name."
        )
    return named


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A private name beside ``path``, with its suffixes, that becomes ``path`` when all went well.

    Raises
    ------
    OutputError
        As :func:`staged_folder`; the folder of ``path`` must exist.
    """
    path = Path(path)
    _refuse_place(path)
    stage: Path | None = None
    try:
        stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=path.parent))
        yield stage / path.name
        os.replace(stage / path.name, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def check_file(path: Path) -> None:
    """Raise now what :func:`staged_file` would raise, before long work whose result it is.

    Raises
    ------
    OutputError
        If there is no folder for ``path``, or it cannot be written.
    """
    path = Path(path)
    _refuse_place(path)
    try:
        _probe(path.parent)
    except OSError as error:
        raise output_error(path, error) from error


def _refuse_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; create it.")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder; add a file name.")


def _probe(folder: Path) -> None:
    """Raise OSError if nothing can be written in ``folder``."""
    os.rmdir(tempfile.mkdtemp(prefix=_STAGE, dir=folder))


def _stage_name(output: Path) -> str:
    """How the name of a stage beside ``output`` begins; a file name has at most 255 bytes."""
    return f"{_STAGE}{output.name[:50]}-"


def _remove_empty(made: list[Path]) -> None:
    for folder in reversed(made):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            break  # someone else has put something there


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


def _is_about(error: OSError, output: Path, stage: Path) -> bool:
    """Whether an error in the body concerns the output rather than something that was read."""
    if error.filename is not None:
        named = Path(os.fsdecode(error.filename)).absolute()
        return any(named.is_relative_to(place.absolute()) for place in (output, stage))
    return error.errno in _REASONS


def _became(work: Path, output: Path) -> bool:
    """Whether ``work`` could take the place of ``output``, an empty folder, in one step."""
    try:
        output.rmdir()
        os.replace(work, output)
    except OSError:  # someone has put something there, or holds a file open (Windows)
        return False
    return True


def _move_all(work: Path, output: Path, old: Path, made: list[Path], last: str | None) -> None:
    """Move every file below ``work`` to the same place below ``output``, or none of them."""
    renamed: list[tuple[Path, Path]] = []

    def rename(source: Path, target: Path) -> None:
        renamed.append((source, target))
        os.replace(source, target)

    def set_aside(relative: Path) -> None:
        target = output / relative
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
        if os.path.lexists(target):
            (old / relative).parent.mkdir(parents=True, exist_ok=True)
            rename(target, old / relative)

    files = [path.relative_to(work) for path in work.rglob("*") if not path.is_dir()]
    try:
        if last is not None:
            set_aside(Path(last))
        for relative in sorted(files, key=lambda path: (path == Path(last or ""), path)):
            _make_folders((output / relative).parent, made)
            set_aside(relative)
            rename(work / relative, output / relative)
    except BaseException:
        for source, target in reversed(renamed):
            if os.path.lexists(target) and not os.path.lexists(source):
                os.replace(target, source)
        raise
