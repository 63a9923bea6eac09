"""A backend's process as seen from nnspec: asked one case at a time, outlived when it dies."""

import contextlib
import queue
import signal
import subprocess
import tempfile
import threading
from typing import IO

import msgspec

from nnspec.conformance.protocol import PROTOCOL, Hello, Reply, Request

# a line longer than any true answer; a hostile one must not exhaust the memory
LONGEST_LINE = 200_000_000


class BackendGoneError(Exception):
    """The process died or fell silent; the message says how."""


class ProcessRefusedError(ValueError):
    """The process could not be started or speaks another language; the message says why."""


class BackendProcess:
    """One running backend; started on first use and again after it died."""

    def __init__(self, command: list[str]):
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.stderr: IO[bytes] | None = None

    def start(self, seconds: float) -> Hello:
        """Start the process and read its hello; raises ProcessRefusedError."""
        self.close()
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self.lines = queue.Queue()
        words = f"'{' '.join(self.command)}'"
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr
            )
            threading.Thread(
                target=_read_lines, args=(self.process.stdout, self.lines), daemon=True
            ).start()
            hello = msgspec.json.decode(self._next_line(seconds), type=Hello)
            if hello.refused:
                raise ProcessRefusedError(hello.refused)
            if hello.protocol != PROTOCOL:
                raise ProcessRefusedError(
                    f"'{hello.backend}' speaks protocol {hello.protocol}, this is {PROTOCOL}"
                )
        except OSError as error:
            self.close()
            raise ProcessRefusedError(
                f"cannot start '{self.command[0]}': {error.strerror}"
                if not isinstance(error, TimeoutError)
                else f"{words} said nothing for {seconds:.0f} s after its start"
            ) from None
        except BackendGoneError as gone:
            self.close()
            raise ProcessRefusedError(f"{words} {gone}") from None
        except msgspec.DecodeError as error:
            self.close()
            raise ProcessRefusedError(
                f"{words} began with a line that is no hello: {error}"
            ) from None
        except ProcessRefusedError:
            self.close()
            raise
        return hello

    def ask(self, request: Request, seconds: float) -> Reply:
        """The reply to a request; raises BackendGoneError or TimeoutError, and the process is over.

        A line that is no reply, or one to another request, ends it too: what follows could not be
        told apart.
        """
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(msgspec.json.encode(request) + b"\n")
            self.process.stdin.flush()
            reply = msgspec.json.decode(self._next_line(seconds), type=Reply)
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no answer within {seconds:.0f} s") from None
        except BackendGoneError:
            self.close()
            raise
        except BrokenPipeError:
            gone = self._gone()
            self.close()
            raise gone from None
        except msgspec.DecodeError as error:
            self.close()
            raise BackendGoneError(f"answered with a line that is no reply: {error}") from None
        if reply.id != request.id:
            self.close()
            raise BackendGoneError(f"answered '{reply.id[:80]}' when asked '{request.id}'")
        return reply

    def _next_line(self, seconds: float) -> bytes:
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise self._gone()
        return line

    def _gone(self) -> BackendGoneError:
        assert self.process is not None
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return BackendGoneError("closed its output")
        how = f"exited with status {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        words = self.last_words()
        return BackendGoneError(how + (f"; it last said: {words}" if words else ""))

    def last_words(self) -> str:
        """The end of what the process wrote to standard error, in one line."""
        if self.stderr is None:
            return ""
        size = self.stderr.seek(0, 2)
        self.stderr.seek(max(0, size - 400))
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """End the process, whatever state it is in."""
        if self.process is not None:
            self.process.kill()
            if self.process.stdin is not None:
                with contextlib.suppress(OSError):
                    self.process.stdin.close()
            self.process.wait()
            self.process = None
        if self.stderr is not None:
            self.stderr.close()
            self.stderr = None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read_lines(stream: IO[bytes] | None, lines: "queue.Queue[bytes]") -> None:
    """Pass on each line, and an empty one at the end."""
    assert stream is not None
    with stream:
        while line := stream.readline(LONGEST_LINE):
            lines.put(line)
    lines.put(b"")
