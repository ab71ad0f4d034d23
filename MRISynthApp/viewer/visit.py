"""One visit: between the page's buttons, the desk, the scene and the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from trame_server import Server

from MRISynthLib import panel
from MRISynthLib.errors import Cancelled, InputError, MRISynthError
from MRISynthLib.progress import Callbacks, Progress, SliceReady
from MRISynthLib.provenance import SYNTHETIC_MARK, Provenance
from MRISynthLib.review.derived import checkerboard
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.volume import Volume
from MRISynthSegmentLib import panel as segment_panel
from MRISynthSegmentLib.structures import STRUCTURES

from .broker import WAITING
from .desk import TRUTH_NOTE, Desk, Order
from .display import COMBINED, MODES, REAL, SYNTHETIC, Display
from .downloads import Downloads
from .reading import Found, read, without_paths
from .remote_worker import RemoteWorker
from .uploads import BATCH

POLL_SECONDS = 0.04
CHECKERBOARD, DIFFERENCE = "checkerboard", "difference"
PREVIEW = "preview-"
UNCERTAINTY = "uncertainty-"
UNEXPECTED = "Something failed unexpectedly; nothing was lost. The terminal says more."


class Visit:
    """What the page of one visitor does.

    ``state`` is what the page shows; methods called ``on_…`` are what it asks for.
    """

    def __init__(self, server: Server, worker: RemoteWorker, folder: Path) -> None:
        self.server, self.state = server, server.state
        self.worker = worker
        self.folder = folder
        self.desk = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
        self.display: Display | None = None
        self.downloads = Downloads(folder / "downloads")
        self._cleaned = without_paths(folder / "uploads")
        self._job: Any = None
        self._derived: dict[str, tuple[str, str]] = {}
        self._tasks: set[asyncio.Task] = set()
        self._hidden: set[str] = set()
        self._register()
        self._refresh()

    def _register(self) -> None:
        state = self.state
        state.update(
            {
                "sequence_names": list(SEQUENCE_NAMES),
                "modes": list(MODES),
                "prompt": "",
                "running": False,
                "progress": -1,
                "progress_text": "",
                "message": "",
                "message_kind": "info",
                "left": None,
                "right": None,
                "layout": "2",
                "orientation": "Axial",
                "mode": "blend",
                "opacity": 0.5,
                "fill": 0.35,
                "outline": True,
                "contours_shown": True,
                "correcting": False,
                "correct_structure": None,
                "correct_adds": True,
                "figures": [],
                "uploading": "",
                "loading": False,
                "preparing": "",
                "section": ["images", "make"],
            }
        )
        for name in dir(self):
            if name.startswith("on_"):
                self.server.trigger(name.removeprefix("on_"))(getattr(self, name))
        for names, function in (
            (("prompt",), self._prompt_changed),
            (("left", "right"), self._images_chosen),
            (("layout",), self._layout_chosen),
            (("orientation",), self._orientation_chosen),
            (("mode", "opacity"), self._combination_chosen),
            (("fill", "outline", "contours_shown"), self._look_chosen),
        ):
            state.change(*names)(function)

    def attach(self, display: Display) -> None:
        """The scene, once it is made."""
        self.display = display
        self.display.set_layout(self.state.layout)

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside the page; what goes wrong is said on it."""

        async def guarded() -> None:
            with self.state:
                try:
                    await work
                except MRISynthError as error:
                    self.say(self._cleaned(str(error)), "error")
                except Exception:
                    logging.exception("a visit's work failed")
                    self.say(UNEXPECTED, "error")
            self.state.flush()

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def say(self, text: str, kind: str = "info") -> None:
        """One message on the page."""
        self.state.message, self.state.message_kind = text, kind

    # ----------------------------------------------------------------- what the page shows

    def _refresh(self) -> None:
        """Show the tables, what the prompt means, and what can be pressed."""
        desk, state = self.desk, self.state
        rows = desk.rows()
        used = {row.key for row in desk.used()}
        state.images = [
            {
                "key": row.key,
                "name": self._title(row),
                "sequence": row.chosen or (row.recognised if row.sure else None),
                "recognised": row.recognition_text(),
                "sure": row.sure,
                "ticked": row.key in used,
                "synthetic": row.synthetic,
                "reason": row.problem or row.reason,
            }
            for row in rows
        ]
        state.targets = [
            {
                "sequence": row.sequence,
                "ticked": row.ticked,
                "problem": row.problem,
                "description": row.problem or row.description,
            }
            for row in desk.targets()
        ]
        understanding = desk.understanding()
        state.understood = understanding.text
        state.understood_problem = understanding.problem
        running = bool(self._job)
        state.running = running
        state.apply_reason = desk.why_not_apply(running)
        state.segment_reason = desk.why_not_segment(running)
        ticked = set(desk.structures())
        state.groups = [
            {
                "title": heading,
                "members": [
                    {
                        "name": each.name,
                        "label": each.label,
                        "ticked": each.name in ticked,
                        "colour": _hex(each.colour),
                    }
                    for each in members
                ],
            }
            for heading, members in segment_panel.groups(desk.segmenter)
        ]
        state.ticked_count = len(ticked)
        state.image_items = [{"title": self._title(row), "value": row.key} for row in rows]
        state.models = " and ".join(m.name for m in (desk.model, desk.segmenter) if m) or "none"
        self._refresh_results()
        self._refresh_modes()

    def _title(self, row: panel.InputRow) -> str:
        name = row.name.removeprefix(SYNTHETIC_MARK).strip()
        known = row.sequence or "?"
        name = name if known in name else f"{known}: {name}"
        return f"{SYNTHETIC_MARK} {name}" if row.synthetic else name

    def _refresh_results(self) -> None:
        found, state = self.desk.segmentation, self.state
        rows = segment_panel.result_rows(found) if found is not None else ()
        state.results = [
            {
                "name": row.name,
                "label": row.label,
                "volume": row.volume_text(),
                "doubt": row.doubt_text(),
                "colour": _hex(
                    STRUCTURES[row.name].colour if row.name in STRUCTURES else (0.6,) * 3
                ),
                "shown": row.name not in self._hidden,
            }
            for row in rows
        ]
        state.can_undo, state.can_redo = self.desk.history.can_undo, self.desk.history.can_redo
        if rows and state.correct_structure not in {row.name for row in rows}:
            state.correct_structure = rows[0].name
        if not rows:
            state.correcting = False
        state.downloads = self.downloads.offered(self.desk)

    def _refresh_modes(self) -> None:
        """Why each way of combining two images is not possible; empty where it is."""
        left, right = self.state.left, self.state.right
        both = "" if left and right and left != right else "Choose two images first."
        made = self.desk.images.get(right)
        doubt = "" if right in self.desk.uncertainty else "The right image has no uncertainty map."
        apart = both
        if not apart:
            try:
                self.desk.comparison(left, right)
            except InputError as error:
                apart = str(error)
        self.state.mode_reasons = {
            "blend": both,
            "checkerboard": both,
            "difference": apart,
            "uncertainty": doubt if made is not None else both,
        }

    # ------------------------------------------------------------------------- bringing in

    def on_uploaded(self, batch: str) -> None:
        """The gateway has stored all files of a batch."""
        if BATCH.fullmatch(str(batch)):
            self.spawn(self._load([self.folder / "uploads" / str(batch)]))

    def load_at_start(self, files: Sequence[Path]) -> None:
        """What was named on the command line."""
        if files:
            self.spawn(self._load(list(files)))

    async def _load(self, places: list[Path]) -> None:
        self.state.loading, self.state.uploading = True, "Reading the images ..."
        self.state.flush()
        try:
            found = await asyncio.to_thread(read, places)
        finally:
            self.state.loading, self.state.uploading = False, ""
        self._take(found)

    def _take(self, found: Found) -> None:
        keys = []
        for index, volume in enumerate(found.images):
            (key,) = self.desk.add([volume], found.files)
            keys.append(key)
            if index in found.uncertainty:
                self.desk.uncertainty[key] = found.uncertainty[index]
        self._show_new(keys)
        for path in found.contours:
            self._take_contours(path)
        warnings = [text for volume in found.images for text in volume.warnings]
        text = "\n".join(dict.fromkeys(map(self._cleaned, warnings)))
        self.say(text, "warning" if text else "info")
        self._refresh()

    def _take_contours(self, path: Path) -> None:
        from MRISynthSegmentLib.io import load_segmentation

        reference = next(iter(self.desk.used_to_segment()), None)
        if reference is None:
            raise InputError("Contours came without an image to show them on; send both.")
        volume = self.desk.volume_of(reference)
        self.desk.segmentation = load_segmentation(path, volume)
        self._show_contours(reference.key)

    def on_simulated(self) -> None:
        """Load the built-in patient."""
        self.spawn(self._simulated())

    async def _simulated(self) -> None:
        from MRISynthLib.simulation import demo_patient

        loop = asyncio.get_running_loop()

        def told(progress: Progress) -> None:
            share = 100 * progress.done / max(1, progress.total)
            text = f"Making the simulated patient: {share:.0f} %"
            loop.call_soon_threadsafe(self._show_loading, text)

        self.state.loading, self.state.uploading = True, "Making the simulated patient ..."
        self.state.flush()
        try:
            patient = await asyncio.to_thread(demo_patient, callbacks=Callbacks(on_progress=told))
        finally:
            self.state.loading, self.state.uploading = False, ""
        inputs = [name for name in ("T1w", "T2w") if name in patient.volumes]
        keys = self.desk.add(patient.volumes[name] for name in inputs)
        truth = [name for name in patient.volumes if name not in inputs]
        self.desk.add(
            (
                patient.volumes[name].replace(name=f"{name}{TRUTH_NOTE}", sequence=name)
                for name in truth
            ),
            ticked=False,
        )
        self.desk.ticked_targets = (panel.PREFERRED_TARGET,)
        self._show_new(keys)
        self.say(
            "A simulated patient: T1w and T2w are the inputs. What else it has is there only to "
            "compare with."
        )
        self._refresh()

    def _show_loading(self, text: str) -> None:
        with self.state:
            self.state.uploading = text

    def _show_new(self, keys: Sequence[str]) -> None:
        """Put new images into the scene; the first two side by side, synthetic to the right."""
        for key, image in self.desk.images.items():
            if not self.display.has(key):
                self.display.put(key, image.volume)
        for key, volume in self.desk.uncertainty.items():
            if not self.display.has(UNCERTAINTY + key):
                self.display.put(UNCERTAINTY + key, volume)
        if not keys:
            return
        first = not self.state.left
        made = [key for key in keys if self.desk.images[key].volume.is_synthetic]
        if made:
            self.state.right = made[0]
            self.state.left = self.desk.real_beside(made[0]) or made[0]
        elif first:
            self.state.left = keys[0]
            self.state.right = keys[1] if len(keys) > 1 else keys[0]
        self._show_images()
        if first:
            self.display.place(self.state.left)

    def on_remove(self, key: str) -> None:
        """Take an image away."""
        self.desk.remove(key)
        for each in (key, UNCERTAINTY + key):
            self.display.remove(each)
        rest = list(self.desk.images)
        for name in ("left", "right"):
            if self.state[name] == key:
                self.state[name] = rest[0] if rest else None
        self._show_images()
        self._refresh()

    # ----------------------------------------------------------------------------- choices

    def on_choose(self, key: str, sequence: str | None) -> None:
        """Say which sequence an image is."""
        self.desk.choose(key, sequence)
        self._refresh()

    def on_tick(self, key: str, ticked: bool) -> None:
        """Use an image, or do not."""
        self.desk.tick(key, ticked)
        self._refresh()

    def on_tick_target(self, sequence: str, ticked: bool) -> None:
        """Make a sequence, or do not."""
        self.desk.tick_target(sequence, ticked)
        self._refresh()

    def on_tick_structure(self, name: str, ticked: bool) -> None:
        """Look for a structure, or do not."""
        wanted = [each for each in self.desk.structures() if each != name]
        self.desk.ticked_structures = (*wanted, *([name] if ticked else []))
        self._refresh()

    def on_preset(self, name: str) -> None:
        """Tick the structures of a preset."""
        if name in segment_panel.PRESETS:
            self.desk.ticked_structures = segment_panel.preset(name, self.desk.segmenter)
        self._refresh()

    def _prompt_changed(self, prompt: str | None = None, **_) -> None:
        self.desk.prompt = str(prompt or "")[:2000]
        self._refresh()

    # -------------------------------------------------------------------------------- work

    def on_apply(self) -> None:
        """Make the ticked sequences."""
        self.spawn(self._synthesise())

    async def _synthesise(self) -> None:
        used = self.desk.used()
        reference = self.desk.images[used[0].key].volume if used else None
        visible = self.display.slice_of(reference) if reference is not None else None
        order = self.desk.synthesis(visible)
        try:
            result = await self._follow(order, lambda ready: self._preview(ready, order.volumes[0]))
        finally:
            self._discard_previews()
        keys = self.desk.take_synthesis(result)
        self._show_new(keys)
        self._show_contours(None)
        self.say("\n".join(panel.result_sentences(result.info)), _kind(result.info))
        self._refresh()

    def on_segment(self) -> None:
        """Find the ticked structures."""
        self.spawn(self._segment())

    async def _segment(self) -> None:
        order = self.desk.segmenting()
        reference = self.desk.used_to_segment()[0].key
        result = await self._follow(order)
        self.desk.take_segmentation(result, order)
        self._hidden = set()
        self._show_contours(reference)
        self.say("\n".join(panel.result_sentences(result.info)), _kind(result.info))
        self._refresh()

    async def _follow(
        self, order: Order, on_slice: Callable[[SliceReady], None] | None = None
    ) -> Any:
        """Have something computed; its progress is on the page."""
        if self._job is not None:
            raise InputError("A computation is running; wait for it or press Cancel.")
        words = panel.ProgressText()
        self._job = self.worker.submit(order.task, dict(order.parameters), order.volumes)
        self.state.progress, self.state.progress_text = -1, "Starting ..."
        self.say("")
        self._refresh()
        try:
            while True:
                finished = self._job.done  # asked before poll: no event is missed
                for event in self._job.poll():
                    if isinstance(event, Progress):
                        self._show_progress(event, words)
                    elif on_slice is not None:
                        on_slice(event)
                self.state.flush()
                if finished:
                    return self._job.result()
                await asyncio.sleep(POLL_SECONDS)
        except Cancelled:
            raise Cancelled("Cancelled; nothing was changed.") from None
        finally:
            self._job = None
            self.state.progress_text = ""
            self._refresh()

    def _show_progress(self, event: Progress, words: panel.ProgressText) -> None:
        if event.stage == WAITING:
            others = "1 request" if event.done == 1 else f"{event.done} requests"
            self.state.progress = -1
            self.state.progress_text = f"Waiting: {others} of other visitors come first."
            return
        percent, text = words.update(event.stage, event.done, event.total)
        self.state.progress = percent if event.total > 0 else -1
        self.state.progress_text = text

    def on_cancel(self) -> None:
        """Stop what is being computed."""
        if self._job is not None:
            self.state.progress_text = "Stopping ..."
            self._job.cancel()

    def _preview(self, ready: SliceReady, reference: Volume) -> None:
        """Show the slices that are there, the visible one first."""
        key = PREVIEW + ready.target
        if not self.display.has(key):
            unfinished = reference.with_voxels(
                np.zeros(reference.shape, np.float32),
                sequence=ready.target,
                name=f"{ready.target} (being computed)",
                provenance=Provenance(synthetic=True, kind="preview", sequence=ready.target),
            )
            self.display.put(key, unfinished)
            self.display.put_slice(key, ready.index, ready.image)
            self.display.set_window_to_content(key)
            self.display.show(SYNTHETIC, key)
            return
        self.display.put_slice(key, ready.index, ready.image)

    def _discard_previews(self) -> None:
        for name in SEQUENCE_NAMES:
            self.display.remove(PREVIEW + name)
        self._show_images()

    # ------------------------------------------------------------------------- corrections

    def pressed(self, view: str, point: tuple[float, float, float], shift: bool) -> bool:
        """A left click in a slice view; whether it was a correction."""
        if not self.state.correcting or self.desk.segmentation is None:
            return False
        if self._job is None:
            adds = bool(self.state.correct_adds) != shift
            self.spawn(self._correct(str(self.state.correct_structure), point, adds))
        return True

    async def _correct(self, structure: str, point: tuple[float, ...], adds: bool) -> None:
        order = self.desk.correction(structure, point, adds)
        result = await self._follow(order)
        name = self.desk.take_correction(result, order)
        self.display.update_segmentation(self.desk.segmentation, [name])
        self.say(f"{STRUCTURES[name].label if name in STRUCTURES else name} corrected.")
        self._refresh()

    def on_undo(self) -> None:
        """Take the last correction back."""
        self._stepped(self.desk.undo())

    def on_redo(self) -> None:
        """Take the last undo back."""
        self._stepped(self.desk.redo())

    def _stepped(self, names: Sequence[str]) -> None:
        if names:
            self.display.update_segmentation(self.desk.segmentation, names)
        self._refresh()

    # --------------------------------------------------------------------------- the views

    def _images_chosen(self, **_) -> None:
        self._show_images()
        self._refresh_modes()

    def _show_images(self) -> None:
        if self.display is None:
            return
        self.display.show(REAL, self.state.left)
        self.display.show(SYNTHETIC, self.state.right)
        self._combine()
        self.display.render()

    def _combination_chosen(self, **_) -> None:
        if self.display is not None:
            self._combine()
            self.display.render()

    def _combine(self) -> None:
        """Left and right image in the combined view, in the chosen way."""
        left, right, mode = self.state.left, self.state.right, self.state.mode
        opacity = float(self.state.opacity)
        reason = (self.state.mode_reasons or {}).get(mode, "")
        if mode == "uncertainty" and right in self.desk.uncertainty:
            self.display.show(COMBINED, right, UNCERTAINTY + right, opacity)
        elif mode == "checkerboard" and not reason and left in self.desk.images:
            self._derive_checkerboard(left, right)
            self.display.show(COMBINED, CHECKERBOARD)
        elif mode == "difference" and self._derived.get(DIFFERENCE) == (left, right):
            self.display.show(COMBINED, DIFFERENCE)
        else:
            self.display.show(COMBINED, left, right, opacity)
            if mode == "difference" and not reason and self._job is None and left and right:
                self.spawn(self._compare(left, right))

    def _derive_checkerboard(self, left: str, right: str) -> None:
        if self._derived.get(CHECKERBOARD) != (left, right):
            images = self.desk.images
            made = checkerboard(images[left].volume, images[right].volume)
            self.display.remove(CHECKERBOARD)
            self.display.put(CHECKERBOARD, made)
            self._derived[CHECKERBOARD] = (left, right)

    async def _compare(self, left: str, right: str) -> None:
        """Numbers, and where the images differ."""
        result = await self._follow(self.desk.comparison(left, right))
        self.display.remove(DIFFERENCE)
        self.display.put(DIFFERENCE, result["difference"])
        self._derived[DIFFERENCE] = (left, right)
        self.state.figures = [
            {
                "region": region,
                "mae": f"{values['MAE']:.3f}",
                "psnr": f"{values['PSNR']:.1f}",
                "ssim": f"{values['SSIM']:.3f}",
            }
            for region, values in result.info["figures"].items()
        ]
        self.say("\n".join(result.info.get("warnings", ())), _kind(result.info))
        self._show_images()

    def on_compare(self) -> None:
        """Numbers for the two images that are shown."""
        self.spawn(self._compare(self.state.left, self.state.right))

    def _layout_chosen(self, layout: str = "2", **_) -> None:
        if self.display is not None:
            self.display.set_layout(str(layout))
            self.display.render()

    def _orientation_chosen(self, orientation: str = "Axial", **_) -> None:
        if self.display is not None and self.state.left:
            self.display.place(self.state.left, self.display.focus(), str(orientation))
            self.display.render()

    def on_reset_view(self) -> None:
        """All views as at first."""
        if self.state.left:
            self.display.place(self.state.left)
            self.display.reset_windows()
            self.display.solid.fit_view_to_content()
            self.display.render()

    def on_step(self, slices: int) -> None:
        """Go some slices on, as Slicer's keys do."""
        self.display.step(int(slices))

    def on_toggle_contours(self) -> None:
        """Contours on or off."""
        self.state.contours_shown = not self.state.contours_shown

    def _look_chosen(self, **_) -> None:
        if self.display is not None:
            self.display.show_segments(
                fill=float(self.state.fill) / 0.35,
                outline=bool(self.state.outline),
                hidden=tuple(self._hidden),
                shown=bool(self.state.contours_shown),
            )
            self.display.render()

    def on_show_structure(self, name: str, shown: bool) -> None:
        """Show one structure, or do not."""
        (self._hidden.discard if shown else self._hidden.add)(name)
        self._look_chosen()
        self._refresh_results()

    def on_go_to(self, name: str) -> None:
        """Show the middle of a structure."""
        found = self.desk.segmentation
        if found is None or name not in found.masks or not found.masks[name].any():
            return
        index = np.argwhere(found.masks[name]).mean(axis=0)[::-1]
        point = (found.reference.index_to_world @ np.append(index, 1.0))[:3]
        self.display.jump(point)

    def _show_contours(self, reference: str | None) -> None:
        if self.desk.segmentation is None:
            return
        if reference is not None:
            self.display.put_segmentation(self.desk.segmentation, reference)
        self._look_chosen()

    # --------------------------------------------------------------------------- downloads

    def on_download(self, what: str) -> None:
        """Lay a file ready, and have the page fetch it."""
        self.spawn(self._prepare(str(what)))

    async def _prepare(self, what: str) -> None:
        self.state.preparing = what
        self.state.flush()
        await asyncio.sleep(0.05)  # let the page show it
        try:
            link = self.downloads.make(what, self.desk, self.display.focus())
        finally:
            self.state.preparing = ""
        self.server.js_call("downloads", "fetch", link)


def _colour(name: str) -> tuple[float, ...]:
    return STRUCTURES[name].colour if name in STRUCTURES else (0.6, 0.6, 0.6)


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)


def _kind(info: Any) -> str:
    return "warning" if info.get("warnings") else "info"
