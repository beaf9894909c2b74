"""``raven run -- PROGRAM``: runs any program as a child process and writes its run.

``program.py`` starts the program. ``streams.py`` gives it pipes, or terminals where ours are terminals, and
passes its output on; ``terminal_text.py`` turns that into what ``console.log`` keeps. ``signals.py`` passes
signals on (on Linux it can tell those that a terminal sent to the whole group from those sent to us alone).
Beside it, the run's monitor has a few jobs in a thread: the file of events that the program may write to,
the output folders (``outputs.py``), and TensorBoard files: ``tensorboard_watcher.py`` finds those the
program holds open, ``tfevents.py`` reads them without TensorBoard. The git state is taken before the
program starts; ``environment.py`` reads the packages of the program's Python, which need not be ours.
"""
