"""Two segmentations of a scene side by side."""
