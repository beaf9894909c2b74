"""Campaigns that attack ravenML at random: kills, faults, and hostile input.

``make torture`` runs them all in full; ``make torture CAMPAIGN=readers SEED=7 TRIAL=123`` repeats one trial.
CI gives each at most 60 s (``test_campaigns.py``).  A campaign is a module of this package with

- a docstring whose first line says what is tried,
- ``TRIALS``, how many trials the full campaign has,
- ``SECONDS_PER_TRIAL``, after which a trial has failed (default: 10),
- ``campaign(folder)``, a context manager that sets up in an empty folder and yields the function that makes
  one trial.  That function takes a ``random.Random``, which everything random must come from, and returns a
  word for what happened, such as ``refused``.  It raises AssertionError if something that must hold did not;
  any other exception is an internal error, which is as bad.

A campaign runs in a process of its own, with its own home.  If a trial kills that process, blocks it, or
takes more than 1 GiB of memory, this trial has failed, and the next one is made in a new process.
"""
