"""How the parser reads fresh prompts of the lexicon that the text tower is taught with.

    python Testing/benchmarks/lexicon.py [--prompts 3000] [--seed 5]

Prints how many were silently taken for another sequence, how many were refused, and how much
nonsense was accepted.
"""

from __future__ import annotations

import argparse

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.prompts import understand
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation.protocols import draw_protocol
from MRISynthLib.training.handwriting import nonsense
from MRISynthLib.training.lexicon import Lexicon


def sequence_of(text: str) -> str | None:
    """What the parser takes a text for, None where it refuses it."""
    try:
        return understand(text).sequence
    except InputError:
        return None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    rng, lexicon = np.random.default_rng(arguments.seed), Lexicon()
    wrong = refused = accepted = 0
    for number in range(arguments.prompts):
        name = SEQUENCE_NAMES[number % len(SEQUENCE_NAMES)]
        said = lexicon.write(draw_protocol(name, rng), rng, test=bool(rng.random() < 0.3)).said
        found = sequence_of(said.text)
        refused += found is None
        wrong += found is not None and found != said.sequence
    for number in range(arguments.prompts // 2):
        accepted += sequence_of(nonsense(rng, bool(number % 2))) is not None
    print(f"taken for another sequence {wrong:4d} of {arguments.prompts}")
    print(f"refused                    {refused:4d} of {arguments.prompts}")
    print(f"nonsense accepted          {accepted:4d} of {arguments.prompts // 2}")


if __name__ == "__main__":
    main()
