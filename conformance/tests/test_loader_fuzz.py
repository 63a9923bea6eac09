"""Whatever stands in a file or a message, it is refused in one sentence, in bounded time."""

import copy
import json
import os
import random
import resource
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnspec.conformance import builder, deviations, journal, smoke
from nnspec.conformance.protocol import Hello, MessageError, OutputData, Reply, read
from nnspec.conformance.runner import request, verdict_of
from nnspec.conformance.suite import (
    MOST_BYTES,
    VECTORS,
    ArrayData,
    Suite,
    SuiteError,
    load,
    read_file,
    select,
    suite,
)
from nnspec.conformance.verdict import VERDICTS, result
from nnspec.conformance.worker import answer
from nnspec.reference import primitives

# hypothesis: examples that write files are slow, and that is no fault
FILES = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VECTOR = select(suite().vectors, ["tanh-plain-f32"])[0]
FILE: Any = json.loads((VECTORS / "primitives" / "tanh.json").read_text())
FILE["cases"] = FILE["cases"][:3]


class Backend:
    tanh = staticmethod(primitives.tanh)


HONEST: Any = json.loads(json.dumps(msgspec.to_builtins(answer(Backend, request(VECTOR)))))
HELLO: Any = {
    "hello": "nnspec",
    "protocol": 1,
    "backend": "x",
    "operations": ["tanh"],
    "dtypes": ["float32"],
}
HARD: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    2**64,
    -(2**70),
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "NaN",
    "../../etc/passwd",
    "a\nb",
    "\x1b[31m\x00",
    "\u202e" * 50,
    "x" * 5000,
    [],
    {},
    [[1]],
    [0] * 40,
    [2**62, 2**62, 4],
    [10**7] * 3,
    {"dtype": "float32", "shape": [-1], "data": [1]},
    {"dtype": "object", "shape": [], "data": ["x"]},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, those of long lists left out but for a few."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 3)):
            found += places(value[index], (*path, index))
    return found


def mutated(original: Any, seed: int) -> bytes:
    """A valid message or file with a few places changed, as text that may be changed again."""
    draw = random.Random(seed)
    holder = {"": copy.deepcopy(original)}
    for _ in range(draw.randint(1, 3)):
        path = ("", *draw.choice(places(holder[""])))
        target: Any = holder
        for key in path[:-1]:
            target = target[key]
        kind = draw.randrange(4)
        if kind == 0 and isinstance(target, dict) and path[-1]:
            del target[path[-1]]
        elif kind == 1 and isinstance(target, dict) and path[-1]:
            target[draw.choice(["x", "../x", "shape", "data", "y" * 300, "\x1b"])] = draw.choice(
                HARD
            )
        else:
            target[path[-1]] = copy.deepcopy(draw.choice(HARD))
    text = json.dumps(holder[""], ensure_ascii=draw.random() < 0.5).encode(errors="surrogatepass")
    return spoiled(text, draw) if draw.random() < 0.5 else text


def spoiled(text: bytes, draw: random.Random) -> bytes:
    """Bytes cut, put in, doubled or changed."""
    at = draw.randrange(len(text) + 1)
    to = min(len(text), at + draw.randrange(30))
    junk = [
        b"\xff",
        b"\x00",
        b"9" * 100_000,
        b"-0",
        b"1e999",
        b"NaN",
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'"id":"b",',
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"0." + b"1" * 20_000,
        b"[[[[",
        b",",
    ]
    match draw.randrange(4):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + draw.choice(junk) + text[at:]
        case 2:
            return text[:at] + draw.choice(junk) + text[to:]
        case _:
            return text[:to] + text[at:]


SEEDS = st.integers(0, 2**32)


def put_file(folder: Path, raw: bytes) -> Suite:
    """The suite of a folder with this one file."""
    path = folder / "primitives" / "tanh.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw)
    begin = time.monotonic()
    loaded = load(folder)
    assert time.monotonic() - begin < 5
    for sentence in loaded.damaged:
        assert sentence.isprintable()
        assert sentence.startswith("primitives/tanh.json: ")
        assert len(sentence) < 700
    return loaded


@FILES
@given(st.binary(max_size=400))
def test_no_bytes_break_the_loader(tmp_path: Path, raw: bytes) -> None:
    assert put_file(tmp_path, raw).damaged


@FILES
@given(SEEDS)
def test_no_change_of_a_vector_file_breaks_the_loader(tmp_path: Path, seed: int) -> None:
    loaded = put_file(tmp_path, mutated(FILE, seed))
    for vector in loaded.vectors:
        # what is loaded can be run and judged
        found, _ = verdict_of(vector, answer(Backend, request(vector)), 0.0)
        assert found.verdict in VERDICTS


def refused(sentence: str, begin: str = "") -> None:
    """A refusal is one printable line."""
    assert sentence.startswith(begin)
    assert sentence.isprintable()
    assert len(sentence) < 1500


def read_or_refuse(line: bytes, kind: type[Any]) -> Any:
    """The message, or None where it is refused."""
    try:
        return read(line, kind)
    except MessageError as error:
        refused(str(error))
    return None


@given(st.one_of(st.binary(max_size=400), SEEDS.map(lambda seed: mutated(HONEST, seed))))
@settings(max_examples=600, deadline=None)
def test_no_reply_breaks_the_verdict(line: bytes) -> None:
    begin = time.monotonic()
    reply = read_or_refuse(line, Reply)
    if reply is not None:
        found, _ = verdict_of(VECTOR, reply, 0.0)
        assert found.verdict in VERDICTS
        assert found.reason.isprintable()
        assert len(found.reason) < 1500
    assert time.monotonic() - begin < 2


@given(st.one_of(st.binary(max_size=400), SEEDS.map(lambda seed: mutated(HELLO, seed))))
@settings(max_examples=300, deadline=None)
def test_no_hello_breaks_the_reader(line: bytes) -> None:
    hello = read_or_refuse(line, Hello)
    if hello is not None:
        asked = smoke.request(hello)
        assert asked.id == smoke.ID


ASKED = smoke.request(Hello("nnspec", 1, "x"))
ECHO: Any = {
    "id": "smoke",
    "outputs": json.loads(json.dumps(msgspec.to_builtins(ASKED)))["inputs"],
}


@given(st.one_of(st.binary(max_size=400), SEEDS.map(lambda seed: mutated(ECHO, seed))))
@settings(max_examples=400, deadline=None)
def test_no_echo_breaks_the_smoke_exchange(line: bytes) -> None:
    wrong = smoke.complaint(ASKED, line)
    assert wrong is None or wrong.isprintable()


HEADER = journal.header(Hello("nnspec", 1, "x"), (), "", "")
RESULT: Any = msgspec.to_builtins(result(VECTOR, "pass", ""))


@FILES
@given(st.one_of(st.binary(max_size=300), SEEDS.map(lambda seed: mutated(RESULT, seed))))
def test_no_journal_breaks_resume(tmp_path: Path, raw: bytes) -> None:
    first = journal.Journal(tmp_path, resume=False)
    first.open(HEADER)
    first.close()
    (tmp_path / "results.jsonl").write_bytes(raw + b"\n")
    again = journal.Journal(tmp_path, resume=True)
    try:
        again.open(HEADER)
    except SuiteError as error:
        refused(str(error), f"--resume: {tmp_path / 'results.jsonl'}, line ")
    finally:
        again.close()


LIST = "[[deviation]]\ncases = ['tanh-plain-f32']\nreason = 'x'\nurl = 'y'\n"


def changed_text(seed: int) -> bytes:
    return spoiled(LIST.encode(), random.Random(seed))


@FILES
@given(st.one_of(st.binary(max_size=300), SEEDS.map(changed_text)))
def test_no_list_of_deviations_breaks_its_reader(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "known.toml"
    file.write_bytes(raw)
    try:
        found = deviations.load(file, {VECTOR.id})
    except SuiteError as error:
        refused(str(error), f"--deviations {file}: ")
    else:
        assert set(found) <= {VECTOR.id}
        tomllib.loads(raw.decode())


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "vectors", tmp_path / "outside.json"
    (inside / "primitives").mkdir(parents=True)
    outside.write_text(json.dumps(FILE))
    (inside / "primitives" / "tanh.json").symlink_to(outside)
    (inside / "elsewhere").symlink_to(VECTORS / "primitives")
    loaded = load(inside)
    assert not loaded.vectors
    assert all("lies outside its folder" in sentence for sentence in loaded.damaged)


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "primitives").mkdir()
    os.mkfifo(tmp_path / "primitives" / "tanh.json")
    assert "is no file" in load(tmp_path).damaged[0]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "primitives" / "tanh.json"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SuiteError, match="more than the 30000000 allowed"):
        read_file(path)


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "", "a\nb", "x" * 200, "A", ".\x00", "a b", "tanh\u202e"]
)
def test_an_id_that_could_be_a_path_or_a_line_is_refused(tmp_path: Path, name: str) -> None:
    file = copy.deepcopy(FILE)
    file["cases"][0]["id"] = name
    assert "is no id" in put_file(tmp_path, json.dumps(file).encode()).damaged[0]


def test_an_id_of_a_stored_file_cannot_retire_another(tmp_path: Path) -> None:
    file = copy.deepcopy(FILE)
    file["cases"][0]["id"] = "gone\ntanh-plain-f32"
    put_file(tmp_path, json.dumps(file).encode())
    with pytest.raises(SuiteError, match="is no id"):
        builder.build(tmp_path, 1, lambda: None, ["primitives"])
    assert not (tmp_path / "retired.txt").exists()


def change(edit: Callable[[Any], Any]) -> bytes:
    file = copy.deepcopy(FILE)
    edit(file["cases"][0])
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda c: c.update(clauses=["no.such"]), "clauses: the spec has no 'no.such'"),
        (lambda c: c.update(attributes={"axis": 1}), "attributes: tanh has no 'axis' of '1'"),
        (lambda c: c.update(note="\x1b[2J"), "note: holds characters that cannot be shown"),
        (lambda c: c.update(outputs={}, sigma={}, classes={}), "outputs.y: is missing"),
    ],
)
def test_a_case_that_the_spec_does_not_know_is_refused(
    tmp_path: Path, edit: Callable[[Any], Any], sentence: str
) -> None:
    assert sentence in put_file(tmp_path, change(edit)).damaged[0]


@pytest.mark.parametrize("text", ["[true]", "[1" + "0" * 400 + "]", "[[1]]"])
def test_an_element_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    data = {"dtype": "float32", "shape": [1], "data": json.loads(text)}
    raw = change(lambda case: case["inputs"].update(x=data))
    assert put_file(tmp_path, raw).damaged


def test_hostile_sizes_take_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in ([10**7] * 32, [2**62], [10**7], [0] * 33, [1] * 100_000, [10**30, 0]):
        for kind in (ArrayData, OutputData):
            begin = time.monotonic()
            with pytest.raises(ValueError, match=r"\w"):
                kind("float32", shape, [1.0]).array()
            assert time.monotonic() - begin < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
