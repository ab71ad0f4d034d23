"""A real and a synthetic volume together: ways to look at them, numbers, a line profile."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib.review import modes

from .leftovers import Leftovers
from .node_watch import NodeWatch
from .review_numbers import ReviewNumbers
from .section import Section

CHOOSE_TWO = _("Choose a real and a synthetic volume first.")
BLINDED = _("A reader study goes on: pause or end it before you look at real and synthetic images.")


class ReviewSection(Section):
    """Section "Review"; ``display`` shows the pair once a way of looking was chosen."""

    uiName = "MRISynthReview"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.display = None
        self._profile = None
        self._shown = None
        self._regions = NodeWatch(self.panel.scheduleRefresh)
        self._leftovers = Leftovers()
        self._real = ""
        self._followed: dict = {}
        self._differenceWanted = False
        self._buttons = {
            modes.SIDE_BY_SIDE: (
                self.ui.sideBySideButton,
                _("Both in views of their own, linked in place, magnification and window."),
            ),
            modes.BLEND: (
                self.ui.blendButton,
                _("The synthetic volume over the real one, as clear as you like."),
            ),
            modes.FLICKER: (self.ui.flickerButton, _("Both in turn in one view.")),
            modes.CHECKERBOARD: (
                self.ui.checkerboardButton,
                _("Fields of both in turn; drag the view to see edges go on or break."),
            ),
            modes.DIFFERENCE: (
                self.ui.differenceButton,
                _("Absolute difference of brightness, from 0 to 0.2, beside both."),
            ),
            modes.UNCERTAINTY: (
                self.ui.uncertaintyButton,
                _("How far off the model expects to be, in colours over the synthetic volume."),
            ),
        }
        for mode, (button, _tip) in self._buttons.items():
            button.connect("clicked(bool)", lambda _on, mode=mode: self.onMode(mode))
        self.ui.profileButton.connect("clicked(bool)", self.onProfileButton)
        self.ui.compareButton.connect("clicked(bool)", self.onCompareButton)
        self.numbers = ReviewNumbers(self, self._onDifference)
        self._flicker = qt.QTimer()
        self._flicker.connect("timeout()", self._turnOver)

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self._letGo()
        self._leftovers.forget()
        self.numbers.forget()
        self._real = ""

    def onPanelLeft(self) -> None:
        """See :class:`Section`."""
        self._flicker.stop()
        self._followed.pop(self._setFlicker.__name__, None)  # it goes on when the user is back
        self._regions.release()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self._letGo()
        self._leftovers.release()

    def _letGo(self) -> None:
        """Follow nothing in the scene any more, and await nothing for it."""
        self._regions.release()
        self.numbers.abandon()
        self._endShowing()

    def _endShowing(self) -> None:
        """The pair is not looked at any more."""
        self._flicker.stop()
        self._dropProfile()
        if self.display is not None:
            self.display.release()
        self.display, self._shown = None, None

    def _dropProfile(self) -> None:
        if self._profile is not None:
            self._profile.release()
        self._profile = None

    # --------------------------------------------------------------------------- showing

    @property
    def mode(self) -> str | None:
        """How the pair is shown at present, None before the first choice."""
        return self.display.mode if self.display is not None else None

    def refresh(self, parameters) -> None:
        """Show what can be chosen, and let the views follow what was changed."""
        self._choosePair(parameters)
        real, synthetic = parameters.realVolume, parameters.syntheticVolume
        problem = self._problem(real, synthetic)
        if problem and self.mode:
            self._letGo()
        elif self.mode and not self.panel.study.asking:
            self._showWhatIsAsked(parameters)
        self._unpressProfile(parameters)
        self._showButtons(synthetic, problem)
        self.ui.opacityRow.setVisible(self.mode in (modes.BLEND, modes.UNCERTAINTY))
        self.ui.flickerRow.setVisible(self.mode == modes.FLICKER)
        self.ui.tileRow.setVisible(self.mode == modes.CHECKERBOARD)
        self._follow(parameters)
        self._regions.watch([parameters.reviewSegmentation])
        # that something is yet to be chosen needs no warning
        self.numbers.show(parameters, problem, warn=problem != CHOOSE_TWO)

    def _showWhatIsAsked(self, parameters) -> None:
        """Show the pair anew if something else is asked for; no more if the views show others."""
        if not self.display.is_shown:
            self._endShowing()
        elif self._shown != self._asked(self.mode, parameters):
            pair = parameters.realVolume, parameters.syntheticVolume
            possible = self._mapThere(self.mode, *pair)
            self._show(self.mode if possible else modes.SIDE_BY_SIDE, parameters)

    def _unpressProfile(self, parameters) -> None:
        """No plot follows the line while no pair is shown, as in a scene that was loaded."""
        if parameters.reviewProfile and self._shown is None:
            from MRISynthLib.review.plot.mrml import hide_line

            parameters.reviewProfile = False
            hide_line(slicer.mrmlScene)

    def _problem(self, real, synthetic) -> str:
        """Why the two are no pair; empty if they are."""
        if not (real and synthetic) or real is synthetic:
            return CHOOSE_TWO
        from MRISynthLib.review.pairing import of_two_patients

        images = {row.key: row for row in self.logic.inputs.rows()}
        for node in (real, synthetic):
            if node.GetID() in images and images[node.GetID()].problem:
                return images[node.GetID()].problem
        maps = [node.GetName() for node in (real, synthetic) if node.GetID() not in images]
        if maps:
            return _("{name} is no image; choose another one.").format(name=maps[0])
        if of_two_patients(images[real.GetID()], images[synthetic.GetID()]):
            text = _(
                "'{one}' is of another patient than '{other}'; choose two images of one patient."
            )
            return text.format(one=synthetic.GetName(), other=real.GetName())
        if images[real.GetID()].synthetic and not images[synthetic.GetID()].synthetic:
            text = _("'{real}' is real and '{made}' is synthetic; choose them the other way round.")
            return text.format(real=synthetic.GetName(), made=real.GetName())
        return ""

    def _choosePair(self, parameters) -> None:
        """The newest synthetic volume, and once for each the real one of its sequence; again when
        the real one was deleted."""
        from MRISynthLib.review.pairing import real_of

        rows = self.logic.inputs.rows()
        made = [row for row in rows if row.synthetic]
        if parameters.syntheticVolume is None and made:
            parameters.syntheticVolume = slicer.mrmlScene.GetNodeByID(made[-1].key)
        synthetic = parameters.syntheticVolume
        key = synthetic.GetID() if synthetic else ""
        row = next((row for row in made if row.key == key), None)
        if parameters.realVolume is not None:
            self._real = parameters.realVolume.GetID()
        gone = parameters.realVolume is None and self._real not in {row.key for row in rows}
        if row is None or (parameters.reviewPaired == key and not (self._real and gone)):
            return
        real = real_of(row, rows)
        if real is not None:  # if not, one that is loaded later is taken
            parameters.reviewPaired = key
            parameters.realVolume = slicer.mrmlScene.GetNodeByID(real.key)

    def _showButtons(self, synthetic, problem: str) -> None:
        blinded = BLINDED if self.panel.study.asking else ""
        for mode, (button, tip) in self._buttons.items():
            missing = problem or blinded
            if (
                not missing
                and mode == modes.UNCERTAINTY
                and not self._mapThere(mode, None, synthetic)
            ):
                missing = _("No uncertainty was kept with this volume; see Options.")
            button.enabled = not missing
            button.toolTip = missing or tip
            button.checked = mode == self.mode
        self.ui.profileButton.enabled = not (problem or blinded)

    @staticmethod
    def _mapThere(mode: str, real, synthetic) -> bool:
        """Whether the scene has the map that a way of looking needs, if it needs one."""
        from MRISynthLib.review.mrml import derived_node, uncertainty_of

        if mode == modes.DIFFERENCE:
            return derived_node("difference", real, synthetic) is not None
        return mode != modes.UNCERTAINTY or uncertainty_of(synthetic) is not None

    def onMode(self, mode: str) -> None:
        """The user chose how to look at the pair."""
        parameters = self.logic.getParameterNode()
        self.panel.forgetError()
        with self.panel.showingErrors():
            if mode == modes.DIFFERENCE and not self.numbers.found(parameters)[1]:
                self._differenceWanted = True
                if not self.numbers.running:
                    self.numbers.compare()
            else:
                self._show(mode, parameters)
        self.panel.scheduleRefresh()

    def onProfileButton(self, shown: bool) -> None:
        """The user wants the plot, or not any more; it needs views to lie below."""
        if shown and not self.mode:
            self.onMode(modes.SIDE_BY_SIDE)

    def _asked(self, mode: str, parameters) -> tuple:
        """What the views depend on, to notice what was changed."""
        nodes = parameters.realVolume, parameters.syntheticVolume
        made = mode in (modes.CHECKERBOARD, modes.UNCERTAINTY)  # does not move with the images
        rows = {row.key: row for row in self.logic.inputs.rows()} if made else {}
        return (
            *(self.logic.inputs.state(rows[node.GetID()]) for node in nodes if made),
            *(node.GetID() if node else "" for node in nodes),
            parameters.reviewOrientation,
            parameters.reviewProfile,
            parameters.reviewTileMm,
        )

    def _show(self, mode: str, parameters) -> None:
        from MRISynthLib.review.mrml import ReviewDisplay
        from MRISynthLib.review.plot.mrml import ProfilePlot

        real, synthetic = parameters.realVolume, parameters.syntheticVolume
        self._shown = self._asked(mode, parameters)  # also if it fails: not to fail again and again
        self._flicker.stop()
        if self.display is None:
            self.display = ReviewDisplay()
        self._dropProfile()
        with slicer.util.WaitCursor():
            self.display.show(
                mode,
                real,
                synthetic,
                orientation=parameters.reviewOrientation,
                plot=parameters.reviewProfile,
                opacity=parameters.reviewOpacity,
                tile_mm=parameters.reviewTileMm,
            )
        if parameters.reviewProfile:
            self._profile = ProfilePlot(real, synthetic, self.display.views[0])
        self._followed = {}

    def choosePair(self, real, synthetic) -> None:
        """What a run made is to be looked at; beside ``real`` unless a scan of the sequence is
        there."""
        parameters = self.logic.getParameterNode()
        parameters.syntheticVolume = synthetic
        if real is not None:
            parameters.realVolume = real
        parameters.reviewPaired = ""  # a refresh may have paired it as it came into the scene
        self._choosePair(parameters)

    def showPair(self, real, synthetic) -> None:
        """Real beside synthetic, as :meth:`choosePair` chooses them."""
        self.choosePair(real, synthetic)
        parameters = self.logic.getParameterNode()
        self.widget.collapsed = False
        if parameters.realVolume is not None:
            self.onMode(modes.SIDE_BY_SIDE)

    def _follow(self, parameters) -> None:
        """Let what needs no new views follow its controls."""
        if not self.mode:
            return
        # While a run shows what it has, the pair waits under it.
        ours = self.display.overlay_is_shown
        self.ui.opacityRow.enabled = self.ui.flickerRow.enabled = ours
        # Only what was changed here: Slicer's own controls of the views are free.
        if self.mode in (modes.BLEND, modes.UNCERTAINTY) and ours:
            self._apply(self.display.set_opacity, parameters.reviewOpacity)
        if self.mode == modes.FLICKER:
            self._apply(self._setFlicker, parameters.reviewFlickerRate)
        self._apply(self.display.set_crosshair, parameters.reviewCrosshair)

    def _apply(self, function: Callable, value) -> None:
        if self._followed.get(function.__name__) != value:
            self._followed[function.__name__] = value
            function(value)

    def _setFlicker(self, rate: float) -> None:
        self._flicker.setInterval(round(1000 / max(rate, 0.1)))
        self._flicker.start()

    def _turnOver(self) -> None:
        if self.mode == modes.FLICKER:
            self.display.turn_over()
        else:
            self._flicker.stop()

    # ---------------------------------------------------------------------------- numbers

    def onCompareButton(self) -> None:
        """Compare the pair, or stop that."""
        if self.numbers.running:
            self.numbers.comparing.cancel()
            return
        self._differenceWanted = False
        self.panel.forgetError()
        with self.panel.showingErrors():
            self.numbers.compare()
        self.panel.scheduleRefresh()

    def _onDifference(self, real, synthetic) -> None:
        """If it is what is looked at; not if another pair was chosen meanwhile."""
        parameters = self.logic.getParameterNode()
        chosen = (parameters.realVolume, parameters.syntheticVolume) == (real, synthetic)
        wanted = self._differenceWanted or self.mode == modes.DIFFERENCE
        if chosen and wanted and self.panel.mayArrange:
            self._show(modes.DIFFERENCE, parameters)
        self._differenceWanted = False
