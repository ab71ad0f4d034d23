"""What is noted of a segment in its tags: who drew it, under which name, how it looked then."""

from __future__ import annotations

import slicer

from ..labelmaps.mrml import look_of, own_mask, tag_of
from ..origins import (
    AUTOMATIC,
    MANUAL,
    SEMIAUTOMATIC,
    Origin,
    inputs_in_words,
    origins_recorded,
)
from ..roi_names import tg263_name
from ..segmentation import Segmentation
from ..structure_record import (
    DOUBT_TAG,
    DRAWN_TAG,
    INPUTS_TAG,
    ORIGIN_TAG,
    name_when_drawn,
    origin_from,
    origin_text,
    same_look,
)
from ..structures import STRUCTURES
from ..terminology import TAG, terminology_tag

MEANT_TAG = "MRISynth.Meant"
"""Segment tag with the name by which its terminology was chosen."""

NOTES = (DOUBT_TAG, DRAWN_TAG, INPUTS_TAG, ORIGIN_TAG, MEANT_TAG, TAG)
"""Tags of a segment that change when a model draws it."""


def note(segment, name: str, segmentation: Segmentation, by_hand: bool = False) -> None:
    """What the segment was drawn on, how doubtful it is, and how it looks now."""
    if segmentation.provenance is not None:  # the node's attributes stay in the scene
        segment.SetTag(INPUTS_TAG, inputs_in_words(segmentation).replace("|", "/"))
    else:
        segment.RemoveTag(INPUTS_TAG)
    origin = origins_recorded(segmentation).get(name)
    if origin is None:
        segment.RemoveTag(ORIGIN_TAG)
    else:
        corrected_now = by_hand and origin.kind == AUTOMATIC
        said = Origin(SEMIAUTOMATIC, origin.algorithm) if corrected_now else origin
        segment.SetTag(ORIGIN_TAG, origin_text(said))
    corrected = origin is not None and origin.kind != AUTOMATIC
    if by_hand or corrected or segmentation.provenance is None:
        segment.RemoveTag(DRAWN_TAG)
        segment.RemoveTag(DOUBT_TAG)
        return
    segment.SetTag(DRAWN_TAG, look_of(segment))
    if name in segmentation.doubt:
        segment.SetTag(DOUBT_TAG, f"{segmentation.doubt[name]:.4f}")
    else:
        segment.RemoveTag(DOUBT_TAG)


def is_edited(segment: slicer.vtkSegment) -> bool:
    """Whether a segment looks otherwise or is called otherwise than when a model drew it, or no
    model did."""
    return not same_look(tag_of(segment, DRAWN_TAG), look_of(segment))


def has_work(segment: slicer.vtkSegment) -> bool:
    """Whether a user's work is in a segment: it is edited, and not merely begun, as an empty one is
    of which the first click was taken back."""
    begun = not tag_of(segment, DRAWN_TAG) and not own_mask(segment)[0].any()
    return not begun and is_edited(segment)


def origin_of(segment: slicer.vtkSegment) -> Origin:
    """As it was noted; an empty one where it was not, or not by the product."""
    try:
        return origin_from(tag_of(segment, ORIGIN_TAG))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Origin()


def algorithm_type(segment: slicer.vtkSegment) -> str:
    """Who drew a segment, one of :data:`MRISynthSegmentLib.origins.KINDS`."""
    if not is_edited(segment):
        return AUTOMATIC
    noted = tag_of(segment, INPUTS_TAG)
    return SEMIAUTOMATIC if noted or origin_of(segment).kind not in ("", MANUAL) else MANUAL


# --- its coded meaning --------------------------------------------------------------------


def set_meaning(segment: slicer.vtkSegment) -> None:
    """The terminology of its name; Slicer's own for any tissue if that is no known structure."""
    name = segment.GetName() or ""
    segment.SetTag(MEANT_TAG, name.replace("|", "/"))
    segment.SetTag(TAG, _meaning(name))


def follow_names(node: slicer.vtkMRMLSegmentationNode) -> None:
    """:func:`follow_name` of every segment."""
    content = node.GetSegmentation()
    for segment_id in content.GetSegmentIDs():
        follow_name(content.GetSegment(segment_id))


def follow_name(segment: slicer.vtkSegment) -> None:
    """A segment that the user renamed must not keep the meaning of its old name.

    A terminology that the user chose stays, and so does that of segments not of the product.
    """
    meant = tag_of(segment, MEANT_TAG) or name_when_drawn(tag_of(segment, DRAWN_TAG))
    name = (segment.GetName() or "").replace("|", "/")
    if not meant and tg263_name(name) is not None and tag_of(segment, TAG) == _meaning(name):
        segment.SetTag(MEANT_TAG, name)  # earlier versions did not note it
    if not meant or meant == name:
        return
    if tag_of(segment, TAG) == _meaning(meant):
        set_meaning(segment)
    else:
        segment.SetTag(MEANT_TAG, name)


def _meaning(name: str) -> str:
    known = tg263_name(name)
    return tag_of(slicer.vtkSegment(), TAG) if known is None else terminology_tag(STRUCTURES[known])
