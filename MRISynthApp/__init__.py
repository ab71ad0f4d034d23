"""MRISynth outside Slicer: the command line and what it shares with other faces."""
