"""One visit: between the page's buttons, the desk, the scene and the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trame_server import Server

from MRISynthLib import panel
from MRISynthLib.errors import Cancelled, InputError, MRISynthError
from MRISynthLib.progress import Progress, SliceReady
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthSegmentLib import panel as segment_panel

from . import tables
from .arrivals import Arrivals
from .broker import WAITING
from .desk import Desk, Order
from .display import Display
from .downloads import Downloads
from .remote_worker import RemoteWorker
from .sights import Sights

POLL_SECONDS = 0.04
UNEXPECTED = "Something failed unexpectedly; nothing was lost. The terminal says more."


class Visit:
    """What the page of one visitor does.

    ``state`` is what the page shows; methods called ``on_…`` are what it asks for.
    """

    def __init__(
        self, server: Server, worker: RemoteWorker, folder: Path, upload_bytes: int
    ) -> None:
        self.server, self.state = server, server.state
        self.worker = worker
        self.desk = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
        self.sights = Sights(server, self.desk, self._compare)
        self.arrivals = Arrivals(self, folder / "uploads", upload_bytes)
        self.downloads = Downloads(folder / "downloads")
        self._job: Any = None
        self._comparing = False
        self._asked = ""  # what is removed if that is asked for a second time
        self._tasks: set[asyncio.Task] = set()
        self._register()
        self.refresh()

    def _register(self) -> None:
        self.state.update(
            {
                "sequence_names": list(SEQUENCE_NAMES),
                "models": " and ".join(
                    model.name for model in (self.desk.model, self.desk.segmenter) if model
                ),
                "prompt": "",
                "progress": -1,
                "progress_text": "",
                "message": "",
                "message_kind": "info",
                "correcting": False,
                "correct_reason": self.desk.why_not_correct(),
                "correct_structure": None,
                "correct_adds": True,
                "correct_exclusive": False,
                "uploading": "",
                "loading": False,
                "preparing": "",
                "section": ["images", "make"],
            }
        )
        for owner in (self, self.sights, self.arrivals):
            for name in dir(owner):
                if name.startswith("on_"):
                    self.server.trigger(name.removeprefix("on_"))(getattr(owner, name))
        self.state.change("prompt")(self._prompt_changed)

    @property
    def busy(self) -> bool:
        """Whether something is being computed for this visitor."""
        return self._job is not None

    @property
    def display(self) -> Display:
        """The scene and its views."""
        return self.sights.display

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside the page; what goes wrong is said on it."""

        async def guarded() -> None:
            with self.state:
                try:
                    await work
                except Cancelled as error:
                    self.say(str(error))  # as was wished
                except MRISynthError as error:
                    self.say(self.arrivals.without_paths(str(error)), "error")
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

    def refresh(self) -> None:
        """Show the tables, what the prompt means, and what can be pressed."""
        desk, state = self.desk, self.state
        self._asked = ""
        understanding, running = desk.understanding(), self.busy
        found = tables.results(desk, self.sights.hidden)
        state.update(
            {
                "images": tables.images(desk),
                "images_remark": desk.remark(),
                "image_items": tables.choices(desk),
                "targets": tables.targets(desk),
                "understood": understanding.text,
                "understood_problem": understanding.problem,
                "running": running,
                "apply_reason": desk.why_not_apply(running),
                "segment_reason": desk.why_not_segment(running),
                "groups": tables.structure_groups(desk),
                "ticked_count": len(desk.structures()),
                "results": found,
                "can_undo": desk.history.can_undo,
                "can_redo": desk.history.can_redo,
                "downloads": self.downloads.offered(desk),
            }
        )
        self.sights.judge()
        if state.correct_structure not in {row["name"] for row in found}:
            state.correct_structure = found[0]["name"] if found else None
        if not found:
            state.correcting = False

    # -------------------------------------------------------------------------- taking away

    def on_remove(self, key: str) -> None:
        """Take an image away, with what lies on it."""
        drawn = key == self.desk.drawn_on
        if self._job is None and self._sure(key, drawn):
            self._remove(key)
            self.say("The structures that lay on this image went with it." if drawn else "")

    def on_start_anew(self) -> None:
        """Take everything away, as before the next patient."""
        if self._job is None and self._sure("everything", True):
            self.sights.back_to_blend()  # no more comparisons of what is about to go
            for key in list(self.desk.images):
                self._remove(key)
            self.arrivals.discard()
            self.downloads.discard()
            self.desk.ticked_targets, self.state.prompt = None, ""
            self.say("")

    def _remove(self, key: str) -> None:
        self.desk.remove(key)
        self.sights.take_out(key)
        self.refresh()

    def _sure(self, what: str, precious: bool) -> bool:
        """Whether something may go: what a person worked on goes when that is asked for twice."""
        if not (precious and self.desk.history.edited) or self._asked == what:
            return True
        self.say(
            "Structures that you corrected would go too: download them first, or press the same "
            "button again.",
            "warning",
        )
        self._asked = what
        return False

    # ----------------------------------------------------------------------------- choices

    def on_choose(self, key: str, sequence: str | None) -> None:
        """Say which sequence an image is."""
        self.desk.choose(key, sequence)
        self.refresh()

    def on_tick(self, key: str, ticked: bool) -> None:
        """Use an image, or do not."""
        self.desk.tick(key, ticked)
        self.refresh()

    def on_tick_target(self, sequence: str, ticked: bool) -> None:
        """Make a sequence, or do not."""
        self.desk.tick_target(sequence, ticked)
        self.refresh()

    def on_tick_structure(self, name: str, ticked: bool) -> None:
        """Look for a structure, or do not."""
        wanted = [each for each in self.desk.structures() if each != name]
        self.desk.ticked_structures = (*wanted, *([name] if ticked else []))
        self.refresh()

    def on_preset(self, name: str) -> None:
        """Tick the structures of a preset."""
        if name in segment_panel.PRESETS:
            self.desk.ticked_structures = segment_panel.preset(name, self.desk.segmenter)
        self.refresh()

    def _prompt_changed(self, prompt: str | None = None, **_) -> None:
        self.desk.prompt = str(prompt or "")[:2000]
        self.refresh()

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
            result = await self._follow(
                order, lambda ready: self.sights.preview(ready, order.volumes[0])
            )
        finally:
            self.sights.discard_previews()
        keys = self.desk.take_synthesis(result, order)
        self.sights.take_in(keys)
        self.sights.show_contours()
        self.say("\n".join(panel.result_sentences(result.info)), _kind(result.info))
        self.refresh()

    def on_segment(self) -> None:
        """Find the ticked structures."""
        self.spawn(self._segment())

    async def _segment(self) -> None:
        order = self.desk.segmenting()
        reference = self.desk.used_to_segment()[0].key
        result = await self._follow(order)
        self.desk.take_segmentation(result, order)
        self.sights.show_contours(reference)
        self.say("\n".join(panel.result_sentences(result.info)), _kind(result.info))
        self.refresh()

    async def _follow(
        self, order: Order, on_slice: Callable[[SliceReady], None] | None = None
    ) -> Any:
        """Have something computed; its progress is on the page."""
        if self.busy:
            raise InputError("A computation is running; wait for it or press Cancel.")
        words = panel.ProgressText()
        self._job = self.worker.submit(order.task, dict(order.parameters), order.volumes)
        self.state.progress, self.state.progress_text = -1, "Starting ..."
        self.say("")
        self.refresh()
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
            self.refresh()

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
        if self.busy:
            self.state.progress_text = "Stopping ..."
            self._job.cancel()

    # ------------------------------------------------------------------------- corrections

    def pressed(self, view: str, point: tuple[float, float, float], shift: bool) -> bool:
        """A left click in a slice view; whether it was a correction."""
        if not self.state.correcting or self.desk.segmentation is None:
            return False
        if self.busy:
            self.say("A computation is running; click again when it has ended.")
            self.state.flush()
        elif not self.sights.of_their_patient()[view]:
            self.say("This view has another patient's image; click into one with the structures.")
            self.state.flush()
        elif not self.sights.is_shown(str(self.state.correct_structure)):
            self.say(f"{self.state.correct_structure} is hidden; show it before you correct it.")
            self.state.flush()
        else:
            adds = bool(self.state.correct_adds) != shift
            exclusive = bool(self.state.correct_exclusive)
            self.spawn(self._correct(str(self.state.correct_structure), point, adds, exclusive))
        return True

    async def _correct(
        self, structure: str, point: tuple[float, ...], adds: bool, exclusive: bool
    ) -> None:
        order = self.desk.correction(structure, point, adds)
        result = await self._follow(order)
        grown = self.desk.take_correction(result, order, exclusive)
        self.sights.redraw_contours(tuple(grown))
        self.say(segment_panel.correction_sentence(structure, grown))
        self.refresh()

    def on_undo(self) -> None:
        """Take the last correction back."""
        if self._job is None:  # or the result of a click would bring back what is undone
            self._stepped(self.desk.undo())

    def on_redo(self) -> None:
        """Take the last undo back."""
        if self._job is None:
            self._stepped(self.desk.redo())

    def _stepped(self, names: Sequence[str]) -> None:
        self.sights.redraw_contours(names)
        self.refresh()

    # -------------------------------------------------------------------------- comparison

    def _compare(self, left: str, right: str) -> None:
        if self.busy:
            self.say("A computation is running; choose the difference when it has ended.")
            self.sights.back_to_blend()
        elif not self._comparing:
            self._comparing = True
            self.spawn(self._compared(left, right))

    async def _compared(self, left: str, right: str) -> None:
        """Numbers, and where two images differ."""
        drawn = self.desk.segmentation
        try:
            result = await self._follow(self.desk.comparison(left, right))
        except BaseException:
            self.sights.back_to_blend()  # or a blend would be taken for the difference
            raise
        finally:
            self._comparing = False
        self.say("\n".join(result.info.get("warnings", ())), _kind(result.info))
        figures = tables.figures(result.info)
        self.sights.take_difference(left, right, drawn, result["difference"], figures)

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
        self.server.js_call("downloads", "exec", link)


def _kind(info: Any) -> str:
    return "warning" if info.get("warnings") else "info"
