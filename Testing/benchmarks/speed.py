"""Speed and memory of synthesis and segmentation on a 256 x 224 x 40 examination.

Prints cold time (a fresh process: interpreter, imports, model, two inputs to one target), warm
time, time to the first slice, time of a click that corrects a structure, peak memory, and what
fraction of this machine's measured peak (a large matrix product in the same number format) the
network reaches. Everything is measured in the environment that the product gives its worker
process.

    python Testing/benchmarks/speed.py [--device cpu] [--model NAME_OR_FOLDER]
        [--segmentation-model NAME_OR_FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from MRISynthLib.bundles import load_bundle
from MRISynthLib.devices import peak_memory_mb
from MRISynthLib.progress import Callbacks
from MRISynthLib.prompts import for_sequence
from MRISynthLib.simulation import demo_patient
from MRISynthLib.synthesis.conditioning import describe_target
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthLib.worker.process import environment
from MRISynthSegmentLib.click_maps import Click
from MRISynthSegmentLib.refinement import Refiner
from MRISynthSegmentLib.segmenter import Segmenter

RUNS = 3

FIELD_OF_VIEW = (241, 211)
"""Rows and columns of the examination on the working grid of 1 mm."""

COLD = """
import time, resource
start = time.perf_counter()
import numpy as np
from MRISynthLib.bundles import load_bundle
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthLib.volume import Volume
images = np.load({path!r})
volumes = [Volume(images[n], images["matrix"], n, n) for n in ("T1w", "T2w")]
Synthesizer(load_bundle({model!r}, "synthesis"), {device!r}).synthesize(
    volumes, [Target("CE-T1w")], register=False)
from MRISynthLib.devices import peak_memory_mb
print(time.perf_counter() - start, peak_memory_mb())
"""


def peak_gflops(dtype: torch.dtype, device: torch.device, size: int = 2048) -> float:
    """Rate of the best of several large matrix products, in GFLOP/s."""
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        product = a @ b
        float(product[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9


def network_gflop(synthesizer: Synthesizer, slices: int) -> float:
    """Operations of the network for that many slices, two inputs and one target."""
    network, device = synthesizer.network, synthesizer.device
    rows, columns = (-(-size // network.stride) * network.stride for size in FIELD_OF_VIEW)
    images = torch.rand(1, 2, rows, columns, device=device)
    said = [describe_target(for_sequence(name)) for name in ("T1w", "T2w", "CE-T1w")]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        embedded = network.embed(said)
        with synthesizer.autocast():
            network(images, embedded[:2], embedded[2:])
    return counter.get_total_flops() * slices / 1e9


def cold(path: str, device: str, model: str | None) -> tuple[float, float]:
    """(seconds, MiB at the peak) of a fresh process."""
    code = COLD.format(path=path, device=device, model=model)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - started, float(done.stdout.split()[1])


def main() -> None:
    """Measure and print."""
    import tempfile
    from pathlib import Path

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model")
    parser.add_argument("--segmentation-model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    as_worker = environment((), sys.executable)
    if any(os.environ.get(name) != value for name, value in as_worker.items()):
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=as_worker).returncode)

    patient = demo_patient()
    inputs = [patient.volumes["T1w"], patient.volumes["T2w"]]
    synthesizer = Synthesizer(load_bundle(arguments.model, "synthesis"), arguments.device)
    structures = load_bundle(arguments.segmentation_model, "segmentation")
    segmenter = Segmenter(structures, arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "images.npz")
        voxels = {volume.sequence: volume.voxels for volume in inputs}
        np.savez(path, matrix=inputs[0].index_to_world, **voxels)
        cold_seconds, cold_memory = cold(path, arguments.device, arguments.model)

    clicked = (
        np.array((*(n // 2 for n in reversed(inputs[0].shape)), 1)) @ inputs[0].index_to_world.T
    )
    clicks = [Click(tuple(clicked[:3]), adds=True)]
    warm, first, network, segment, click = [], [], [], [], []
    for _ in range(RUNS + 1):
        began, arrivals = time.perf_counter(), []
        seen = Callbacks(on_slice=lambda _: arrivals.append(time.perf_counter()))  # noqa: B023
        result = synthesizer.synthesize(
            inputs, [Target("CE-T1w")], register=False, visible_slice=20, callbacks=seen
        )
        warm.append(time.perf_counter() - began)
        first.append(arrivals[0] - began)
        network.append(result.timings["synthesize"])
        began = time.perf_counter()
        segmenter.segment(inputs, register=False)
        segment.append(time.perf_counter() - began)
    refiner = Refiner(segmenter, segmenter.prepare(inputs, register=False), inputs)
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        refiner.refine("GTVp", np.zeros(inputs[0].shape, bool), clicks)
        click.append(time.perf_counter() - began)
    peak = peak_gflops(synthesizer.dtype, synthesizer.device)
    rate = network_gflop(synthesizer, inputs[0].shape[0]) / statistics.median(network[1:])
    known = len(structures.structures)
    figures = {
        "device": str(synthesizer.device),
        "number format": str(synthesizer.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "cold, process and all (s)": cold_seconds,
        "warm, T1w + T2w -> CE-T1w (s)": statistics.median(warm[1:]),
        "warm over cold": statistics.median(warm[1:]) / cold_seconds,
        "first slice, warm (s)": statistics.median(first[1:]),
        f"segmentation, {known} structures, warm (s)": statistics.median(segment[1:]),
        "a click on a structure, warm (s)": statistics.median(click[1:]),
        "peak memory of the cold process (MiB)": cold_memory,
        "peak memory of this process (MiB)": peak_memory_mb(),
        "network rate (GFLOP/s)": rate,
        "matrix product (GFLOP/s)": peak,
        "fraction of the measured peak": rate / peak,
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:42s} {value if isinstance(value, str | int) else f'{value:.3f}'}")


if __name__ == "__main__":
    main()
