"""Running ASGI applications on sockets of this machine, several in one process if need be."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from inkmeter.errors import ConfigurationError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: only then asyncio sends what is small at once. Else an answer's body waits, for 40 ms, until the
    # other side has confirmed its header.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({reason}); choose another with --port or INKMETER_PORT"
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM call `stop` in the event loop instead of ending the process.

    So whatever is open is closed in order, and the process ends by itself, with status 0.
    """
    loop = asyncio.get_running_loop()
    # Not `loop.add_signal_handler`: that is missing on Windows, and cannot put back what was there before.
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the process: uvicorn's own way ends by dying of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """End after the requests that are under way; at once when told twice."""
        self.force_exit = self.should_exit
        self.should_exit = True


def tune_interpreter() -> None:
    """Two habits of the interpreter hold up a server that has a writing thread beside its event loop.

    The garbage collector looks through all that start-up has made, for tens of milliseconds, and nothing of it ever
    goes away. And a thread that comes back from the disk waits for five milliseconds until the other one gives way.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)


def _server(app: ASGIApp, log_level: str) -> _Server:
    return _Server(
        uvicorn.Config(app, log_level=log_level, timeout_graceful_shutdown=5, server_header=False, lifespan="on")
    )


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve an application until SIGINT or SIGTERM."""
    server = _server(app, "info")
    tune_interpreter()
    with stopping(server.stop):
        await server.serve(sockets=[listener])


@contextlib.asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket) -> AsyncIterator[str]:
    """Serve an application while the block runs, and answer its URL. Raises what its start-up raises."""
    server = _server(app, "warning")
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                await serving
                raise ConfigurationError("the server did not start; the reason stands above")
            await asyncio.sleep(0.01)
        yield address(listener)
    finally:
        server.stop()
        await serving
