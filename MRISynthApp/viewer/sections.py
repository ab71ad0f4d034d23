"""The parts of the page's panel, from top to bottom."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from MRISynthLib.review import modes
from MRISynthSegmentLib.panel import PRESETS

MODE_WORDS = {
    "blend": ("Blend", "Fades from the left image to the right one"),
    "flicker": ("Flicker", "Left and right image in turn"),
    "checkerboard": ("Checkerboard", "Fields of both images in turn"),
    "difference": ("Difference", "Where a synthetic image differs from the real one"),
    "uncertainty": ("Uncertainty", "Where the network doubts itself, over the right image"),
}


def notes() -> None:
    """Messages and progress: what must be seen whatever the panel shows."""
    v3.VAlert(
        "{{ message }}",
        v_if=("message",),
        type=("message_kind",),
        density="compact",
        variant="tonal",
        closable=True,
        click_close="message = ''",
        classes="ma-2 mrs-message",
        id="message",
    )
    with html.Div(v_if=("running",), classes="px-4 py-2", id="running"):
        html.Div("{{ progress_text }}", classes="text-body-2 mb-1", id="progress-text")
        v3.VProgressLinear(
            model_value=("progress",), indeterminate=("progress < 0",), height=8, rounded=True
        )
        v3.VBtn(
            "Cancel",
            click="trigger('cancel')",
            block=True,
            variant="outlined",
            classes="mt-2",
            prepend_icon="mdi-close",
            id="cancel",
        )
    with html.Div(v_if=("uploading",), classes="px-4 py-2", id="uploading"):
        html.Div("{{ uploading }}", classes="text-body-2 mb-1")
        v3.VProgressLinear(indeterminate=True, height=8, rounded=True)


def _section(value: str, title: str) -> v3.VExpansionPanelText:
    panel = v3.VExpansionPanel(value=value)
    with panel:
        v3.VExpansionPanelTitle(title, classes="mrs-section")
        text = v3.VExpansionPanelText()
    return text


def images() -> None:
    """Bringing images in, and what each is."""
    with _section("images", "1  Images"):
        with html.Div(classes="d-flex ga-2 mb-2"):
            v3.VBtn(
                "Files",
                click="window.mrisynth.choose(false)",
                prepend_icon="mdi-file-plus-outline",
                variant="tonal",
                classes="flex-grow-1",
                id="choose-files",
            )
            v3.VBtn(
                "Folder",
                click="window.mrisynth.choose(true)",
                prepend_icon="mdi-folder-plus-outline",
                variant="tonal",
                classes="flex-grow-1",
                id="choose-folder",
            )
        with html.Div(classes="d-flex ga-2 mb-2"):
            v3.VBtn(
                "Simulated patient",
                click="trigger('simulated')",
                disabled=("loading || running",),
                prepend_icon="mdi-account-outline",
                variant="tonal",
                classes="flex-grow-1",
                id="simulated",
            )
            v3.VBtn(
                "Start anew",
                v_if=("images.length",),
                click="trigger('start_anew')",
                disabled=("loading || running",),
                title="Removes all images and structures, as before the next patient",
                variant="tonal",
                id="start-anew",
            )
        with html.Div(
            v_for="row in images",
            key=("row.key",),
            classes="mrs-row",
        ):
            v3.VCheckboxBtn(
                model_value=("row.ticked",),
                update_modelValue="trigger('tick', [row.key, $event])",
                density="compact",
                classes="mrs-tick",
                aria_label=("'Use ' + row.name",),
            )
            with html.Div(classes="mrs-name", title=("row.name + '. ' + row.reason",)):
                html.Div("{{ row.name }}", classes="text-body-2 text-truncate")
                html.Div(
                    "{{ row.synthetic ? 'SYNTHETIC' : row.recognised }}",
                    classes=("row.synthetic ? 'text-caption text-warning' : 'text-caption'",),
                )
            v3.VSelect(
                model_value=("row.sequence",),
                update_modelValue="trigger('choose', [row.key, $event])",
                items=("sequence_names",),
                density="compact",
                variant="outlined",
                hide_details=True,
                placeholder="?",
                classes="mrs-sequence",
                aria_label=("'Sequence of ' + row.name",),
            )
            v3.VBtn(
                icon="mdi-close",
                size="x-small",
                variant="text",
                click="trigger('remove', [row.key])",
                disabled=("running",),
                aria_label=("'Remove ' + row.name",),
            )
        html.Div(
            "{{ images_remark }}",
            v_if=("images_remark",),
            classes="text-caption text-warning",
            id="images-remark",
        )


def make() -> None:
    """What to make, and Apply."""
    with _section("make", "2  Make sequences"):
        with html.Div(classes="mrs-targets"):
            v3.VCheckbox(
                v_for="row in targets",
                key=("row.sequence",),
                label=("row.sequence",),
                model_value=("row.ticked",),
                update_modelValue="trigger('tick_target', [row.sequence, $event])",
                disabled=("!!row.problem",),
                title=("row.description",),
                density="compact",
                hide_details=True,
            )
        v3.VTextarea(
            v_model=("prompt",),
            label="In words, if you like",
            placeholder="fat-suppressed, 3T, TR 620 TE 10",
            rows=2,
            auto_grow=True,
            density="compact",
            variant="outlined",
            hide_details=True,
            classes="my-2",
            id="prompt",
        )
        html.Div(
            "Understood as: {{ understood }}",
            v_if=("understood && !understood_problem",),
            classes="text-body-2 mb-2",
            id="understood",
        )
        html.Div(
            "{{ understood_problem }}",
            v_if=("understood_problem",),
            classes="text-body-2 text-error mb-2",
            id="not-understood",
        )
        _apply("apply", "Apply", "apply_reason")


def _apply(name: str, words: str, reason: str) -> None:
    v3.VBtn(
        words,
        click=f"trigger('{name}')",
        disabled=(f"!!{reason} || loading",),
        color="primary",
        block=True,
        id=name,
    )
    html.Div(
        f"{{{{ {reason} }}}}", v_if=(reason,), classes="text-caption mt-1", id=f"{name}-reason"
    )


def structures() -> None:
    """What to look for."""
    with _section("structures", "3  Find structures"):
        with html.Div(classes="d-flex flex-wrap ga-1 mb-1"):
            for name in PRESETS:
                v3.VBtn(name, click=f"trigger('preset', ['{name}'])", size="small", variant="tonal")
        with html.Div(classes="mrs-structures"), html.Div(v_for="group in groups"):
            html.Div("{{ group.title }}", classes="text-caption mt-1")
            with html.Div(
                v_for="each in group.members", key=("each.name",), classes="mrs-structure"
            ):
                v3.VCheckboxBtn(
                    model_value=("each.ticked",),
                    update_modelValue="trigger('tick_structure', [each.name, $event])",
                    density="compact",
                    label=("each.label",),
                    title=("each.tip",),
                )
                html.Span(classes="mrs-swatch", style=("{ background: each.colour }",))
        _apply("segment", "Find {{ ticked_count }} structures", "segment_reason")


def results() -> None:
    """Combining two images, the structures that were found, and corrections."""
    with _section("results", "4  Look, measure, correct"):
        with v3.VBtnToggle(
            v_model=("mode",),
            mandatory=True,
            density="compact",
            variant="outlined",
            divided=True,
            classes="mrs-modes mb-1",
        ):
            for name, (title, words) in MODE_WORDS.items():
                v3.VBtn(
                    title,
                    value=name,
                    size="small",
                    title=(f"mode_reasons.{name} || '{words}'",),
                    disabled=(f"!!mode_reasons.{name}",),
                    id=f"mode-{name}",
                )
        html.Div(
            "The combined view shows this (1, 3 or 4 views).",
            v_if=("layout === '2'",),
            classes="text-caption",
        )
        with html.Div(v_if=("mode === 'flicker'",), id="flicker"):
            _slider(
                "flicker_rate",
                "Changes a second; faster flashes could cause seizures",
                0.5,
                modes.FLICKER_RATES,
            )
            v3.VBtn(
                "{{ flickering ? 'Stop' : 'Go on' }}",
                click="flickering = !flickering",
                prepend_icon=("flickering ? 'mdi-pause' : 'mdi-play'",),
                size="small",
                variant="tonal",
                id="flickering",
            )
            html.Span("{{ flicker_rate }} a second", classes="text-caption ml-2")
        with html.Div(v_if=("mode !== 'flicker'",)):
            _slider("opacity", "Left to right image, or opacity of the map", 0.01)
        _profile()
        with html.Div(v_if=("figures.length",), id="figures"):
            with v3.VTable(density="compact"):
                with html.Thead(), html.Tr():
                    for title in ("Region", "MAE", "PSNR dB", "SSIM"):
                        html.Th(title)
                with html.Tbody(), html.Tr(v_for="row in figures", key=("row.region",)):
                    for field in ("region", "mae", "psnr", "ssim"):
                        html.Td(f"{{{{ row.{field} }}}}")
            html.Div(
                "Right (synthetic) against left (real) image, brightness from 0 to 1.",
                classes="text-caption",
            )
        html.Div(
            "Images or structures have changed: choose the difference again for its numbers.",
            v_if=("mode === 'difference' && !figures.length && !running",),
            classes="text-caption",
            id="figures-over",
        )
        with html.Div(v_if=("results.length",), id="results"):
            v3.VDivider(classes="my-2")
            _slider("fill", "Fill of the structures", 0.05)
            with html.Div(classes="d-flex"):
                v3.VCheckboxBtn(
                    v_model=("outline",), label="Outlines", density="compact", id="outline"
                )
                v3.VCheckboxBtn(
                    v_model=("contours_shown",), label="Structures (G)", density="compact"
                )
            with (
                html.Div(classes="mrs-results"),
                html.Div(v_for="row in results", key=("row.name",), classes="mrs-result"),
            ):
                v3.VCheckboxBtn(
                    model_value=("row.shown",),
                    update_modelValue="trigger('show_structure', [row.name, $event])",
                    density="compact",
                    classes="mrs-tick",
                    aria_label=("'Show ' + row.label",),
                )
                html.Span(classes="mrs-swatch", style=("{ background: row.colour }",))
                html.Button(
                    "{{ row.label }}",
                    click="trigger('go_to', [row.name])",
                    classes="text-body-2 mrs-link flex-grow-1",
                    title="Show its middle",
                    type="button",
                )
                html.Span("{{ row.volume }}", classes="text-caption")
                html.Span("{{ row.doubt }}", v_if=("row.doubt",), classes="text-caption mrs-doubt")
            _corrections()


def _corrections() -> None:
    v3.VDivider(classes="my-2")
    v3.VSwitch(
        v_model=("correcting",),
        label="Correct by clicks",
        disabled=("!!correct_reason",),
        density="compact",
        hide_details=True,
        color="primary",
        id="correcting",
    )
    html.Div("{{ correct_reason }}", v_if=("correct_reason",), classes="text-caption")
    with html.Div(v_if=("correcting",)):
        v3.VSelect(
            v_model=("correct_structure",),
            items=("results.map(row => ({ title: row.label, value: row.name }))",),
            label="Structure",
            density="compact",
            variant="outlined",
            hide_details=True,
            classes="my-1",
        )
        with v3.VBtnToggle(
            v_model=("correct_adds",),
            mandatory=True,
            density="compact",
            variant="outlined",
            divided=True,
        ):
            v3.VBtn("Belongs to it", value=(True,), size="small", prepend_icon="mdi-plus")
            v3.VBtn("Does not", value=(False,), size="small", prepend_icon="mdi-minus")
        v3.VCheckbox(
            v_model=("correct_exclusive",),
            label="Take what is added away from other structures",
            title="Otherwise no other structure changes.",
            density="compact",
            hide_details=True,
            id="correct-exclusive",
        )
        html.Div(
            "Click into a view where the contour is wrong; with Shift the other way round.",
            classes="text-caption",
        )
    with html.Div(classes="d-flex ga-2 mt-1"):
        for name, title, icon in (("undo", "Undo", "mdi-undo"), ("redo", "Redo", "mdi-redo")):
            v3.VBtn(
                title,
                click=f"trigger('{name}')",
                disabled=(f"!can_{name} || running",),
                prepend_icon=icon,
                size="small",
                variant="tonal",
                id=name,
            )


def _profile() -> None:
    """A line across both images, and their brightness along it."""
    with html.Div(classes="d-flex align-center"):
        v3.VSwitch(
            v_model=("profile",),
            label="Line profile",
            disabled=("!!mode_reasons.blend",),
            title=("mode_reasons.blend || 'Brightness of both images along a line'",),
            density="compact",
            hide_details=True,
            color="primary",
            id="profile",
        )
        v3.VSpacer()
        v3.VBtn(
            "Draw it here",
            v_if=("profile",),
            click="trigger('draw_line')",
            size="small",
            variant="tonal",
            title="Across the middle of the left view's slice",
            id="draw-line",
        )
    with html.Div(v_if=("profile",)):
        html.Div(v_html=("profile_plot",), id="profile-plot")
        html.Div("Drag the ends of the line in a view.", classes="text-caption")


def _slider(name: str, label: str, step: float, ends: tuple[float, float] = (0, 1)) -> None:
    html.Div(label, classes="text-caption mt-1")
    v3.VSlider(
        v_model=(name,),
        min=ends[0],
        max=ends[1],
        step=step,
        density="compact",
        hide_details=True,
        aria_label=label,
        id=name,
    )


def downloads() -> None:
    """What can be taken away."""
    with (
        _section("downloads", "5  Download"),
        html.Div(v_for="each in downloads", key=("each.kind",), title=("each.reason",)),
    ):
        v3.VBtn(
            "{{ each.title }}",
            click="trigger('download', [each.kind])",
            disabled=("!!each.reason || running || !!preparing",),
            loading=("preparing === each.kind",),
            prepend_icon="mdi-download-outline",
            variant="tonal",
            block=True,
            classes="mrs-download mb-1",
            id=("'download-' + each.kind",),
        )
        html.Div(
            "{{ each.reason }}",
            v_if=("each.reason && each.kind === 'rtstruct' && results.length",),
            classes="text-caption mb-1",
        )
