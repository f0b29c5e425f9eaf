"""A real HTTP server that answers as a test says, and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Says:
    """One answer: JSON unless `text` or `data` is given, after `delay` seconds."""

    json: Any = None
    status: int = 200
    text: str | None = None
    data: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


Script = Says | list[Says] | Callable[[Asked], Says]


@dataclass
class Server:
    """`answers` by path: one for all requests, a list to be used up (the last one stays), or a function."""

    url: str = ""
    answers: dict[str, Script] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _stop: Callable[[], None] = lambda: None

    def answer(self, asked: Asked) -> Says:
        self.asked.append(asked)
        script = self.answers.get(asked.path.partition("?")[0])
        if script is None:
            return Says({"error": "no such path"}, status=404)
        if callable(script):
            return script(asked)
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script

    def stop(self) -> None:
        """Refuses connections from now on."""
        self._stop()


@contextmanager
def scripted() -> Iterator[Server]:
    """A running server."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = server.answer(Asked(self.command, self.path, headers, body))
            time.sleep(said.delay)
            text = said.text if said.text is not None else json.dumps(said.json)
            data = text.encode() if said.data is None else said.data
            kind = "text/plain" if said.text is not None else "application/json"
            self.send_response(said.status)
            for name, value in {"Content-Type": kind, **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _do

        def log_message(self, *arguments: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stopped = threading.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            listening.shutdown()
            listening.server_close()

    server.url = f"http://127.0.0.1:{listening.server_port}"
    server._stop = stop
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        stop()
