"""``raven remote`` and ``--remote``: runs on a Ray cluster. The only package that imports Ray.

``client/`` runs where you type, ``worker/`` on the cluster; what both know lies between them.
``client/submit.py`` packs the code, puts it and ``job.json`` into the queue's store (``layout.py`` says
where everything lies), claims the attempt, and hands the job to Ray's jobs API over plain HTTP: the laptop
needs no Ray. On the head, ``worker/supervisor.py`` is the job's entry point; it asks for no CPU and starts
the training as a Ray task with retries. ``worker/worker.py`` is that task: it restores the run's folder
from the mirror (``restore.py``), starts the very command line as a process or container, and mirrors the
folder every two seconds (``mirror.py``). A checkpoint with two names is sent once, and on the store's own
disk it is a hard link, because checkpoints are replaced and never written to. The heartbeat is a thread of
its own, and its age is told by the store's clock. A k-fold run asks for its folds by files
(``worker/folds.py``), through the loop that starts them as processes elsewhere; the worker, which has Ray,
makes tasks of them. ``worker/ddp_group.py`` starts several processes that train one model.

``client/sync.py`` brings the mirror into the home of whoever looks; the command line calls it before
``raven runs``. From then on a remote run's folder is like any other, beside ``remote.json`` (where it went)
and ``heartbeat.json`` (what was last heard of it), from which the run's status is derived. A run that has
been silent for a minute is submitted again by the one client that creates the object of the next attempt;
stores can create an object only once. ``client/foreign_runs.py`` does the same for runs that other machines
submitted.

The run learns what its sender knows through its environment: ``RAVENML_RUN_ID`` (its id),
``RAVENML_RUNS_PATH`` (where its folder is made), ``RAVENML_RUN_FIELDS`` (what the sender knows better),
``RAVENML_PROVENANCE`` (commit and diff of the packed code), ``RAVENML_SCRATCH`` (the folder below which the
training does not wait for the disk: after a power cut the mirror counts).
"""

# Set where a script runs because it was sent there, so that ``execute_remotely`` does nothing.
WORKER = "RAVENML_WORKER"
