"""Who wants a picture of the studio: the other end of a socket, in another process."""

import asyncio
from typing import Any

from step_ops.drivers.studio_words import LENGTH, Said, packed, unpacked
from step_ops.exchanges import PageShot


class Left(Exception):
    """Nobody waits for the picture any more."""


class Visitor:
    """The other side of one picture, in a process that wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._heard: asyncio.Queue[Any] = asyncio.Queue()

    async def say(self, said: Said, value: Any = None) -> None:
        """Raises `Left`."""
        self._writer.write(packed((said, value)))
        try:
            await self._writer.drain()
        except OSError:
            raise Left from None

    async def hear(self) -> Any:
        """Raises `Left`."""
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            return unpacked(await self._reader.readexactly(length))
        except (EOFError, OSError):
            raise Left from None

    async def listen(self) -> None:
        """Hears its answers until it leaves; raises `Left`."""
        while True:
            self._heard.put_nowait(await self.hear())

    async def accept(self, shot: PageShot) -> bool:
        """Whether it takes a first picture as it is."""
        await self.say(Said.ASK, shot)
        return bool(await self._heard.get())

    def close(self) -> None:
        """Lets go of it."""
        self._writer.close()
