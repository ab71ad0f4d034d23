"""The methods that the product's own networks are compared with, written from their papers.

:data:`NETWORKS` are trained and asked as the product's networks are; :mod:`.simple` holds those
that need no training by gradient.
"""

from __future__ import annotations

from ..synthesis.base import SynthesisNetwork
from .cyclegan import CycleGAN
from .hi_net import HiNet
from .mhdgn import MHDgNNet
from .mmgsn import MMgSNNet
from .pix2pix import Pix2Pix
from .swin_unetr import SwinUNETRSynthesis
from .unet import UNetSynthesis

NETWORKS: dict[str, type[SynthesisNetwork]] = {
    "u-net": UNetSynthesis,
    "swin-unetr": SwinUNETRSynthesis,
    "hi-net": HiNet,
    "mmgsn-net": MMgSNNet,
    "mhdgn-net": MHDgNNet,
    "pix2pix": Pix2Pix,
    "cyclegan": CycleGAN,
}
"""Name in a training configuration -> class."""
