"""What is closed to a step whose answers are recorded."""

import contextvars
import socket
import threading

import pytest
import requests

from step_ops.errors import StepError
from step_ops.offline import network_closed


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


def test_no_connection_is_opened_within_and_it_is_open_again_behind(server):
    with network_closed(), pytest.raises(StepError, match="opened a connection"):
        socket.create_connection(server)
    socket.create_connection(server).close()


def test_a_client_library_is_stopped_too(server):
    with network_closed(), pytest.raises(StepError, match="opened a connection"):
        requests.get(f"http://{server[0]}:{server[1]}/", timeout=1)


def test_a_thread_that_takes_over_the_context_is_closed_and_another_is_open(server):
    heard = []

    def work():
        try:
            socket.create_connection(server).close()
            heard.append("open")
        except StepError:
            heard.append("closed")

    with network_closed():
        within = contextvars.copy_context()
        threads = [threading.Thread(target=within.run, args=(work,)), threading.Thread(target=work)]
        for thread in threads:
            thread.start()
            thread.join()
    assert heard == ["closed", "open"]
