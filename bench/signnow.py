"""Files through our SignNow client, against bare httpx to the same sandbox: `python -m bench.signnow [--rounds 7]`.

The sandbox is a process of its own. Throughput is a ratio, median [min..max] over rounds in which both sides take turns
with a file of 50 MB on disk, the best of three each; 1 is as fast as httpx. Memory is the peak of what Python allocates
during an upload and a download, for files of three sizes.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import uvicorn

from inkmeter.clock import SystemClock
from integrations.protocols import DownloadForm
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount, create_app
from server.serving import tune_interpreter

MEGABYTE = 1_000_000
THROUGHPUT_SIZE = 50
BEST_OF = 3
MEMORY_SIZES = (5, 50, 200)
KEY = SandboxAccount().api_key


def serve(listener: socket.socket) -> None:
    """The sandbox, until it is ended."""
    config = uvicorn.Config(create_app(clock=SystemClock()), ws="none", log_config=None)
    uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    # Named as TCP: asyncio lets small answers go at once only where it knows that it is.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()


def pdf(folder: Path, megabytes: int) -> Path:
    """A file that begins like a PDF."""
    path = folder / f"{megabytes}.pdf"
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        for _ in range(megabytes):
            file.write(b"x" * MEGABYTE)
    return path


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[SignNowClient, httpx.AsyncClient]]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(timeout=60) as ours,
        httpx.AsyncClient(timeout=60, base_url=url, headers=headers) as bare,
    ):
        yield SignNowClient(base_url=url, credentials=ApiKey(KEY), http=ours), bare


async def upload(client: SignNowClient, folder_id: str, path: Path) -> str:
    return await client.upload_document(folder_id=folder_id, name=path.stem, file_name=path.name, content=path)


async def bare_upload(http: httpx.AsyncClient, folder_id: str, path: Path) -> str:
    with path.open("rb") as file:
        files, data = {"file": (path.name, file, "application/pdf")}, {"name": path.stem, "folder_id": folder_id}
        answer = await http.post("/document", files=files, data=data)
    return str(answer.raise_for_status().json()["id"])


async def download(client: SignNowClient, document_id: str) -> int:
    async with client.open_download(document_id, DownloadForm.ORIGINAL) as file:
        return sum([len(chunk) async for chunk in file.chunks])


async def bare_download(http: httpx.AsyncClient, document_id: str) -> int:
    async with http.stream("GET", f"/document/{document_id}/download") as answer:
        return sum([len(chunk) async for chunk in answer.aiter_bytes()])


async def seconds(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await call()
    return time.perf_counter() - begun


async def throughput(url: str, path: Path, rounds: int) -> None:
    async with connected(url) as (client, bare):
        up, down = list[float](), list[float]()
        for number in range(rounds + 1):
            await bare.post("/_sandbox/reset")
            folder_id = await client.ensure_folder("bench")
            document_id = await bare_upload(bare, folder_id, path)
            pairs = [
                (up, lambda f=folder_id: upload(client, f, path), lambda f=folder_id: bare_upload(bare, f, path)),
                (down, lambda d=document_id: download(client, d), lambda d=document_id: bare_download(bare, d)),
            ]
            for ratios, ours, theirs in pairs:
                took: dict[object, list[float]] = {ours: [], theirs: []}
                for turn in range(2 * BEST_OF):
                    call = ours if (turn + number) % 2 else theirs
                    took[call].append(await seconds(call))
                if number:  # the first round warms up
                    ratios.append(min(took[theirs]) / min(took[ours]))
    for name, ratios in (("upload", up), ("download", down)):
        middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{name:<10} {middle:.2f} [{least:.2f}..{most:.2f}] of bare httpx, {THROUGHPUT_SIZE} MB")


async def memory(url: str, folder: Path) -> None:
    async with connected(url) as (client, bare):
        for size in MEMORY_SIZES:
            path = pdf(folder, size)
            await bare.post("/_sandbox/reset")
            folder_id = await client.ensure_folder("bench")
            tracemalloc.start()
            document_id = await upload(client, folder_id, path)
            _, while_up = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            assert await download(client, document_id) == path.stat().st_size
            _, while_down = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            print(f"{size:>4} MB: peak {while_up / MEGABYTE:.1f} MB up, {while_down / MEGABYTE:.1f} MB down")
            path.unlink()


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    tune_interpreter()
    with tempfile.TemporaryDirectory() as name, sandbox() as url:
        folder = Path(name)
        asyncio.run(throughput(url, pdf(folder, THROUGHPUT_SIZE), rounds))
        asyncio.run(memory(url, folder))


if __name__ == "__main__":
    main()
