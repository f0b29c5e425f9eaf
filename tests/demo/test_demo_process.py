"""The demo as a process: how it starts, how it ends."""

import signal
import socket
import subprocess
import sys

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_a_request_hangs(own_upstream, number):
    own_upstream.switch({"path": "/api/entities", "answer": "hang", "times": 1})
    host, port = own_upstream.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as hanging:
        hanging.sendall(b"GET /api/entities HTTP/1.1\r\nHost: demo\r\n\r\n")
        while own_upstream.switches():
            pass
        own_upstream.process.send_signal(number)
        _out, problems = own_upstream.process.communicate(timeout=30)
    assert (own_upstream.process.returncode, problems) == (0, "")


@pytest.mark.parametrize(
    ("port", "reason"),
    [("taken", "Address already in use"), ("70000", "bind(): port must be 0-65535.")],
)
def test_a_port_it_cannot_have_is_one_line(upstream, root, port, reason):
    port = upstream.url.rsplit(":", 1)[1] if port == "taken" else port
    answer = subprocess.run(
        [sys.executable, "-m", "demo", "--port", port],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    line = f"the demo cannot listen on 127.0.0.1:{port}: {reason}\n"
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", line)
