"""``Task`` and ``Logger`` under ClearML's names: what a script says about its own run.

``backend.py`` has the two ways in which a script can speak. Under ``raven run`` it appends events to
``RAVENML_EVENTS`` and writes pictures and artifacts into ``RAVENML_RUN`` first; what belongs into
``run.json`` travels as ``DESCRIBED``, since only the owner writes that file. On its own, it opens a run and
carries on even if the disk is full.

``exit_hooks.py`` notices the script's end. ``parameters.py`` wraps argparse at once and Click when it is
loaded; ``ravenml.capture`` wraps the functions that save models when their libraries are loaded. Such a model
is kept with the run, and ``uploader.py`` copies it and uploads the copy from a thread.
``tensorboard_writers.py`` flushes what the script left open. ``ravenml.remote`` sends the script to a queue;
on the worker ``RAVENML_WORKER`` is set.
"""
