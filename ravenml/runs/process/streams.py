"""A child's output: passed on as it is, and read as well."""

from __future__ import annotations

import os
import selectors
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

PIECE = 1 << 16
TICK = 0.2  # seconds
LINGER = 1.0  # seconds of silence after the child's end, where something that it left behind holds its output


@dataclass
class Stream:
    """One way out of the child: what it writes to ``child_end`` goes to the descriptor ``to`` as well.

    Attributes:
        names: ``stdout``, ``stderr``, or both where they are one.
    """

    names: tuple[str, ...]
    to: int
    read_end: int
    child_end: int
    broken: bool = field(default=False, init=False)

    def forward(self, piece: bytes) -> None:
        """Write to where the child's output would have gone; whoever read it may have gone."""
        while piece and not self.broken:
            try:
                piece = piece[os.write(self.to, piece) :]
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                self.broken = True


def open_streams() -> list[Stream]:
    """The ways out for a child, alike to those of this process.

    A terminal is a terminal to the child as well, so that its progress bars work.  Where stdout and stderr
    lead to the same place they are one, and the order of what is written to them is exact; elsewhere it is
    the order in which it arrives.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if _same_place(1, 2):
        return [_open(("stdout", "stderr"), 1)]
    return [_open(("stdout",), 1), _open(("stderr",), 2)]


def _same_place(one: int, other: int) -> bool:
    a, b = os.fstat(one), os.fstat(other)
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _open(names: tuple[str, ...], to: int) -> Stream:
    if not os.isatty(to):
        read_end, child_end = os.pipe()
        return Stream(names, to, read_end, child_end)
    import termios

    read_end, child_end = os.openpty()
    attributes = termios.tcgetattr(child_end)
    attributes[1] &= ~termios.OPOST  # the real terminal makes "\r\n" of "\n"
    termios.tcsetattr(child_end, termios.TCSANOW, attributes)
    stream = Stream(names, to, read_end, child_end)
    copy_size(stream)
    return stream


def copy_size(*streams: Stream) -> None:
    """Tell the child's terminals how large the real ones are."""
    import fcntl
    import termios

    for stream in streams:
        if os.isatty(stream.to):
            with suppress(OSError):
                size = fcntl.ioctl(stream.to, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
                fcntl.ioctl(stream.read_end, termios.TIOCSWINSZ, size)


def pump(
    streams: list[Stream],
    take: Callable[[Stream, bytes], None],
    tick: Callable[[], None],
    ended: Callable[[], bool],
) -> None:
    """Pass on what the child prints until it has ended and nothing more comes.

    Args:
        streams: their child's ends are closed here already.
        take: is given each piece, after it was passed on.
        tick: is called about every ``TICK`` seconds.
        ended: whether the child has.
    """
    quiet_since: float | None = None
    last_tick = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.read_end, selectors.EVENT_READ, stream)
        while selector.get_map():
            ready = selector.select(TICK)
            for key, _ in ready:
                try:
                    piece = os.read(key.fd, PIECE)
                except OSError:  # a terminal that nobody holds any more
                    piece = b""
                if not piece:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    continue
                key.data.forward(piece)
                take(key.data, piece)
            now = time.monotonic()
            if now - last_tick >= TICK:
                last_tick = now
                tick()
            if ready or not ended():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since > LINGER:
                return  # a process that outlives the child
