"""``raven agent``: runs plugins written for Supervisely's contract, as its agent would
(docs/supervisely.md).

``launch.py`` makes the task folder, begins a run and starts the program in isolation (``isolation.py``:
every command line is a pure function) under ``supervisor.py``, a process that needs only the standard
library, keeps the program's output and exit code in files, and holds a lock while it runs. ``agent.py``
reads these files to their end (``output_reader.py``), keeps the result (``result.py``) and stores it like
any other run's; it makes no difference whether the same process started the task or took it over. Each
relayed event carries in ``at`` the stream and the place where it ended, and ``cursor.json`` says how far
the console log is complete, so an agent that is killed at any instant is followed by one that repeats and
loses nothing. A task's folder, ``<home>/agent/<run id>/``, holds ``task.json``, ``alive`` (the lock),
``stdout``, ``stderr``, ``exit``, ``cursor.json``, ``home/``, ``path/`` and, unless the user named another,
``task/``.

The other way round, ``builtin_tasks.py`` is what the programs in ``src/`` of our own plugins call: it runs
``raven train`` in the task's process, and prints its events and lays out its checkpoints as the contract
wants them. ``deployment.py`` is the port of a deployed model: a sandbox without a network is handed the
open socket through the supervisor. ``plugin_image.py`` writes the build context of a plugin's image.
"""
