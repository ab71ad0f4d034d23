"""Arteries inside the skull of the procedural head: siphons, basilar artery, first branches.

They are painted last, since they run through bone, cisterns and fissures that others draw.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, sides

BONY = ("fat", "muscle", "ligament", "cortical bone", "marrow", "vein", "mucosa", "air")
CISTERN = ("CSF", "meninges", "grey matter", "white matter")


def paint_intracranial_arteries(canvas: Canvas, rng: np.random.Generator) -> None:
    """From the carotid canal and the foramen magnum to the first branches."""
    caliber = rng.normal(1.0, 0.08)
    for side, suffix in sides():
        s = side
        own = caliber * rng.normal(1.0, 0.05)
        name = f"A_Carotid{suffix}"
        petrous = [(s * 25, 13, -34), (s * 21.5, 8, -24), (s * 17, 4, -19), (s * 12.5, 1, -12)]
        siphon = [petrous[-1], (s * 12.5, -8, -4), (s * 11, -11, 2), (s * 11.5, -4, 6)]
        canvas.paint(canvas.tube(petrous, own * 2.5, 0.1), "artery", name, (*BONY, *CISTERN))
        canvas.paint(canvas.tube(siphon, own * 2.2, 0.1), "artery", name, (*BONY, *CISTERN))
        end = (s * 13, -3, 9)
        canvas.paint(
            canvas.tube([siphon[-1], end], own * 1.9, 0.1), "artery", name, (*BONY, *CISTERN)
        )
        middle = [end, (s * 22, -6, 6), (s * 31, -6, 5), (s * 38, -3, 8)]
        width = own * np.array((1.5, 1.4, 1.3, 1.1))
        canvas.paint(canvas.tube(middle, width, 0.1), "artery", over=CISTERN)
        front = [end, (s * 6, -12, 12), (s * 2, -20, 12), (s * 1.5, -32, 16), (s * 1.5, -36, 28)]
        canvas.paint(canvas.tube(front, own * 1.1, 0.1), "artery", over=CISTERN)
        vertebral = [(s * 16, 40, -57), (s * 10, 29, -50), (s * 7, 19, -43), (s * 1.5, 9, -33)]
        canvas.paint(
            canvas.tube(vertebral, own * rng.uniform(1.2, 1.8), 0.1),
            "artery",
            over=(*BONY, *CISTERN),
        )
        back = [(s * 1, 9, -3), (s * 11, 13, 0), (s * 17, 24, 2), (s * 16, 36, 4)]
        canvas.paint(canvas.tube(back, own * 1.1, 0.1), "artery", over=CISTERN)
    sway = rng.normal(0, 1.5)
    basilar = [(0, 8.5, -33), (sway, 8, -20), (0, 9, -3)]
    canvas.paint(canvas.tube(basilar, caliber * 1.7, 0.1), "artery", over=CISTERN)
