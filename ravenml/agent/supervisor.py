"""Runs a plugin's program and outlives the agent: its output goes to files, and so does its exit code.

Started as ``python -I -S supervisor.py FOLDER ALIVE COMMAND…`` with the standard library alone.  ALIVE is the
descriptor of ``FOLDER/alive``, which the agent has locked: the lock is held without a gap from before this
process begins until it ends, while the program runs.  When that ends, ``FOLDER/exit`` holds its code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

SOCKET = "RAVENML_SERVE_SOCKET"


def main(folder: str, alive: int, program: list[str]) -> None:
    """Run ``program`` to its end; whatever asks this process to end is meant for the program."""
    os.write(alive, f"{os.getpid()}\n".encode())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which the program would inherit
    with (
        open(os.path.join(folder, "stdout"), "ab") as out,
        open(os.path.join(folder, "stderr"), "ab") as err,
    ):
        try:
            # A deployed model's open socket, which the agent hands on.
            handed = [int(os.environ[SOCKET])] if SOCKET in os.environ else []
            code = subprocess.run(
                program, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=handed
            ).returncode
        except OSError as error:
            err.write(f"{program[0]} cannot be started: {error.strerror}.\n".encode())
            code = 127
    # Written beside and renamed, so that the agent never reads half a number.
    with open(os.path.join(folder, "exit.part"), "w") as file:
        file.write(f"{code}\n")
    os.replace(os.path.join(folder, "exit.part"), os.path.join(folder, "exit"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
