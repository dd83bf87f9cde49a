"""Serving on this machine alone: a port that is free, and an address once there is an answer."""

import argparse
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from modelmill.errors import ModelmillError

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST = "127.0.0.1"


def port(text: str) -> int:
    """A port as given in a command line."""
    if text.isdecimal() and 0 < int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")


def listen(port: int) -> socket.socket:
    """A socket that listens on that port.

    Raises:
        ModelmillError: another program has it.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # two may bind to a port, until one listens
    except OSError as error:
        listener.close()
        raise ModelmillError(
            f"port {port}: {(error.strerror or '').lower()}: choose another one by --port"
        ) from None
    return listener


def serve(app: "str | FastAPI", listener: socket.socket, announcement: str) -> None:
    """Answers until Ctrl-C; `announcement` is printed once it does."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            print(announcement, "(Ctrl-C ends)", flush=True)

    config = uvicorn.Config(app, log_level="warning")
    with suppress(KeyboardInterrupt), listener:
        Server(config).run([listener])
