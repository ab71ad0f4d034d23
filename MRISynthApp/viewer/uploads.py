"""Files that visitors bring, into private folders that go with them."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import StreamReader

from MRISynthLib.errors import InputError

from .archives import is_archive, safe_name, unpack
from .limits import MIB, Limits

BATCH = re.compile(r"[0-9a-f]{16}")
"""What a page may call the files that it sends together."""


@dataclass
class Uploads:
    """What one visitor has brought.

    ``folder`` holds a folder for each batch; names in it are the server's, never the visitor's.
    """

    folder: Path
    limits: Limits
    files: int = 0
    taken: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

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
            folder = self.folder / batch
            folder.mkdir(mode=0o700, exist_ok=True)
            if self.files >= self.limits.upload_files:
                raise InputError(
                    f"More than {self.limits.upload_files} files are not taken; send only the "
                    "series that are needed."
                )
            path = folder / f"{self.files:05d}_{safe_name(name)}"
            try:
                size = await self._store(path, content)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            self.files += 1
            self.taken += size
            if is_archive(path):
                await self._unpack(path, safe_name(name), size)

    async def _store(self, path: Path, content: StreamReader) -> int:
        size, left = 0, self.limits.upload_bytes - self.taken
        with path.open("xb") as target:
            async for chunk in content.iter_chunked(1 << 18):
                size += len(chunk)
                if size > left:
                    raise InputError(
                        f"More than {self.limits.upload_bytes / MIB:.0f} MB are not taken; send "
                        "only the series that are needed, or close the page to begin anew."
                    )
                target.write(chunk)
        return size

    async def _unpack(self, path: Path, name: str, size: int) -> None:
        archive = path.rename(path.with_name(name))  # messages call it as the visitor does
        try:
            room = self.limits.upload_bytes - self.taken
            count, unpacked = await asyncio.to_thread(
                unpack, archive, archive.parent, self.limits, self.files, room
            )
            self.files += count
            self.taken += unpacked
        finally:
            archive.unlink(missing_ok=True)
            self.taken -= size

    def discard(self, batch: str) -> None:
        """Forget a batch that could not be received whole."""
        if BATCH.fullmatch(batch):
            shutil.rmtree(self.folder / batch, ignore_errors=True)
