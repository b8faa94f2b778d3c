"""The command `inkmeter` as a process, run in the current folder."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "server"]
PATIENCE_S = 60


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. `settings` are variables without their prefix, in lower case."""
    return subprocess.run(  # noqa: S603
        [*COMMAND, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        encoding="utf-8",
    )


def environment(settings: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **{f"INKMETER_{name.upper()}": value for name, value in settings.items()}}


def complaint(ran: subprocess.CompletedProcess[str]) -> str:
    """The one clear line with which a command ended, status 1, and nothing else."""
    assert ran.returncode == 1, ran
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.stdout == ""
    [line] = ran.stderr.splitlines()
    assert line.startswith("inkmeter: ")
    return line.removeprefix("inkmeter: ")


class Running:
    """A command that goes on until it is told to stop."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process, self._output = process, output

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> str:
        """The first group of the pattern, as soon as it was printed."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output):
                return found[1]
            assert self.process.poll() is None, self.output
            time.sleep(0.05)
        raise TimeoutError(f"{pattern!r} was not printed:\n{self.output}")

    def stop(self, number: signal.Signals) -> None:
        """Send a signal; the command ends by itself, with status 0 and without a traceback."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE_S) == 0, self.output
        assert "Traceback" not in self.output, self.output
        assert "Aborted" not in self.output


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator[Running]:
    """Start a command, and see to it that it is gone at the end."""
    output = folder / f"{'-'.join(arguments)}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603
            [*COMMAND, *arguments], env=environment(settings), stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield Running(process, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
