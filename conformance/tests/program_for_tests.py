"""A backend without any package, with one fault on one case: `python program_for_tests.py FAULT`.

It answers `tanh`; the fault shows on the case with CASE as its id, and every other case is answered
as it should be.
"""

import ctypes
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

CASE = "tanh-plain-f64"
Json = dict[str, Any]
previous = "nothing"


def say(line: str | bytes) -> None:
    raw = line.encode() if isinstance(line, str) else line
    while raw:
        raw = raw[os.write(1, raw) :]


def send(message: Json) -> None:
    say(json.dumps(message) + "\n")


def word(v: float) -> Any:
    if math.isnan(v):
        return "NaN"
    return v if math.isfinite(v) else "Infinity" if v > 0 else "-Infinity"


def answer(request: Json) -> Json:
    if request["operation"] == "echo":
        return {"id": request["id"], "outputs": request["inputs"]}
    x = request["inputs"]["x"]
    y = [math.tanh(float(v)) for v in x["data"]]
    if x["dtype"] == "float32":
        y = [struct.unpack("f", struct.pack("f", v))[0] for v in y]
    return {"id": request["id"], "outputs": {"y": x | {"data": [word(v) for v in y]}}}


def sleep() -> None:
    time.sleep(600)


def spin() -> None:
    while True:
        pass


def eat(size: int = 2_000_000_000) -> None:
    eaten = []
    for _ in range(size // 20_000_000):
        eaten.append(bytearray(b"x") * 20_000_000)
    sleep()


def child(*work: Callable[[], Any], leave: bool = False) -> int:
    """A forked process that does this and ends; in a session of its own with `leave`."""
    number = os.fork()
    if number:
        return number
    if leave:
        os.setsid()
        if os.fork():
            os._exit(0)
    for each in work:
        each()
    os._exit(0)


def write_pid() -> None:
    with open(os.environ["CHILD_PID"], "w") as file:
        file.write(str(os.getpid()))


def changed(request: Json, **change: Any) -> None:
    reply = answer(request)
    reply["outputs"]["y"].update(change)
    send(reply)


def raw_data(request: Json, shape: str, data: str) -> None:
    say(
        f'{{"id":"{request["id"]}","outputs":{{"y":{{"dtype":"float64","shape":{shape},'
        f'"data":[{data}]}}}}}}\n'
    )


def deaf() -> None:
    os.close(0)
    sleep()


def mute() -> None:
    os.close(1)
    sleep()


def flood_stderr() -> None:
    for _ in range(10_000):
        os.write(2, b"all is lost " * 300 + b"\n")


def flood_stdout() -> None:
    while True:
        say(b"y" * 1000 + b"\n")


def fault(name: str, request: Json) -> bool:
    """What the fault does on its case; True if the right answer still follows."""
    case = request["id"]
    match name:
        case "segfaults":
            ctypes.string_at(0)
        case "exits":
            sys.exit(0)
        case "exits with words":
            sys.exit("out of luck")
        case "sleeps":
            sleep()
        case "spins":
            spin()
        case "eats":
            eat()
        case "child eats":
            child(eat)
            sleep()
        case "rubbish before":
            say("rubbish {\n")
            return True
        case "rubbish after":
            send(answer(request))
            say("rubbish {\n")
        case "empty line":
            say("\n")
            return True
        case "half a line":
            say('{"id": "tanh')
            sys.exit(0)
        case "half a line and sleeps":
            say('{"id": "tanh')
            sleep()
        case "late":
            time.sleep(1.3)
            return True
        case "twice":
            send(answer(request))
            return True
        case "twice with another":
            send(answer(request))
            send({"id": case, "error": "on second thoughts"})
        case "twice at the end":
            send(answer(request))
            time.sleep(0.2)
            return True
        case "another id":
            send(answer(request) | {"id": "tanh-nobody"})
        case "the id before":
            send(answer(request) | {"id": previous})
        case "wrong shape":
            changed(request, shape=[len(request["inputs"]["x"]["data"])])
        case "wrong dtype":
            changed(request, dtype="float32")
        case "nan":
            changed(request, data=["NaN"] * len(request["inputs"]["x"]["data"]))
        case "no outputs":
            send({"id": case, "outputs": {}})
        case "one more output":
            reply = answer(request)
            send(reply | {"outputs": reply["outputs"] | {"z": reply["outputs"]["y"]}})
        case "nothing at all":
            send({"id": case})
        case "outputs and error":
            send(answer(request) | {"error": "both"})
        case "error":
            send({"id": case, "error": "no\x1b[31m\nluck"})
        case "huge line":
            say(b"x" * 66_000_000)
            sleep()
        case "nested":
            say(f'{{"id": "{case}", "more": {"[" * 100_000}{"]" * 100_000}}}\n')
        case "no utf-8":
            say(b'{"id": "\xff"}\n')
        case "an array":
            say("[1, 2]\n")
        case "1e999":
            raw_data(request, "[1]", "1e999")
        case "a long integer":
            raw_data(request, "[1]", "9" * 100_000)
        case "a wide integer":
            raw_data(request, "[1]", "9" * 400)
        case "null":
            raw_data(request, "[1]", "null")
        case "negative shape":
            raw_data(request, "[-1]", "1")
        case "overflowing shape":
            raw_data(request, f"[{2**62}, {2**62}, 4]", "1")
        case "closes its output":
            mute()
        case "closes its input":
            deaf()
        case "floods stderr":
            flood_stderr()
            os.abort()
        case "floods stdout":
            flood_stdout()
        case "child lives on":
            child(write_pid, sleep)
            return True
        case "child leaves":
            child(write_pid, sleep, leave=True)
            time.sleep(0.2)
            return True
        case "child lives on, parent dies":
            child(write_pid, sleep)
            os.abort()
        case "child writes":
            os.waitpid(child(lambda: say("rubbish of a child\n")), 0)
            return True
        case "answers and exits":
            send(answer(request))
            sys.exit(3)
        case _:
            raise SystemExit(f"there is no fault '{name}'")
    return False


def main() -> None:
    global previous
    name = sys.argv[1]
    hello = {"hello": "nnspec", "protocol": 1, "backend": "program", "operations": ["tanh"]}
    send(hello | {"dtypes": ["float32", "float64"], "from": "the future"})
    if name == "never reads":
        sleep()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if name == "stops reading" and request["operation"] == "echo":
            send(answer(request))
            sleep()
        if request["id"] != CASE or name == "honest" or fault(name, request):
            send(answer(request))
        previous = request["id"]


if __name__ == "__main__":
    main()
