"""The product in a browser: ``mrisynth view``.

How it is built, from the browser inwards:

- The **gateway** (:mod:`.gateway`) is the only process that listens where a browser reaches it:
  on this machine alone unless ``--host`` says otherwise. It knows who may come in
  (:mod:`.access`), takes uploads into private folders (:mod:`.uploads`, :mod:`.archives`), and
  hands everything else on to the visitor's own process. It imports neither Slicer nor torch.
- Each **visitor** (:mod:`.visitors`) is a process with a scene, views and a page of its own
  (:mod:`.visitor`): what one does or breaks no other sees, its memory is free when it ends, and
  ending it is all that closing a tab, idling and a full house need. One is kept ready, so that a
  new visitor need not wait for the imports. It answers only to the gateway.
- The visitor's page is trame's (:mod:`.page`), its views are trame-slicer's (:mod:`.views`) on a
  scene of slicer-core (:mod:`.display`); what it decides comes from the panels' functions in
  MRISynthLib and MRISynthSegmentLib, by way of :mod:`.desk`, which needs no scene.
- One **worker** computes for all. Requests go from the visitors over their pipes to the gateway's
  broker (:mod:`.broker`), which takes them in turns. Volumes travel by shared memory.

Needs the package's extra ``view``.
"""
