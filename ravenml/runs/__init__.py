"""``raven runs`` and ``raven run``: the run's folder, and everything that reads it.

A run is a folder. ``run.py`` writes it, ``record.py`` reads it, ``events.py`` defines its events and
``layout.py`` says where each file lies; docs/runs.md shows the folder. One process holds ``run.lock`` and
writes; all others only read. Files are written beside their place and renamed; a checkpoint exists once its
event is written, which happens after its files.

Status is derived, never trusted: a run without a result is running while its lock is held (or, on another
machine, while its events are younger than five minutes), and ``lost`` otherwise. A run's id is its time in
UTC and six letters (two for the part of the second, four by chance), so ids sort by time, are unique across
machines and can be shortened to any unique prefix. A fold is called ``<id>-f<fold>``.

``index.py`` lists runs as flat records (``run_row.py``) that it remembers in ``cache/runs-index.json``. An
entry counts only while ``run.json`` and ``notes.json`` have the inode, time and size that it was made from.
A run without a result has its status derived at every listing. ``benchmarks/runs.py`` measures it.

``process/`` records any program, ``exporters/`` sends events to trackers, ``reproduce/`` repeats a run.
``monitor.py`` is the thread beside every run that samples resources and starts the exporters. ``replay.py``
turns a recorded command into one that can be given again (``raven runs resume`` and ``clone``).
``upload.py`` stores a finished run's result from the folder alone, so an upload that was killed can be
completed later. ``chart.py`` draws the chart of ``raven runs compare`` in the terminal.

The first Ctrl-C (or SIGTERM, or a request in ``control.json``) makes ``run.should_stop()`` true; a plugin
that polls it saves what resuming needs and returns. The second Ctrl-C, or the first if nobody polls,
interrupts at once. Either way the run is recorded as interrupted, and the message says how to resume it.
"""
