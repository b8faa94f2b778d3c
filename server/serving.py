"""Running ASGI applications on sockets of this machine, several in one process if need be."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from inkmeter.errors import ConfigurationError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port or INKMETER_PORT"
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(app: ASGIApp, *, log_level: str = "info") -> uvicorn.Server:
    """A uvicorn server that ends quickly when it is told to."""
    return uvicorn.Server(
        uvicorn.Config(app, log_level=log_level, timeout_graceful_shutdown=5, server_header=False, lifespan="on")
    )


class _Quiet(uvicorn.Server):
    """Leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket) -> AsyncIterator[str]:
    """Serve an application while the block runs, and answer its URL. Raises what its start-up raises."""
    inner = _Quiet(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False, lifespan="on")
    )
    serving = asyncio.create_task(inner.serve(sockets=[listener]))
    try:
        while not inner.started:
            if serving.done():
                await serving
                raise ConfigurationError("the server did not start; the reason stands above")
            await asyncio.sleep(0.01)
        yield address(listener)
    finally:
        inner.should_exit = True
        await serving
