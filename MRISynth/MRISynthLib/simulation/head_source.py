"""Where heads come from, said in plain values that a configuration or another process can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..processes import run_in_processes
from ..progress import SILENT, Callbacks

if TYPE_CHECKING:
    from .label_maps import LabelMapSource


@dataclass(frozen=True)
class HeadSource:
    """Procedural heads, or a folder of labelled ones.

    Attributes
    ----------
    folder:
        Folder of label maps; None for procedural heads.
    mapping:
        What their labels mean; None for ``mapping.json`` in the folder.
    atlas, atlas_mapping:
        Folder of a second label map that fills what the heads do not tell apart, and its mapping.
    cache:
        Folder that keeps how the atlas lies in each head.
    names:
        Files of the folder that may be used; None for all.
    """

    folder: Path | None = None
    mapping: Path | None = None
    atlas: Path | None = None
    atlas_mapping: Path | None = None
    cache: Path | None = None
    names: tuple[str, ...] | None = None

    @property
    def procedural(self) -> bool:
        """Whether heads are drawn from numbers alone."""
        return self.folder is None

    def open(self) -> LabelMapSource | None:
        """The labelled heads, opened once in a process; None for procedural heads.

        Raises
        ------
        InputError
            If the folder, the atlas or a mapping cannot be used.
        """
        if self.folder is None:
            if self.atlas is not None:
                raise InputError("An atlas fills labelled heads; name their folder too.")
            return None
        return _opened(self)

    def kept_in(self, folder: Path) -> HeadSource:
        """The same heads, with ``folder`` for a cache if they need one and have none."""
        needed = self.atlas is not None and self.cache is None
        return replace(self, cache=folder) if needed else self

    def ready(
        self,
        told: Callable[[int, int], None] = lambda done, total: None,
        jobs: int = 1,
        callbacks: Callbacks = SILENT,
    ) -> None:
        """Find where the atlas lies in every head, if the cache does not say so already.

        Takes some seconds a head; processes that draw from the same source then only read it.
        With a cache it is done in ``jobs`` processes, so that it can be stopped at once.

        Parameters
        ----------
        told:
            Hears how many heads are done, of how many.

        Raises
        ------
        InputError
            As :meth:`open`, or if the cache is damaged.
        WorkerError
            If a process died; heads that are finished stay in the cache.
        Cancelled
            If the callbacks say so; heads that are finished stay in the cache.
        """
        source = self.open()
        if source is None or self.atlas is None:
            return
        done, total = 0, len(source)

        def finished() -> None:
            nonlocal done
            done += 1
            told(done, total)

        told(done, total)
        if self.cache is None:
            for index in range(total):
                callbacks.check()
                source.head(index)
                finished()
            return
        heads = [(self, index) for index in range(total)]
        run_in_processes(_join, heads, min(jobs, total), _DIED, finished, callbacks)


_DIED = (
    "A process that joined the atlas with the heads died, perhaps for want of memory; heads that "
    "are finished are kept: run it again with fewer jobs or with other programs closed."
)


def _join(source: HeadSource, index: int) -> None:
    source.open().head(index)


PROCEDURAL = HeadSource()


@lru_cache(maxsize=2)
def _opened(source: HeadSource) -> LabelMapSource:
    from .atlas import AtlasSource
    from .label_maps import LabelMapSource

    atlas = None
    if source.atlas is not None:
        atlas = AtlasSource(source.atlas, source.atlas_mapping, source.cache)
    heads = LabelMapSource(source.folder, source.mapping, atlas)
    return heads if source.names is None else heads.only(source.names)
