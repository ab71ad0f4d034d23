"""Images and contours on their way to the desk: sent, named at the start, or made here."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from MRISynthLib import panel
from MRISynthLib.errors import InputError
from MRISynthLib.progress import Callbacks, Progress

from .desk import SIMULATED, TRUTH_NOTE
from .reading import Found, read, read_sent, without_paths
from .uploads import BATCH

if TYPE_CHECKING:
    from .visit import Visit


class Arrivals:
    """Brings what comes to the desk and into the scene of one visit.

    ``folder`` is where the gateway stores what the page sends; what is in it may become
    ``upload_bytes`` large when it is unpacked.
    """

    def __init__(self, visit: Visit, folder: Path, upload_bytes: int) -> None:
        self._visit, self._state = visit, visit.state
        self._desk, self._sights = visit.desk, visit.sights
        self._folder, self._upload_bytes = folder, upload_bytes
        self._batches: list[Path] = []  # that hold a patient's files
        self._named: list[Path] = []
        self._on_their_way = 0
        self._cleaned = without_paths(folder)

    def without_paths(self, text: str) -> str:
        """A message without what is about this machine: also others than its owner may read it."""
        for path in self._named:
            if path.parent != Path(path.anchor):
                text = text.replace(f"{path.parent}{os.sep}", "")
        return self._cleaned(text)

    def on_uploaded(self, batch: str) -> None:
        """The gateway has stored all files of a batch."""
        if BATCH.fullmatch(str(batch)):
            self._batches.append(self._folder / str(batch))
            self._visit.spawn(self._load_sent(self._batches[-1]))

    def forget_unfinished(self, **_: object) -> None:
        """A page is there, perhaps anew: what one before it did not send whole never will be."""
        for place in self._folder.iterdir():
            if place not in self._batches:
                shutil.rmtree(place, ignore_errors=True)

    def discard(self) -> None:
        """Remove everything that was sent."""
        while self._batches:
            shutil.rmtree(self._batches.pop(), ignore_errors=True)

    def load_at_start(self, files: Sequence[Path]) -> None:
        """What was named on the command line."""
        if files:
            self._named = list(files)
            self._visit.spawn(self._load_named())

    async def _load_named(self) -> None:
        with self._awaited("Reading the images ..."):
            found = await asyncio.to_thread(read, self._named)
        self._take(found)

    async def _load_sent(self, batch: Path) -> None:
        try:
            with self._awaited("Reading the images ..."):
                found = await asyncio.to_thread(read_sent, batch, self._upload_bytes)
            self._take(found)
        except BaseException:
            # what is of no use must not take the room of what comes next
            if not any(batch in image.files for image in self._desk.images.values()):
                self._batches.remove(batch)
                shutil.rmtree(batch, ignore_errors=True)
            raise

    @contextmanager
    def _awaited(self, text: str) -> Iterator[None]:
        """The page says that something is on its way until the last of it has come."""
        self._on_their_way += 1
        self._state.loading, self._state.uploading = True, text
        self._state.flush()
        try:
            yield
        finally:
            self._on_their_way -= 1
            if not self._on_their_way:
                self._state.loading, self._state.uploading = False, ""

    def _take(self, found: Found) -> None:
        desk, visit = self._desk, self._visit
        keys = []
        for index, volume in enumerate(found.images):
            (key,) = desk.add([volume], found.files, origin=found.origins[index])
            keys.append(key)
            if index in found.uncertainty:
                desk.uncertainty[key] = found.uncertainty[index]
        self._sights.take_in(keys)
        visit.refresh()  # the images are there, whatever is wrong with the contours
        for path in found.contours[:1]:
            self._take_contours(path, keys)
        warnings = [text for volume in found.images for text in volume.warnings]
        if found.contours[1:]:
            shown, *others = (path.name for path in found.contours)
            warnings.append(
                f"Contours of one file are shown at a time, here {shown}; send "
                f"{' or '.join(others)} by itself to see that instead."
            )
        text = "\n".join(dict.fromkeys(map(self.without_paths, warnings)))
        text = "\n".join(filter(None, (text, desk.not_used(keys))))
        visit.say(text, "warning" if text else "info")
        visit.refresh()

    def _take_contours(self, path: Path, keys: Sequence[str]) -> None:
        """Show a file's structures on the first image on whose grid they lie; ``keys`` are what
        came with them."""
        from MRISynthSegmentLib.io import load_segmentation

        if self._visit.busy:
            raise InputError("A computation is running; send the contours when it has ended.")
        desk = self._desk
        used = {row.key for row in desk.used_to_segment()}
        rows = sorted(
            desk.rows(),
            key=lambda row: (row.key not in keys, row.synthetic, row.key not in used),
        )
        reasons = []
        for row in rows:
            try:
                structures = load_segmentation(path, desk.volume_of(row))
            except InputError as error:
                reasons.append(error)
                continue
            desk.bring_structures(structures, row.key)
            self._sights.show_contours(row.key)
            return
        raise next(
            iter(reasons),
            InputError("Contours came without an image to show them on; send both."),
        )

    def on_simulated(self) -> None:
        """Load the built-in patient."""
        self._visit.spawn(self._simulated())

    async def _simulated(self) -> None:
        from MRISynthLib.simulation import demo_patient

        loop = asyncio.get_running_loop()

        def told(progress: Progress) -> None:
            share = 100 * progress.done / max(1, progress.total)
            text = f"Making the simulated patient: {share:.0f} %"
            loop.call_soon_threadsafe(self._show_loading, text)

        with self._awaited("Making the simulated patient ..."):
            patient = await asyncio.to_thread(demo_patient, callbacks=Callbacks(on_progress=told))
        desk = self._desk
        inputs = [name for name in ("T1w", "T2w") if name in patient.volumes]
        keys = desk.add((patient.volumes[name] for name in inputs), origin=SIMULATED)
        truth = [name for name in patient.volumes if name not in inputs]
        desk.add(
            (
                patient.volumes[name].replace(name=f"{name}{TRUTH_NOTE}", sequence=name)
                for name in truth
            ),
            ticked=False,
            origin=SIMULATED,
        )
        desk.ticked_targets = (panel.PREFERRED_TARGET,)
        self._sights.take_in(keys)
        self._visit.say(
            "A simulated patient: T1w and T2w are the inputs. What else it has is there only to "
            "compare with."
        )
        self._visit.refresh()

    def _show_loading(self, text: str) -> None:
        with self._state:
            self._state.uploading = text
