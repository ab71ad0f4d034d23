"""What the MRISynthSegment panel decides, apart from any window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from MRISynthLib.panel import InputRow, input_problem
from MRISynthLib.panel import card_html as general_card
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.review.pairing import of_two_patients, of_two_studies

from .structures import STRUCTURES, Structure

if TYPE_CHECKING:
    from .click_maps import Click
    from .segmentation import Segmentation

SEGMENTATION_TASK = "segmentation"
"""The worker's name for what :func:`segmentation_parameters` asks for."""

STUDY_TASK = "segmentation study"
"""The worker's name for checking the inputs together and preparing them for delineation."""

TARGET_GROUP = "Targets"
"""Heading of tumour volumes; organs stand under their region."""

PRESETS: tuple[str, ...] = ("All", "Targets", "Organs at risk", "None")
"""What the preset buttons tick."""

MEAN_OF_ORGANS = "mean of organs"
"""Key of a figure in a bundle's metadata."""

NOT_MEASURED = "To measure it, make a binary labelmap of it in the Segmentations module."

MUCH_DOUBT = 0.3
"""With this doubt a Dice below 0.7 is expected."""

REFINEMENT_TASK = "refinement"
"""The worker's name for what :func:`refinement_parameters` asks for."""

COMPARISON_TASK, CONTOURS_TASK = "contour_comparison", "contours"
"""The worker's names for measuring two segmentations, and for reading one from a file."""

FIRST_COLOUR, SECOND_COLOUR = (0.90, 0.62, 0.0), (0.34, 0.71, 0.91)
"""Of the outlines of two segmentations that are compared: orange and sky blue, which colour-blind
people tell apart too."""


class Model(Protocol):
    """What the panel needs to know of a model; :class:`MRISynthLib.bundles.Bundle` has it."""

    name: str
    version: str
    sequences_in: tuple[str, ...]
    structures: tuple[str, ...]
    metadata: Mapping[str, Any]


def groups(model: Model | None) -> tuple[tuple[str, tuple[Structure, ...]], ...]:
    """(heading, structures) that the model can delineate, targets first."""
    found: dict[str, list[Structure]] = {TARGET_GROUP: []}
    for name, structure in STRUCTURES.items():
        if model is not None and name in model.structures:
            heading = TARGET_GROUP if structure.is_target else structure.region
            found.setdefault(heading, []).append(structure)
    return tuple((heading, tuple(members)) for heading, members in found.items() if members)


def preset(name: str, model: Model | None) -> tuple[str, ...]:
    """Names of the structures that a preset ticks.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {PRESETS}")
    structures = [structure for _, members in groups(model) for structure in members]
    wanted = {
        "All": structures,
        "Targets": [structure for structure in structures if structure.is_target],
        "Organs at risk": [structure for structure in structures if not structure.is_target],
        "None": [],
    }[name]
    return tuple(structure.name for structure in wanted)


def ticked_structures(ticked: Iterable[str] | None, model: Model | None) -> tuple[str, ...]:
    """The structures to look for, in display order; until the user has touched the list, all that
    the model finds well."""
    everything = preset("All", model)
    if ticked is None:
        weak = weak_in(model)
        return tuple(name for name in everything if name not in weak)
    wanted = set(ticked)
    return tuple(name for name in everything if name in wanted)


def weak_in(model: Model | None) -> dict[str, float | None]:
    """Structures that the model finds poorly -> Dice, None where none was measured."""
    return {} if model is None else dict(getattr(model, "weak", {}))


def structure_tip(structure: Structure, model: Model | None) -> str:
    """What is said of a structure in a list: its TG-263 name, and whether it is found poorly."""
    weak = weak_in(model)
    if structure.name not in weak:
        return structure.name
    dice = weak[structure.name]
    if dice is None:
        return f"{structure.name}: how well this model finds it was not measured"
    return f"{structure.name}: this model finds it poorly (Dice {dice:.2f})"


def structure_text(structure: Structure, model: Model | None) -> str:
    """A structure's line in a list."""
    return f"{structure.label} (weak)" if structure.name in weak_in(model) else structure.label


def card_html(model: Model) -> str:
    """What a user must know of a model before using it, as simple HTML."""
    quality = _quality_in_words(model.metadata.get("quality"))
    metadata = {**model.metadata, "quality": quality}
    return general_card(SimpleNamespace(name=model.name, version=model.version, metadata=metadata))


def _quality_in_words(quality: Any) -> str:
    """Dice of tumour and organs for each group of patients and set of inputs."""
    if not isinstance(quality, Mapping):
        return str(quality or "")
    groups = []
    for group, measured in quality.items():
        figures = measured.get("figures") if isinstance(measured, Mapping) else None
        each = [
            f"{inputs}: {words}"
            for inputs, found in (figures or {}).items()
            if (words := _dice_in_words(found))
        ]
        if each:
            groups.append(f"{group} ({measured.get('cases', '?')}): {'; '.join(each)}.")
    return " ".join(groups)


def _dice_in_words(found: Any) -> str:
    keys = {"GTVp": "GTVp", MEAN_OF_ORGANS: "organs"}
    values = found if isinstance(found, Mapping) else {}
    words = [
        f"{label} {float(values[key]):.2f}"
        for key, label in keys.items()
        if isinstance(values.get(key), int | float)
    ]
    return f"Dice {', '.join(words)}" if words else ""


def structures_like(text: str, model: Model | None) -> set[str]:
    """Names of the structures with all words of ``text`` in label, name or group."""
    words = text.casefold().split()
    return {
        structure.name
        for heading, structures in groups(model)
        for structure in structures
        if all(word in f"{structure.label} {structure.name} {heading}".casefold() for word in words)
    }


def label_of(name: str) -> str:
    """What a structure is called in the panel."""
    return STRUCTURES[name].label if name in STRUCTURES else name


def inputs_in_words(used: Iterable[InputRow]) -> str:
    """The sequences that are used, synthetic ones marked."""
    return ", ".join(
        f"{SYNTHETIC_MARK} {row.sequence}" if row.synthetic else str(row.sequence) for row in used
    )


def segmentation_name(used: Iterable[InputRow]) -> str:
    """What a new segmentation is called: after the sequences on which it is drawn."""
    return f"Contours on {inputs_in_words(used)}"


def why_disabled(
    rows: Sequence[InputRow],
    used: Sequence[InputRow],
    structures: Sequence[str],
    model: Model | None,
    *,
    running: bool = False,
    found: str = "",
) -> str:
    """Why Apply cannot be pressed, for its tooltip; empty if it can.

    ``found`` is what the checks found to be in the way.
    """
    if running:
        return "A computation is running; wait for it or press Cancel."
    problem = input_problem(rows, used, model) or found
    return problem or ("" if structures else "Tick at least one structure to look for.")


def of_another_examination(
    drawn_on: str, used: Sequence[InputRow], rows: Iterable[InputRow]
) -> str:
    """The name of the image on which contours were drawn, if ``used`` are of another patient or
    study; also if another image of its sequence is taken in its place, as with files that do not
    say whose they are. Empty if not. ``drawn_on`` is the image's key."""
    image = next((row for row in rows if row.key == drawn_on), None)
    if image is None or any(row.key == drawn_on for row in used):
        return ""
    other = any(of_two_studies(image, row) or row.sequence == image.sequence for row in used)
    return image.name if other else ""


def segmentation_parameters(
    structures: Sequence[str],
    *,
    model: str | None = None,
    device: str = "auto",
    register: bool = True,
    clean: bool = True,
    flips: bool = True,
) -> dict[str, Any]:
    """The parameters of the worker's task :data:`SEGMENTATION_TASK`."""
    return {
        "structures": list(structures),
        "bundle": model,
        "device": device,
        "register": bool(register),
        "clean": bool(clean),
        "flips": bool(flips),
    }


def refinement_parameters(
    structure: str,
    clicks: Sequence[Click],
    *,
    model: str | None = None,
    device: str = "auto",
    register: bool = True,
) -> dict[str, Any]:
    """The parameters of the worker's task :data:`REFINEMENT_TASK`; ``clicks`` are all on the
    structure, the new one last. Its volumes are the inputs and the mask so far."""
    from .corrections import clicks_to_plain  # numpy is not needed to load the module

    return {
        "structure": structure,
        "clicks": clicks_to_plain(clicks),
        "bundle": model,
        "device": device,
        "register": bool(register),
    }


@dataclass(frozen=True)
class ResultRow:
    """One line of the table of results.

    Attributes
    ----------
    millilitres:
        None for "not found".
    doubt:
        0 is sure, 1 is not; None for what a user drew or edited.
    segment_id, colour, shown:
        Its segment in the scene, if there is one.
    edited:
        Whether a user drew or edited it.
    measured:
        Whether its volume is known; not that of contours or surfaces without a label map.
    """

    name: str
    label: str
    millilitres: float | None
    doubt: float | None = None
    segment_id: str = ""
    colour: tuple[float, float, float] = (0.6, 0.6, 0.6)
    edited: bool = False
    shown: bool = True
    measured: bool = True

    def volume_text(self) -> str:
        """Text of the volume's cell."""
        return volume_in_words(self.millilitres) if self.measured else "not measured"

    def doubt_text(self) -> str:
        """Text of the doubt's cell: a word and the figure."""
        if self.edited:
            return "edited by hand"
        if self.doubt is None:
            return ""
        return f"{doubt_level(self.doubt).word}, {100 * self.doubt:.0f} %"

    def doubt_colour(self) -> str:
        """Colour of that text, ``#rrggbb``; empty for the usual one."""
        return "" if self.edited or self.doubt is None else doubt_level(self.doubt).colour

    def meaning(self) -> str:
        """What its name means, with its code, and how it can be measured: for a tooltip."""
        return self._meaning() + ("" if self.measured else f" {NOT_MEASURED}")

    def _meaning(self) -> str:
        structure = STRUCTURES.get(self.name)
        if structure is None:
            return f"{self.name}: no known structure; it keeps its name."
        _, value, meaning = structure.type
        side = f", {structure.modifier[2]}" if structure.modifier else ""
        return f"{self.name}: {structure.label}. SNOMED CT {value} ({meaning}{side})."


class DoubtLevel(NamedTuple):
    """What a doubt amounts to: up to ``limit``, in a word, in a colour (``#rrggbb``)."""

    limit: float
    word: str
    colour: str


DOUBT_LEVELS = (
    DoubtLevel(0.15, "sure", "#2e7d32"),
    DoubtLevel(MUCH_DOUBT, "fairly sure", "#9a6700"),
    DoubtLevel(1.0, "check", "#c62828"),
)


def doubt_level(doubt: float) -> DoubtLevel:
    """The level of a doubt between 0 and 1."""
    return next((level for level in DOUBT_LEVELS if doubt < level.limit), DOUBT_LEVELS[-1])


def volume_in_words(millilitres: float | None) -> str:
    """``"12.3 ml"``; a small structure is not nothing, and None or 0 is one that was not found."""
    if not millilitres:
        return "not found"
    text = f"{millilitres:.1f} ml"
    return "< 0.1 ml" if text == "0.0 ml" else text


def doubt_in_words(doubt: float) -> str:
    """``"12 %"``, and that it should be looked at where that is much."""
    return f"{100 * doubt:.0f} %" + (", check" if doubt >= MUCH_DOUBT else "")


def result_rows(segmentation: Segmentation) -> tuple[ResultRow, ...]:
    """The table of volumes, in display order; structures drawn by hand come last."""
    known = [name for name in STRUCTURES if name in segmentation.masks]
    others = [name for name in segmentation.masks if name not in STRUCTURES]
    rows = []
    for name in (*known, *others):
        label = STRUCTURES[name].label if name in STRUCTURES else name
        found = bool(segmentation.masks[name].any())
        volume = segmentation.volume_ml(name) if found else None
        rows.append(ResultRow(name, label, volume, segmentation.doubt.get(name)))
    return tuple(rows)


# --- correcting ---------------------------------------------------------------------------


def why_no_clicks(
    has_segmentation: bool,
    model: Model | None,
    used: Sequence[InputRow],
    *,
    running: bool = False,
) -> str:
    """Why no click can correct anything; empty if it can."""
    if running:
        return "A computation is running; wait for it or press Cancel."
    if not has_segmentation:
        return "Choose the segmentation to correct under Result, or press Apply first."
    problem = input_problem(used, used, model)
    if not problem and not model.metadata.get("clicks"):
        return (
            f"The model {model.name} takes no clicks; choose another one under Options, or draw in "
            "the Segment Editor."
        )
    return problem


def correctable(present: Iterable[str], model: Model | None) -> tuple[str, ...]:
    """Structures that clicks can correct: those that are there, then those that can be begun."""
    present = list(present)
    return (*present, *(name for name in preset("All", model) if name not in present))


def correction_sentence(structure: str, grown: Mapping[str, float]) -> str:
    """What a click did; ``grown`` is structure -> millilitres that it gained."""
    changed = grown.get(structure, 0.0)
    sentence = f"{label_of(structure)}: {changed:+.2f} ml."
    if not changed:
        sentence = f"{label_of(structure)}: nothing changed; it was so already."
    others = [label_of(name) for name in grown if name != structure]
    return f"{sentence} Taken from: {', '.join(others)}." if others else sentence


def kept_sentence(kept: Iterable[str]) -> str:
    """Which structures a run left as the user had drawn them; empty if none."""
    names = ", ".join(label_of(name) for name in kept)
    return f"Kept as you edited them: {names}." if names else ""


def hidden_sentence(name: str) -> str:
    """That a segmentation is shown instead of another."""
    return f"{name} is hidden, so that only these contours are seen; it is still in the scene."


# --- comparing ----------------------------------------------------------------------------


def why_no_comparison(first: Any, second: Any, *, running: bool = False) -> str:
    """Why two segmentation nodes cannot be compared; empty if they can."""
    if running:
        return "A comparison is running; wait for it or press Cancel."
    if first is None:
        return "Choose a segmentation under Result."
    if second is None:
        return "Choose another segmentation to compare with, or load one from a file."
    return "Choose two different segmentations." if first is second else ""


def of_two_patients_contours(
    names: Sequence[str], drawn_on: Sequence[str], rows: Iterable[InputRow]
) -> str:
    """One sentence if two segmentations were drawn on images that are known to be of two patients;
    empty if not. ``drawn_on`` are the images' keys."""
    by_key = {row.key: row for row in rows}
    images = [by_key[key] for key in drawn_on if key in by_key]
    if len(images) < 2 or not of_two_patients(*images):
        return ""
    return (
        f"'{names[1]}' was drawn on an image of another patient than '{names[0]}'; choose two "
        "segmentations of one patient."
    )


def comparison_sentences(info: Mapping[str, Any]) -> list[str]:
    """What must be known of a comparison: warnings, and what was not compared."""
    found = info["comparison"]
    sentences = list(found["warnings"])
    for side in ("first", "second"):
        if found[f"only_in_{side}"]:
            names = ", ".join(label_of(name) for name in found[f"only_in_{side}"])
            sentences.append(f"Only in {found[side]['name']}, not compared: {names}.")
    return sentences


def are_compared(names: Sequence[str], chosen: Sequence[str]) -> bool:
    """Whether the segmentations of these names are those whose figures a table has; two of one name
    were told apart."""
    sides = ("first", "second")
    return len(names) == 2 and all(
        now and name in (now, f"{now} ({side})")
        for name, now, side in zip(names, chosen, sides, strict=True)
    )


def compared_words(names: Sequence[str], *, current: bool) -> str:
    """Whose figures a table of a comparison has."""
    first, second = names
    if current:
        return f"{first} (first) against {second} (second):"
    return (
        f"These figures are of {first} (first) against {second} (second) as they were; compare "
        "again for what is chosen now."
    )


def legend(first: str, second: str) -> str:
    """Rich text that says which outline is whose."""
    lines = []
    for name, colour, line in (
        (first, FIRST_COLOUR, "wide"),
        (second, SECOND_COLOUR, "narrow"),
    ):
        rgb = "".join(f"{round(255 * channel):02x}" for channel in colour)
        lines.append(f'<span style="color:#{rgb}">&#9608;</span> {escape(name)} ({line})')
    return "<br>".join(lines)


def image_pair(rows: Sequence[InputRow]) -> tuple[str, str] | None:
    """Keys of a real image and of a synthetic one to see contours on: of the same sequence if
    there is such a pair, else the first real one; None without a synthetic image, or with none
    that is of the same patient and study."""
    usable = [row for row in rows if not row.problem]
    real = [row for row in usable if not row.synthetic]
    made = [row for row in usable if row.synthetic]
    pairs = [(a, b) for b in made for a in real if not of_two_studies(a, b)]
    pairs.sort(key=lambda pair: pair[0].sequence != pair[1].sequence)
    return (pairs[0][0].key, pairs[0][1].key) if pairs else None
