"""What ravenML says to a person when something is wrong.

Errors are raised deep, where the file and the field are known, and shown once, at the door
(``ravenml.cli.main``), as one sentence and without a traceback.  ``RAVENML_DEBUG=1`` adds the
traceback.

Exit codes: 1 something went wrong while working, 2 what was typed or written into a file is not
usable, 130 interrupted (Ctrl-C), 143 ended by SIGTERM.
"""

from __future__ import annotations


class RavenError(Exception):
    """Something went wrong.  The message is a sentence that names the file, the field and the mend."""

    exit_code = 1


class InputError(RavenError):
    """What the user typed, or wrote into a file, is not usable: a wrong path, name, type or range."""

    exit_code = 2


class Interrupted(RavenError):
    """The user, or the machine, asked the work to end before it was done."""

    exit_code = 130
