"""A blinded test: can readers tell synthetic images from real ones?

As such tests are done in the literature on synthetic images: slices of random patients, one at a
time, in random order, without names; the reader says "real" or "synthetic", how sure, and why.

- ``plan.py``: which images are shown, in which order.
- ``answers.py``: what the reader said, kept in a file from answer to answer.
- ``scoring.py``: the result as numbers and as tables.
- ``images.py``: slices as they are shown, real and synthetic alike.
- ``mrml.py``: the blinded view in Slicer.
"""
