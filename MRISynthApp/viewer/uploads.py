"""Files that visitors bring, into private folders that go with them."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import StreamReader

from MRISynthLib.errors import InputError

from .archives import is_archive, is_litter, safe_name, unpack
from .limits import MIB, Limits

BATCH = re.compile(r"[0-9a-f]{16}")
"""What a page may call the files that it sends together."""

GONE = "These files were taken away before all of them had come; send them again."


@dataclass
class _Batch:
    """What was sent together."""

    files: int = 0
    size: int = 0


@dataclass
class Uploads:
    """What one visitor has brought.

    ``folder`` holds a folder for each batch; names in it are the server's, never the visitor's.
    A batch whose folder is gone, as after Start anew, does not count any more. One of which a file
    was refused is refused as a whole, or what comes after that file would stay and never be read.
    """

    folder: Path
    limits: Limits
    _batches: dict[str, _Batch] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)  # and why
    _number: int = 0  # of the next file
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def files(self) -> int:
        """How many there are."""
        return sum(batch.files for batch in self._there())

    @property
    def taken(self) -> int:
        """Their bytes."""
        return sum(batch.size for batch in self._there())

    def _there(self) -> list[_Batch]:
        for name in [each for each in self._batches if not (self.folder / each).is_dir()]:
            del self._batches[name]
            self._refused.setdefault(name, GONE)
        return list(self._batches.values())

    async def receive(self, batch: str, name: str, content: StreamReader) -> None:
        """Store one file, an archive unpacked.

        Raises
        ------
        InputError
            If it is more than may be brought, or an archive that is refused; nothing of it stays.
        """
        if not BATCH.fullmatch(batch):
            raise InputError("The page sent files under a name that is not known; load it again.")
        async with self._lock:  # what is left must not be counted twice
            files, taken = self.files, self.taken
            if batch in self._refused:
                raise InputError(self._refused[batch])
            folder = self.folder / batch
            folder.mkdir(mode=0o700, exist_ok=True)
            if files >= self.limits.upload_files:
                raise InputError(
                    f"More than {self.limits.upload_files} files are not taken; send only the "
                    "series that are needed, or press Start anew for the next patient."
                )
            path = folder / f"{self._number:05d}_{safe_name(name)}"
            left = self.limits.upload_bytes - taken
            try:
                size = await self._store(path, content, left)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            if is_litter(name):  # without its dot it would be taken for a damaged image
                path.unlink()
                return
            count, self._number = 1, self._number + 1
            if is_archive(path):
                count, size = await self._unpack(path, safe_name(name), left - size, files)
                self._number += count
            together = self._batches.setdefault(batch, _Batch())
            together.files += count
            together.size += size

    async def _store(self, path: Path, content: StreamReader, left: int) -> int:
        size = 0
        with path.open("xb") as target:
            async for chunk in content.iter_chunked(1 << 18):
                size += len(chunk)
                if size > left:
                    raise InputError(
                        f"More than {self.limits.upload_bytes / MIB:.0f} MB are not taken; send "
                        "only the series that are needed, or press Start anew for the next "
                        "patient."
                    )
                target.write(chunk)
        return size

    async def _unpack(self, path: Path, name: str, room: int, files: int) -> tuple[int, int]:
        archive = path.rename(path.with_name(name))  # messages call it as the visitor does
        try:
            return await asyncio.to_thread(
                unpack, archive, archive.parent, self.limits, self._number, room, files
            )
        finally:
            archive.unlink(missing_ok=True)

    def discard(self, batch: str, reason: str) -> None:
        """Forget a batch that could not be received whole, and take no more of it."""
        if BATCH.fullmatch(batch):
            self._refused.setdefault(batch, reason)
            shutil.rmtree(self.folder / batch, ignore_errors=True)
