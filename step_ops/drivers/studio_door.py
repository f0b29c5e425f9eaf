"""Live pictures: by the studio, whose one browser many processes share, or by a browser of one's own.

Loads no browser where there is a studio.
"""

import math
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from step_ops.drivers.studio_words import LENGTH, Said, packed, unpacked
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest, PageShot

HEARD_SECONDS = 10.0  # in which a studio answers who knocks: it may have to be started first
_TRIES = 2  # a studio may end just when it is asked

_door: socket.socket | None = None


class _Gone(Exception):
    """The other side does not answer, or has ended."""


def use_door(door: socket.socket | None) -> None:
    """Has pictures of this process, and of those forked from it, taken behind `door` from now on.

    `door` is the end of a pair of sockets; whoever has the other end gets one to talk by for each picture.
    """
    global _door  # of the process, so of all its threads
    _door = door


def photograph_live(
    request: PageRequest, *, accept: Callable[[PageShot], bool], cancelled: threading.Event
) -> PageShot:
    """A stable picture of an element of a page in the network, with a capture; see `photograph`.

    A browser is shared where there is a studio; no page sees anything of another. Raises `StepError`.
    """
    patience = time.monotonic() + HEARD_SECONDS
    for _ in range(_TRIES if _door is not None else 0):
        try:
            return _by_studio(request, accept, cancelled, patience)
        except _Gone:  # before the page was opened
            continue
    # Imported here: where there is a studio, nobody else pays for the browser.
    from step_ops.drivers.browser import photograph

    return photograph(request, accept=accept, keep=True, cancelled=cancelled)


def _by_studio(
    request: PageRequest,
    accept: Callable[[PageShot], bool],
    cancelled: threading.Event,
    patience: float,
) -> PageShot:
    """The picture; raises `_Gone` when there is none and the page has not been opened."""
    with _knock() as ours:
        visit = _Visit(ours, cancelled)
        # Not before: what is not heard in time is asked for elsewhere, and must not be done here as well.
        visit.hear(until=patience)
        visit.say(request)
        begun = False
        try:
            while True:
                match visit.hear():
                    case Said.BEGUN, _:
                        begun = True
                    case Said.ASK, PageShot() as shot:
                        visit.say(accept(shot))
                    case Said.SHOT, PageShot() as shot:
                        return shot
                    case Said.FAILED, StepError() as error:
                        raise error
        except _Gone:
            if not begun:
                raise
            from step_ops.drivers.page_errors import crashed

            raise crashed() from None


def _knock() -> socket.socket:
    """A socket whose other end is handed in at the door."""
    if _door is None:
        raise _Gone
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            socket.send_fds(_door, [b"p"], [theirs.fileno()])
        except OSError:  # nobody there, or too many before it
            ours.close()
            raise _Gone from None
    return ours


class _Visit:
    """One picture's talk with the studio, given up when `cancelled` is set."""

    def __init__(self, ours: socket.socket, cancelled: threading.Event) -> None:
        self._ours, self._cancelled = ours, cancelled

    def say(self, message: Any) -> None:
        """Raises `_Gone`."""
        try:
            self._ours.sendall(packed(message))
        except OSError:
            raise _Gone from None

    def hear(self, *, until: float = math.inf) -> Any:
        """What is said next; raises `_Gone`, or `StepError` when it is cancelled."""
        while not wait([self._ours], timeout=0.05):
            if self._cancelled.is_set():
                raise StepError(ErrorType.CANCELLED, "cancelled while a page was photographed")
            if time.monotonic() > until:
                raise _Gone
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return unpacked(self._exactly(length))

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._ours.recv(min(size - len(found), 1 << 20))
            except OSError:
                piece = b""
            if not piece:
                raise _Gone
            found += piece
        return bytes(found)
