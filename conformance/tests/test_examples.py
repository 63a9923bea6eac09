"""The worked examples and the skeletons of backends: built, run, and told nonsense."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from nnspec.conformance import new_backend
from nnspec.conformance.cli import main
from nnspec.conformance.new_backend import EXAMPLES, LANGUAGES
from nnspec.conformance.process import BackendProcess
from nnspec.conformance.runner import run_command, worker_command
from nnspec.conformance.suite import suite

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ARRAY = {"dtype": "float32", "shape": [2], "data": [1.0, 2.0]}


def tool(*names: str) -> str:
    """The first of these programs that is there; skips the test where none is."""
    for name in names:
        if shutil.which(name):
            return name
    pytest.skip(f"not built and not run: there is no {' or '.join(names)} here")


def build(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def compile_c(source: Path, target: Path, *flags: str) -> list[str]:
    build(tool("gcc", "cc", "clang"), *WARNINGS, "-O2", *flags, "-o", target, source, "-lm")
    return [str(target)]


def compile_rust(folder: Path, target: Path) -> list[str]:
    manifest = folder / "Cargo.toml"
    build(
        *(tool("cargo"), "build", "--release", "--locked", "--offline"),
        *("--manifest-path", manifest, "--target-dir", target),
    )
    return [str(target / "release" / "nnspec-backend")]


@pytest.fixture(scope="module", params=["c", "js", "rust"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("example")
    if request.param == "c":
        return compile_c(EXAMPLES / "c" / "backend.c", folder / "backend")
    if request.param == "js":
        return [tool("node"), str(EXAMPLES / "js" / "backend.mjs")]
    return compile_rust(EXAMPLES / "rust", folder / "target")


def test_an_example_passes_every_case_of_its_operations(example: list[str]) -> None:
    process = BackendProcess(example)
    hello = process.start()
    process.close()
    wanted = {"gru_step", "gru_step.vjp", "gru_sequence", "softmax", "softmax.vjp"}
    assert set(hello.operations) == wanted | {"sigmoid", "tanh", "affine"}
    vectors = [
        v
        for v in suite().vectors
        if v.operation.name in hello.operations and v.case.dtype in hello.dtypes
    ]
    done = run_command(example, vectors)
    assert {(found.case, found.verdict, found.reason) for found in done.results} == {
        (v.id, "pass", "") for v in vectors
    }
    assert {found.dtype for found in done.results} == {"float32", "float64"}


def test_an_example_says_why_the_rest_is_not_there(example: list[str]) -> None:
    chosen = [v for v in suite().vectors if v.operation.name == "gru_reset_after_step"]
    done = run_command(example, chosen)
    assert {found.verdict for found in done.results} == {"unsupported"}
    assert "the example has the deck's form only" in {found.reason for found in done.results}


def echo(**fields: Any) -> bytes:
    return json.dumps({"id": "e", "operation": "echo", "attributes": {}, "inputs": fields}).encode()


def test_an_echo_is_exact(example: list[str]) -> None:
    whole = {"dtype": "int64", "shape": [3], "data": [2**63 - 1, -(2**63), 9007199254740993]}
    floats = {"dtype": "float64", "shape": [2, 2], "data": [-0.0, 5e-324, 0.1, "NaN"]}
    exact: dict[str, Any] = {
        "w": whole,
        "f": floats,
        "__proto__": ARRAY,
        "s": ARRAY | {"shape": [2, 1, 1]},
    }
    exact["deep"] = {"dtype": "float32", "shape": [1] * 32, "data": [1.17549435e-38]}
    exact['"\\\u2028 [12345678901234567890] 世'] = {"dtype": "bool", "shape": [], "data": [True]}
    done = subprocess.run(example, input=echo(**exact) + b"\n", capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.splitlines()[1])["outputs"]
    assert list(map(str, outputs.pop("f")["data"])) == ["-0.0", "5e-324", "0.1", "NaN"]
    assert outputs.keys() == exact.keys() - {"f"}
    for name, back in outputs.items():
        assert back["shape"] == exact[name]["shape"]
        if back["dtype"] == "float32":  # other decimals of the same float32
            assert np.array_equal(np.float32(back["data"]), np.float32(exact[name]["data"]))
        else:
            assert back == exact[name]


def softmax(x: Any, **attributes: Any) -> str:
    inputs = {"x": x} if x is not None else {}
    return json.dumps(
        {"id": "a", "operation": "softmax", "attributes": attributes, "inputs": inputs}
    )


def raw(x: str) -> str:
    """A softmax of an array that json.dumps would not write."""
    return softmax("@").replace('"@"', x)


def gru(**changes: Any) -> str:
    """A gru_step with B = 2, I = 1, H = 2, and something wrong with it."""
    shapes = {"x": [2, 1], "h_prev": [2, 2], "W_z": [2, 3], "W_r": [2, 3], "W": [2, 3]}
    inputs: dict[str, Any] = {
        name: {"dtype": "float64", "shape": shape, "data": [0.5] * (shape[0] * shape[1])}
        for name, shape in shapes.items()
    }
    request = {"id": "a", "operation": "gru_step", "inputs": inputs | changes}
    return json.dumps(request)


# one line each, and whether it is refused by a reply or by the end of the process
REPLIES = {
    "no such operation": softmax(ARRAY).replace("softmax", "toString"),
    "operation no string": softmax(ARRAY).replace('"softmax"', "7"),
    "no inputs": '{"id":"a","operation":"softmax"}',
    "input missing": softmax(None),
    "inputs a list": '{"id":"a","operation":"softmax","inputs":[]}',
    "attributes a list": '{"id":"a","operation":"softmax","inputs":{},"attributes":[]}',
    "input unknown": softmax(ARRAY).replace('"x"', '"q"'),
    "input called __proto__": softmax(ARRAY).replace('"x"', '"__proto__"'),
    "array a number": softmax(3),
    "array null": raw("null"),
    "dtype unknown": softmax(ARRAY | {"dtype": "constructor"}),
    "dtype a number": softmax(ARRAY | {"dtype": 32}),
    "integers": softmax(ARRAY | {"dtype": "int64", "data": [1, 2]}),
    "no shape": softmax({"dtype": "float32", "data": [1.0]}),
    "shape a number": softmax(ARRAY | {"shape": 2}),
    "size negative": softmax(ARRAY | {"shape": [-2]}),
    "two sizes negative": softmax(ARRAY | {"shape": [-2, -1]}),
    "size a fraction": softmax(ARRAY | {"shape": [2.5]}),
    "size a string": softmax(ARRAY | {"shape": ["2"]}),
    "size huge": softmax(ARRAY | {"shape": [10**30]}),
    "sizes that wrap to 2": softmax(ARRAY | {"shape": [2**32 + 1, 2**32]}),
    "huge and empty": softmax(ARRAY | {"shape": [0, 2**40], "data": []}),
    "many axes": softmax(ARRAY | {"shape": [1] * 1000}),
    "no data": softmax({"dtype": "float32", "shape": [2]}),
    "data a string": softmax(ARRAY | {"data": "12"}),
    "data nested": softmax(ARRAY | {"data": [[1.0, 2.0]]}),
    "data null": softmax(ARRAY | {"data": [1.0, None]}),
    "data true": softmax(ARRAY | {"data": [1.0, True]}),
    "data words": softmax(ARRAY | {"data": [1.0, "nan"]}),
    "data short": softmax(ARRAY | {"data": [1.0]}),
    "data long": softmax(ARRAY | {"data": [1.0] * 3}),
    "number huge": raw('{"dtype":"float64","shape":[1],"data":[1e999]}'),
    "number long": raw(f'{{"dtype":"float64","shape":[1],"data":[{"9" * 5000}]}}'),
    "axis beyond": softmax(ARRAY, axis=1),
    "axis far beyond": softmax(ARRAY, axis=-(10**30)),
    "axis a fraction": softmax(ARRAY, axis=0.5),
    "axis a string": softmax(ARRAY, axis="0"),
    "axis of a scalar": softmax({"dtype": "float32", "shape": [], "data": [1.0]}),
    "axis empty": softmax({"dtype": "float32", "shape": [2, 0], "data": []}),
    "attribute unknown": softmax(ARRAY, temperature=2.0),
    "other dtype": gru(x=ARRAY | {"shape": [2, 1]}),
    "other batch": gru(x={"dtype": "float64", "shape": [3, 1], "data": [1.0] * 3}),
    "other rank": gru(W={"dtype": "float64", "shape": [6], "data": [1.0] * 6}),
    "other width": gru(W={"dtype": "float64", "shape": [2, 4], "data": [1.0] * 8}),
    "bias too long": gru(b={"dtype": "float64", "shape": [3], "data": [1.0] * 3}),
}
ENDS = {
    "nothing": "",
    "no JSON": "hello",
    "truncated": softmax(ARRAY)[:-9],
    "two at once": softmax(ARRAY) * 2,
    "bare NaN": raw('{"dtype":"float32","shape":[1],"data":[NaN]}'),
    "number without digits": raw('{"dtype":"float32","shape":[1],"data":[-]}'),
    "bad escape": '{"id":"\\q"}',
    "half an escape": '{"id":"\\u12',
    "string without end": '{"id":"a',
    "a list": "[]",
    "no id": '{"operation":"softmax"}',
    "id a number": '{"id":1,"operation":"softmax"}',
    "deep": "[" * 200_000,
    "deep within": '{"id":{"a":' * 100_000,
}


def dialogue(command: list[str], *lines: bytes) -> tuple[int, list[Any], str]:
    """Status, replies and last words of a program that is told these lines, each before an echo."""
    told = b"".join(line + b"\n" + echo(x=ARRAY) + b"\n" for line in lines)
    done = subprocess.run(command, input=told, capture_output=True, timeout=60)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert replies[0]["hello"] == "nnspec"
    return done.returncode, replies[1:], done.stderr.decode(errors="replace")


def check_nonsense(command: list[str], seen: int = 200) -> None:
    status, replies, words = dialogue(command, *(line.encode() for line in REPLIES.values()))
    for name, refused, echoed in zip(REPLIES, replies[::2], replies[1::2], strict=False):
        assert refused.keys() in ({"id", "error"}, {"id", "unsupported"}), name
        assert refused["id"] == "a", name
        assert len(refused.get("error", refused.get("unsupported"))) > 5, name
        assert echoed["outputs"]["x"]["data"] == ARRAY["data"], name
    assert (status, len(replies)) == (0, 2 * len(REPLIES)), words
    for name, line in ENDS.items():
        status, replies, words = dialogue(command, line.encode())
        assert (status, replies) == (2, []), (name, words)
        assert 5 < len(words.strip()) < seen, name
        assert "\n" not in words.strip(), name
    status, replies, words = dialogue(command, b'\xff\xfe\x00{"id":"a"}')
    assert status == 2, words


def test_an_example_survives_nonsense(example: list[str]) -> None:
    check_nonsense(example)


def test_the_example_in_c_is_clean_under_sanitizers(tmp_path: Path) -> None:
    try:
        program = compile_c(EXAMPLES / "c" / "backend.c", tmp_path / "backend", *SANITIZERS)
    except AssertionError as error:
        if "asan" not in str(error) and "ubsan" not in str(error):
            raise
        pytest.skip("not run: this compiler has no sanitizers")
    check_nonsense(program)
    chosen = [v for v in suite().vectors if v.operation.topic in {"gru", "primitives"}]
    done = run_command(program, chosen)
    assert done.count("pass", "unsupported") == len(done.results)
    assert done.count("pass") > 100


@pytest.mark.parametrize("end", [b'{"id":', b""])
def test_requests_that_end(example: list[str], end: bytes) -> None:
    done = subprocess.run(example, input=end, capture_output=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1
    assert (done.returncode, done.stderr != b"") == ((2, True) if end else (0, False))


def test_lengths_outside_the_sequence_do_no_harm(example: list[str]) -> None:
    shapes = {"X": [2, 3, 1], "W_z": [1, 2], "W_r": [1, 2], "W": [1, 2]}
    inputs: dict[str, Any] = {
        name: {"dtype": "float32", "shape": shape, "data": [0.5] * (6 if name == "X" else 2)}
        for name, shape in shapes.items()
    }
    inputs["lengths"] = {"dtype": "int64", "shape": [3], "data": [2**63 - 1, -(2**63), 1]}
    line = json.dumps({"id": "a", "operation": "gru_sequence", "inputs": inputs}).encode()
    status, replies, words = dialogue(example, line)
    assert status == 0, words
    h = replies[0]["outputs"]["h"]["data"]
    assert h[1] == h[4] == h[5] == 0 < min(h[0], h[2], h[3])


def skeleton(language: str, folder: Path, *, first_operation: bool = False) -> list[str]:
    """The command of a skeleton that `nnspec new-backend` wrote, built as it told."""
    needed = {"python": (sys.executable,), "c": ("cc",), "js": ("node",), "rust": ("cargo",)}
    tool(*needed[language])
    done = CliRunner().invoke(main, ["new-backend", "--lang", language, str(folder)])
    assert done.exit_code == 0, done.output
    lines = dict(line.split(":  ", 1) for line in done.output.splitlines() if ":  " in line)
    if first_operation:
        for path in folder.rglob("*.*"):
            text = path.read_text(encoding="utf-8")
            # as the comment in the file tells one to do
            path.write_text(re.sub(r"(?m)(//|#)\| ?", "", text), encoding="utf-8")
    if "build" in lines:
        build(*shlex.split(lines["build"]))
    words = shlex.split(lines["run"])
    assert words[:2] == ["nnspec", "run"]
    assert words[-2:] == ["--only", "softmax"]
    if "--exec" in words:
        return shlex.split(words[words.index("--exec") + 1])
    return worker_command(words[2])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_skeleton_runs_at_once_with_everything_unsupported(language: str, tmp_path: Path) -> None:
    command = skeleton(language, tmp_path / "my backend")
    done = run_command(command, suite().vectors)
    assert done.count("unsupported") == len(done.results) == len(suite().vectors)
    words = ["run", *backend_words(command), "--only", "softmax"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert "unsupported" in shown.output


def backend_words(command: list[str]) -> list[str]:
    return [command[-1]] if command[0] == sys.executable else ["--exec", shlex.join(command)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_operation_of_a_skeleton_is_right(language: str, tmp_path: Path) -> None:
    command = skeleton(language, tmp_path / "mine", first_operation=True)
    chosen = [
        v
        for v in suite().vectors
        if v.operation.name == "softmax" and v.case.dtype in {"float32", "float64"}
    ]
    done = run_command(command, chosen)
    assert done.count("pass", "unsupported") == len(done.results)
    assert done.count("pass") > 20
    reasons = {found.reason for found in done.results if found.verdict == "unsupported"}
    assert reasons <= {"softmax is along the last axis only"}


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = CliRunner().invoke(main, ["new-backend", "--lang", "c", str(tmp_path)])
    assert done.exit_code == 2
    assert done.output == f"nnspec: the folder '{tmp_path}' is not empty; name a new one\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(main, ["new-backend", "--lang", "js", str(tmp_path / "file")])
    assert done.exit_code == 2
    assert done.output == f"nnspec: cannot write into '{tmp_path / 'file'}': Not a directory\n"


def test_commands_can_be_typed_where_they_are_printed() -> None:
    here = new_backend.commands("c", Path())
    assert here["build:"] == "cc -std=c11 -O2 -o ./backend ./backend.c -lm"
    assert here["run:  "] == "nnspec run --exec ./backend --only softmax"
