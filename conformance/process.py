"""A backend's process as seen from nnspec: asked one case at a time, outlived when it dies.

Its streams are read and written by threads of their own, so that neither a backend that does not
read nor one that floods its output can hold nnspec up; whatever is waited for has a limit in time
and memory.
"""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from typing import IO

import msgspec
import psutil

from nnspec.conformance import smoke
from nnspec.conformance.protocol import (
    PROTOCOL,
    Hello,
    MessageError,
    Reply,
    Request,
    excerpt,
    read,
)
from nnspec.conformance.suite import one_line

# a line longer than any true answer; a hostile one must not exhaust the memory
LONGEST_LINE = 64_000_000
# a framework may take long to import; the smoke exchange asks for no work at all
START_SECONDS = 120.0
SMOKE_SECONDS = 30.0
# for a process whose input has ended to end itself
FINISH_SECONDS = 2.0
# how often the memory and the life of a process are looked at while it is waited for
PATROL_SECONDS = 0.1
# a process that does not come up so many times in a row is not tried again
MOST_REFUSALS = 3
# no spec has as many; each is compared with every case
MOST_OPERATIONS = 10_000
# every process that a backend starts inherits this variable, wherever it moves itself
MARK = "NNSPEC_PROCESS"


class BackendGoneError(Exception):
    """The process died or fell silent; the message says how."""


class OutOfTurnError(BackendGoneError):
    """What this case met may be left over from the case before; the message says what it is."""


class ProcessRefusedError(ValueError):
    """The process could not be started or speaks another language; the message says why."""


class Limits(msgspec.Struct, frozen=True):
    """What one case may take: seconds, and bytes of the process with all its children."""

    seconds: float = 120.0
    memory: int = 8_000_000_000


class BackendProcess:
    """One running backend; started on first use and again after it died."""

    def __init__(
        self,
        command: list[str],
        limits: Limits | None = None,
        keep_stderr: Callable[[bytes], None] = lambda chunk: None,
    ):
        self.command = command
        self.limits = limits or Limits()
        self.keep_stderr = keep_stderr
        self.process: subprocess.Popen[bytes] | None = None
        self.streams: Streams | None = None
        self.mark = ""
        self.last_id = ""
        self.refusals = 0
        self.refusal = ""

    @property
    def fresh(self) -> bool:
        """Whether the process has not answered any case yet."""
        return not self.last_id

    def start(self, seconds: float = START_SECONDS) -> Hello:
        """Start the process, read its hello and try the echo; raises ProcessRefusedError."""
        self.close()
        if self.refusals >= MOST_REFUSALS:
            raise ProcessRefusedError(f"was given up after {self.refusals} starts: {self.refusal}")
        words = f"'{' '.join(self.command)}'"
        try:
            self._spawn()
            hello = self._greeting(seconds)
            self._smoke(hello)
        except OSError as error:
            why = (
                f"{words} said nothing for {seconds:g} s after its start; is its output flushed"
                " after every line?"
                if isinstance(error, TimeoutError)
                else f"cannot start '{self.command[0]}': {error.strerror}"
            )
            raise self._refuse(why) from None
        except BackendGoneError as gone:
            raise self._refuse(f"{words} {gone}") from None
        except MessageError as error:
            raise self._refuse(f"{words} began with a line that is no hello: {error}") from None
        except ProcessRefusedError as refused:
            raise self._refuse(str(refused)) from None
        except BaseException:
            self.close()
            raise
        self.refusals = 0
        return hello

    def _refuse(self, why: str) -> ProcessRefusedError:
        self.close()
        self.refusals += 1
        self.refusal = why
        return ProcessRefusedError(why)

    def _spawn(self) -> None:
        self.last_id = ""
        self.mark = f"{os.getpid()}-{uuid.uuid4().hex}"
        # a session of its own: what the backend starts can be ended with it
        self.process = subprocess.Popen(
            self.command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {MARK: self.mark},
            start_new_session=True,
        )
        self.streams = Streams(self.process, self.keep_stderr)

    def _greeting(self, seconds: float) -> Hello:
        hello = read(self._next_line(seconds), Hello)
        if hello.refused:
            raise ProcessRefusedError(one_line(hello.refused))
        name = one_line(hello.backend, 100)
        if hello.protocol != PROTOCOL:
            raise ProcessRefusedError(
                f"'{name}' speaks protocol {hello.protocol}, this is {PROTOCOL}"
            )
        if len(hello.operations) > MOST_OPERATIONS:
            raise ProcessRefusedError(f"'{name}' claims {len(hello.operations)} operations")
        return msgspec.structs.replace(
            hello,
            backend=name,
            version=one_line(hello.version, 100),
            unsupported={key: one_line(why) for key, why in hello.unsupported.items()},
        )

    def _smoke(self, hello: Hello) -> None:
        asked = smoke.request(hello)
        self._send(asked)
        try:
            line = self._next_line(SMOKE_SECONDS)
        except TimeoutError:
            raise ProcessRefusedError(
                f"'{hello.backend}' did not answer the smoke exchange within {SMOKE_SECONDS:g} s;"
                " is its output flushed after every line?"
            ) from None
        wrong = smoke.complaint(asked, line)
        if wrong is not None:
            raise ProcessRefusedError(f"'{hello.backend}': {wrong}")

    def ask(self, request: Request, seconds: float | None = None) -> Reply:
        """The reply to a request; raises BackendGoneError or TimeoutError, and the process is over.

        A line that is no reply, or one to another request, ends it too: what follows could not be
        told apart. Where the case before may be to blame the error is an OutOfTurnError.
        """
        seconds = self.limits.seconds if seconds is None else seconds
        try:
            self._send(request)
            line = self._next_line(seconds)
            try:
                reply = read(line, Reply)
            except MessageError as error:
                raise OutOfTurnError(f"wrote a line that is no reply: {error}") from None
            if reply.id != request.id:
                again = " a second time" if reply.id == self.last_id else ""
                raise OutOfTurnError(
                    f"answered '{one_line(reply.id, 80)}'{again} when asked '{request.id}'"
                )
        except TimeoutError:
            half = self.streams.half if self.streams else 0
            self.close()
            written = f"; it wrote {half} bytes of a line that does not end" if half else ""
            raise TimeoutError(f"no answer within {seconds:g} s{written}") from None
        except BaseException:
            self.close()
            raise
        self.last_id = request.id
        return reply

    def _send(self, request: Request) -> None:
        assert self.streams is not None
        self.streams.outbox.put(msgspec.json.encode(request) + b"\n")

    def _next_line(self, seconds: float) -> bytes:
        """The next line; raises TimeoutError or BackendGoneError."""
        assert self.streams is not None
        until = time.monotonic() + seconds
        patrol = time.monotonic() + PATROL_SECONDS
        while True:
            now = time.monotonic()
            try:
                line = self.streams.lines.get(timeout=max(0.0, min(until, patrol) - now))
            except queue.Empty:
                if time.monotonic() >= until:
                    raise TimeoutError from None
                self._patrol()
                patrol = time.monotonic() + PATROL_SECONDS
                continue
            if line.endswith(b"\n"):
                return line
            if len(line) >= LONGEST_LINE:
                raise BackendGoneError(f"wrote a line of more than {LONGEST_LINE:,} bytes")
            raise self._gone(line)

    def _patrol(self) -> None:
        """Raise BackendGoneError where the process uses too much memory or is no more."""
        assert self.process is not None
        assert self.streams is not None
        used = memory_of(self.process.pid, self.limits.memory)
        if used > self.limits.memory:
            allowed = size(self.limits.memory)
            raise BackendGoneError(f"used {size(used)}, more than the {allowed} allowed")
        # a child may hold its output open for ever
        if self.process.poll() is not None:
            self.streams.reader.join(PATROL_SECONDS)
            if self.streams.lines.empty():
                raise self._gone(b"")
        if self.streams.deaf:
            raise OutOfTurnError("closed its input")

    def _gone(self, last: bytes) -> BackendGoneError:
        """How the process ended, whose output ended with this half line."""
        assert self.process is not None
        half = f" in the middle of a line: {excerpt(last)}" if last else ""
        try:
            code = self.process.wait(timeout=FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            return OutOfTurnError(f"closed its output{half}")
        words = self.last_words()
        said = f"; it last said: {words}" if words else ""
        if code >= 0:
            return OutOfTurnError(f"exited with status {code}{half}{said}")
        return BackendGoneError(f"was killed by {_signal(-code)}{half}{said}")

    def last_words(self) -> str:
        """The last line that the process wrote to standard error."""
        if self.streams is None:
            return ""
        self.streams.errors.join(1)
        lines = self.streams.last_error.decode(errors="replace").strip().splitlines()
        return one_line(lines[-1], 300) if lines else ""

    def finish(self) -> str | None:
        """End the process's input and let it end itself; what it still said, if anything."""
        if self.process is None or self.streams is None:
            return None
        self.streams.outbox.put(None)
        left_over = None
        try:
            line = self._next_line(FINISH_SECONDS)
            left_over = f"wrote {excerpt(line)}"
            with contextlib.suppress(MessageError):
                again = read(line, Reply).id
                left_over = f"answered '{one_line(again, 80)}' a second time"
        except (TimeoutError, BackendGoneError):
            pass
        self.close()
        return left_over

    def close(self) -> None:
        """End the process and all that it started, whatever state they are in."""
        process, self.process = self.process, None
        streams, self.streams = self.streams, None
        if process is None:
            return
        if streams is not None:
            streams.over.set()
            streams.outbox.put(None)
        end_tree(process, self.mark)


class Streams:
    """The three streams of a process, each served by a thread."""

    def __init__(self, process: subprocess.Popen[bytes], keep_stderr: Callable[[bytes], None]):
        # few: a flood waits in the pipe, not in memory; the end is an item without a line's end
        self.lines: queue.Queue[bytes] = queue.Queue(2)
        self.outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.over = threading.Event()
        self.deaf = False
        self.half = 0
        self.last_error = b""
        self.keep_stderr = keep_stderr
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.errors = _thread(self._read_errors, process.stderr)
        _thread(self._write, process.stdin)
        self.reader = _thread(self._read, process.stdout)

    def _write(self, stream: IO[bytes]) -> None:
        try:
            while (message := self.outbox.get()) is not None:
                rest = memoryview(message)
                while rest:
                    rest = rest[stream.write(rest) :]
        except OSError:
            self.deaf = True
        finally:
            with contextlib.suppress(OSError):
                stream.close()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            buffer = bytearray()
            while chunk := _chunk(stream):
                head, *ends = chunk.split(b"\n")
                buffer += head
                for part in ends:
                    if not self._pass_on(bytes(buffer) + b"\n"):
                        return
                    buffer = bytearray(part)
                self.half = len(buffer)
                if self.half > LONGEST_LINE:
                    break
            self._pass_on(bytes(buffer))

    def _pass_on(self, line: bytes) -> bool:
        while not self.over.is_set():
            with contextlib.suppress(queue.Full):
                self.lines.put(line, timeout=0.5)
                return True
        return False

    def _read_errors(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := _chunk(stream):
                self.last_error = (self.last_error + chunk)[-4096:]
                self.keep_stderr(chunk)


def _chunk(stream: IO[bytes]) -> bytes:
    with contextlib.suppress(OSError):
        return os.read(stream.fileno(), 1 << 16)
    return b""


def _thread(function: Callable[[IO[bytes]], None], stream: IO[bytes]) -> threading.Thread:
    thread = threading.Thread(target=function, args=(stream,), daemon=True)
    thread.start()
    return thread


def memory_of(pid: int, enough: int) -> int:
    """The bytes that a process and its children use; shared ones count once if it comes to that."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    used = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            used += member.memory_info().rss
    if used <= enough or len(family) == 1:
        return used
    shared_out = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            found = member.memory_full_info()
            shared_out += getattr(found, "pss", found.rss)
    return shared_out


def size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def end_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a process, its group, and whatever else carries its mark."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    for number in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            other = psutil.Process(number)
            if other.environ().get(MARK) == mark:
                other.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
