"""Time to simulate a training batch against the time to train on it, on the same device.

One patient's slices are drawn, given texture and imaged in four sequences by a random virtual
hospital; the 2 M parameter network then takes two of them as inputs and learns the other two
(forward, backward, optimiser). Medians over several rounds, and their ratio.

    python Testing/benchmarks/rendering.py [--device cpu] [--threads 2] [--slices 6] [--size 128]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from MRISynthLib.simulation.hospitals import inside_hospitals
from MRISynthLib.simulation.imaging import PatientTissues, acquire, tissue_maps
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.synthesis.direct_net import DirectNet

SEQUENCES = ("T1w", "T2w", "CE-T1w-FS", "STIR")


def head(slices: int, size: int) -> np.ndarray:
    """Labels (slices, 3, size, size) of nested ellipses with organs at random."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(x / 0.75, y / 0.95)
    labels = np.zeros((slices, 3, size, size), np.uint8)
    layers = ((1, "skin"), (0.97, "fat"), (0.9, "muscle"), (0.8, "cortical bone"))
    for limit, name in (*layers, (0.75, "CSF"), (0.72, "grey matter"), (0.6, "white matter")):
        labels[:, :, radius < limit] = TISSUE_INDEX[name]
    names = ("air", "mucosa", "tumour", "artery", "vitreous", "parotid gland", "fat", "marrow")
    for n in range(slices):
        for name in names:
            centre, extent = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.05, 0.2, 2)
            inside = np.hypot((x - centre[0]) / extent[0], (y - centre[1]) / extent[1]) < 1
            labels[n, :, inside] = TISSUE_INDEX[name]
    return labels


def seconds(work: Callable[[], None], rounds: int, device: torch.device) -> float:
    """Median duration of ``work``, after two rounds that do not count."""
    durations = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[2:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    rng, torch_rng = np.random.default_rng(1), torch.Generator(device).manual_seed(1)
    labels = torch.from_numpy(head(arguments.slices, arguments.size)).to(device)
    images: dict[str, torch.Tensor] = {}

    def render() -> None:
        site = inside_hospitals()[int(rng.integers(13))]
        maps = tissue_maps(labels, PatientTissues.draw(rng, site.field_t), torch_rng)
        for name in SEQUENCES:
            protocol = site.draw_protocol(name, rng)
            acquisition = site.draw_acquisition(name, rng, moved=name != SEQUENCES[0])
            images[name] = acquire(maps, protocol, acquisition, torch_rng)

    network = DirectNet().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4)
    described = torch.randn(2, network.prompt.mix[0].out_features, device=device)

    def train() -> None:
        dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            features = network.encode(torch.stack([images[n] for n in SEQUENCES[:2]], 1), described)
            loss = sum(
                (network.decode(features, described[:1])[0] - images[n]).abs().mean()
                for n in SEQUENCES[2:]
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    rendering = seconds(render, arguments.rounds, device)
    training = seconds(train, arguments.rounds, device)
    figures = {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "batch": f"{arguments.slices} x {arguments.size}^2, {len(SEQUENCES)} sequences",
        "parameters (M)": sum(p.numel() for p in network.parameters()) / 1e6,
        "rendering (s)": rendering,
        "training step (s)": training,
        "training over rendering": training / rendering,
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:26s} {value if isinstance(value, str | int) else f'{value:.4f}'}")


if __name__ == "__main__":
    main()
