"""Real processes for tests: forked from a warm server that has imported what this process has, once."""

import asyncio
import functools
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from typing import Any, Final, TypeVar

T = TypeVar("T")
PATIENCE_S: Final = 60


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if not name.startswith(("_", "tests"))])
    return context


def _run(work: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...]) -> None:
    asyncio.run(work(*args))


def _run_and_tell(
    work: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...], start: Barrier, answer: Connection
) -> None:
    try:
        start.wait(PATIENCE_S)
        answer.send((asyncio.run(work(*args)), None))
    except Exception:
        answer.send((None, traceback.format_exc()))


def _answer(answers: Connection) -> Any:
    if not answers.poll(PATIENCE_S):
        raise TimeoutError("a process does not end")
    value, trouble = answers.recv()
    if trouble is not None:
        raise AssertionError(f"a process failed:\n{trouble}")
    return value


async def run_at_once(work: Callable[..., Coroutine[Any, Any, T]], each: Sequence[tuple[Any, ...]]) -> list[T]:
    """Run `work(*args)` for each of the arguments, each in a process of its own, all starting together."""
    start = _context().Barrier(len(each))
    pipes = [_context().Pipe(duplex=False) for _ in each]
    processes = [
        _context().Process(target=_run_and_tell, args=(work, args, start, answer))
        for args, (_, answer) in zip(each, pipes, strict=True)
    ]
    try:
        for process in processes:
            process.start()
        return list(await asyncio.gather(*(asyncio.to_thread(_answer, answers) for answers, _ in pipes)))
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()
        for ends in pipes:
            for end in ends:
                end.close()


async def run_and_die(work: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> int:
    """Run `work(*args)` in a process that may die of it, and answer its exit code: -9 if it was killed."""
    process = _context().Process(target=_run, args=(work, args))
    process.start()
    await asyncio.to_thread(process.join, PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{work.__name__}{args} does not end")
    code = process.exitcode
    process.close()
    return code
