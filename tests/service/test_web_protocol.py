"""The web server's patience with headers: an end to their size and to the wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from service.web_protocol import GuardedProtocol
from tests.driver import free_port, wait_until


class Impatient(GuardedProtocol):
    header_timeout_s = 0.3


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await asyncio.sleep(0.5)  # longer than headers may take: an answer may take its time
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    config = uvicorn.Config(app, port=number, http=Impatient, lifespan="off", log_config=None, timeout_keep_alive=20)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until("the server started", lambda: server.started)
    yield number
    server.should_exit = True
    thread.join(30)


def said(port: int, *pieces: bytes) -> bytes:
    """Send pieces until the server ends the connection; return what it said."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as each:
        try:
            for piece in pieces:
                each.sendall(piece)
            while chunk := each.recv(65_536):
                heard += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return heard


@pytest.mark.parametrize("pieces", [(), (b"GET / HTTP/1.1\r\n",), (b"GET / HTTP/1.1\r\nHost: x\r\nX-Half",)])
def test_headers_that_do_not_come_end_the_connection(port: int, pieces: tuple[bytes, ...]) -> None:
    assert said(port, *pieces).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("line", [b"X-1: " + b"a" * 200 + b"\r\n", b"a" * 200])
def test_headers_without_end_are_refused(port: int, line: bytes) -> None:
    taken = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as each:
        each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-0: ")
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while taken < 64 << 20:
                each.sendall(line * 100)
                taken += len(line) * 100

    assert taken < 16 << 20


def test_an_honest_caller_is_answered_more_than_once_on_one_connection(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        answers = [client.post("/", content=b"x" * 300_000, headers={"X-Long": "a" * 20_000}).text for _ in range(3)]

    assert answers == ["300000"] * 3
