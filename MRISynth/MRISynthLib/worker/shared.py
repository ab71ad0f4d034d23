"""Volumes across the process border: one block of shared memory each.

The client chooses the names of all blocks and frees them, whatever happens to the worker;
the worker frees them when the client is gone. Python's own resource tracker is kept out: it
would start ``sys.executable``, which inside Slicer is Slicer itself, and before Python 3.13
it frees blocks that other processes still use.

Where shared memory is too small (containers often have 64 MB), a block is a memory-mapped
file in the temporary folder instead.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WorkerError
from ..provenance import Provenance
from ..volume import Volume

_PREFIX = "mrs"
_LINUX_FOLDER = Path("/dev/shm")
_STALE_SECONDS = 3600
_lock = threading.Lock()


class FileBlock:
    """A memory-mapped file with the interface of ``SharedMemory``."""

    def __init__(self, name: str, create: bool = False, size: int = 0) -> None:
        self.name = name
        with _file_of(name).open("x+b" if create else "r+b") as stream:
            if create:
                _reserve(stream.fileno(), size)
            self._mmap = mmap.mmap(stream.fileno(), 0)
        self.buf = memoryview(self._mmap)

    def close(self) -> None:
        """Unmap; BufferError while an array still looks at it."""
        self.buf.release()
        self._mmap.close()


Block = shared_memory.SharedMemory | FileBlock


def new_prefix() -> str:
    """A name that no other client has; short, as macOS allows 31 characters."""
    return f"{_PREFIX}{os.getpid():x}-{secrets.token_hex(4)}-"


def create(name: str, size: int) -> Block:
    """A new block of at least ``size`` bytes that are really there.

    Raises
    ------
    WorkerError
        If neither shared memory nor the temporary folder has room.
    """
    size = max(size, 1)
    with contextlib.suppress(OSError):
        return _create_in_memory(name, size)
    try:
        return FileBlock(name, create=True, size=size)
    except OSError as error:
        _file_of(name).unlink(missing_ok=True)
        raise WorkerError(
            f"There is no room for a volume of {size / 2**20:.0f} MiB in shared memory or in "
            f"{tempfile.gettempdir()}; free some memory or disk space and try again."
        ) from error


def _create_in_memory(name: str, size: int) -> shared_memory.SharedMemory:
    with _untracked() as options:
        block = shared_memory.SharedMemory(name, create=True, size=size, **options)
    path = _LINUX_FOLDER / name
    if sys.platform == "linux" and path.exists():
        # Linux promises the size without having it: writing to it would end the process.
        try:
            descriptor = os.open(path, os.O_RDWR)
            try:
                _reserve(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError:
            block.close()
            _unlink(name)
            raise
    return block


def attach(name: str) -> Block:
    """An existing block."""
    with contextlib.suppress(FileNotFoundError), _untracked() as options:
        return shared_memory.SharedMemory(name, **options)
    return FileBlock(name)


def free(name: str) -> bool:
    """Give a block's memory back; False if there is none of this name."""
    return _unlink(name) | _unlink_file(name)


def free_all(prefix: str, inputs: int) -> None:
    """Give back a job's inputs and as many results as the worker had begun."""
    for number in range(inputs):
        free(f"{prefix}i{number}")
    for number in itertools.count():
        if not free(f"{prefix}o{number}"):
            return


def free_stale() -> None:
    """Give back what processes that no longer exist left behind.

    Only needed after both sides were killed at once, and only possible on Linux.
    """
    if sys.platform != "linux" or not _LINUX_FOLDER.is_dir():
        return
    for path in _LINUX_FOLDER.glob(f"{_PREFIX}*-*-*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.name[len(_PREFIX) :].split("-")[0], 16)
            status = path.stat()
            old = time.time() - status.st_mtime > _STALE_SECONDS
            if old and status.st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                path.unlink()


def put(name: str, volume: Volume) -> tuple[Block, dict[str, Any]]:
    """Copy a volume's voxels into a new block; returns it and the header that goes with it."""
    voxels = volume.voxels
    block = create(name, voxels.nbytes)
    np.copyto(np.ndarray(voxels.shape, voxels.dtype, block.buf), voxels)
    header = {
        "block": name,
        "shape": list(voxels.shape),
        "dtype": voxels.dtype.str,
        "index_to_world": volume.index_to_world.tolist(),
        "sequence": volume.sequence,
        "name": volume.name,
        "acquisition": dict(volume.acquisition),
        "provenance": volume.provenance.to_dict() if volume.provenance else None,
        "warnings": list(volume.warnings),
    }
    return block, header


def view(block: Block, header: dict[str, Any]) -> Volume:
    """The volume in a block, without a copy; it must not outlive the block."""
    voxels = np.ndarray(tuple(header["shape"]), np.dtype(header["dtype"]), block.buf)
    return _volume(voxels, header)


def take(header: dict[str, Any]) -> Volume:
    """A copy of the volume in a block, which is given back."""
    block = attach(header["block"])
    try:
        voxels = np.ndarray(tuple(header["shape"]), np.dtype(header["dtype"]), block.buf).copy()
    finally:
        block.close()
        free(header["block"])
    return _volume(voxels, header)


def _volume(voxels: np.ndarray, header: dict[str, Any]) -> Volume:
    provenance = header["provenance"]
    return Volume(
        voxels,
        np.array(header["index_to_world"]),
        sequence=header["sequence"],
        name=header["name"],
        acquisition=header["acquisition"],
        provenance=Provenance.from_dict(provenance) if provenance else None,
        warnings=tuple(header["warnings"]),
    )


# -------------------------------------------------------------------------- internals


def _file_of(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{name}.block"


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size, failing now rather than when it is written to."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _unlink(name: str) -> bool:
    if sys.platform == "win32":
        return False  # Windows frees a block with its last handle.
    try:
        with _untracked() as options:
            block = shared_memory.SharedMemory(name, **options)
            block.close()
            block.unlink()
    except FileNotFoundError:
        return False
    except ValueError:
        # The maker was killed before the block had a size; it cannot be mapped.
        (_LINUX_FOLDER / name).unlink(missing_ok=True)
    return True


def _unlink_file(name: str) -> bool:
    try:
        _file_of(name).unlink()
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # Windows: still mapped by a process that is just ending.
    return True


class _NoTracker:
    @staticmethod
    def register(name: str, kind: str) -> None: ...

    @staticmethod
    def unregister(name: str, kind: str) -> None: ...


@contextlib.contextmanager
def _untracked() -> Iterator[dict[str, Any]]:
    """Options for ``SharedMemory`` that keep the resource tracker out."""
    if sys.version_info >= (3, 13):
        yield {"track": False}
        return
    with _lock:
        tracker = shared_memory.resource_tracker
        shared_memory.resource_tracker = _NoTracker
        try:
            yield {}
        finally:
            shared_memory.resource_tracker = tracker
