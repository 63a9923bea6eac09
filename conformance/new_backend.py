"""Skeletons of backends: the protocol's side of the worked examples, with no operation yet.

The files that speak the protocol are those of `examples/`, which the tests run, so that a skeleton
cannot fall behind them.
"""

import shlex
from pathlib import Path

EXAMPLES = Path(__file__).parent / "examples"
LANGUAGES = ("python", "c", "js", "rust")

# by file of the new folder: the file of examples/ that it is made from
FILES = {
    "python": {"backend.py": "skeleton/backend.py"},
    "c": {"backend.c": "skeleton/backend.c"},
    "js": {"backend.mjs": "skeleton/backend.mjs", "harness.mjs": "js/harness.mjs"},
    "rust": {
        "Cargo.toml": "rust/Cargo.toml",
        "Cargo.lock": "rust/Cargo.lock",
        "src/main.rs": "skeleton/main.rs",
        "src/harness.rs": "rust/src/harness.rs",
        "src/json.rs": "rust/src/json.rs",
    },
}
# between these headings stands what the example and the skeleton in C have in common
C_PROTOCOL = f"/* {'=' * 36} the protocol {'=' * 36} */\n"
C_EQUATIONS = f"/* {'=' * 36} the equations {'=' * 36} */\n"


class FolderError(ValueError):
    """A folder that cannot take a new backend; the message says why."""


def write(language: str, folder: Path) -> list[Path]:
    """Write the skeleton; returns its files, raises FolderError."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise FolderError(f"the folder '{folder}' is not empty; name a new one")
        for name, source in FILES[language].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text_of(source), encoding="utf-8")
    except OSError as error:
        raise FolderError(f"cannot write into '{folder}': {error.strerror}") from None
    return [folder / name for name in FILES[language]]


def text_of(source: str) -> str:
    """A file of a skeleton; the one in C gets the protocol's half of the example."""
    text = (EXAMPLES / source).read_text(encoding="utf-8")
    if source != "skeleton/backend.c":
        return text
    example = (EXAMPLES / "c" / "backend.c").read_text(encoding="utf-8")
    head, tail = text.split(C_PROTOCOL + C_EQUATIONS)
    protocol = example.split(C_PROTOCOL)[1].split(C_EQUATIONS)[0]
    return head + C_PROTOCOL + protocol + C_EQUATIONS + tail


def commands(language: str, folder: Path) -> dict[str, str]:
    """What to type next: to build the skeleton where it is to be built, and to run it."""

    def path(name: str) -> str:
        # a word without a slash would be looked for in PATH
        return str(folder / name) if folder.parts else f"./{name}"

    def line(*words: str) -> str:
        return shlex.join(words)

    only = ("--only", "softmax")
    if language == "python":
        return {"run:  ": line("nnspec", "run", path("backend.py"), *only)}
    program = {
        "c": (path("backend"),),
        "js": ("node", path("backend.mjs")),
        "rust": (path("target/release/nnspec-backend"),),
    }[language]
    build = {
        "c": ("cc", "-std=c11", "-O2", "-o", path("backend"), path("backend.c"), "-lm"),
        "rust": ("cargo", "build", "--release", "--manifest-path", path("Cargo.toml")),
    }
    run = line("nnspec", "run", "--exec", line(*program), *only)
    return ({"build:": line(*build[language])} if language in build else {}) | {"run:  ": run}
