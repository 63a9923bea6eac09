"""The command `nnspec`."""

import contextlib
import importlib
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nnspec.conformance import calibration, deviations, journal, mutants, new_backend
from nnspec.conformance import report as reports
from nnspec.conformance import suite as suites
from nnspec.conformance.backends import SHIPPED
from nnspec.conformance.pool import process_pool
from nnspec.conformance.process import BackendProcess, Limits, ProcessRefusedError
from nnspec.conformance.profiles import PROFILES
from nnspec.conformance.program import Subject
from nnspec.conformance.protocol import Hello
from nnspec.conformance.runner import Run, ask, command_of, run_command, worker_command
from nnspec.conformance.runner import explain as explain_failures
from nnspec.conformance.suite import SHORT_DTYPES, WIDE_DTYPES, SuiteError, Vector, select
from nnspec.conformance.verdict import Result
from nnspec.spec.loader import PAGES, Operation, SpecError, spec

USAGE = 2


class UsageError(click.ClickException):
    """A usage or set-up error: one sentence, exit status 2."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:
        """Print the sentence on standard error."""
        click.echo(f"nnspec: {self.format_message()}", err=True)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Errors that a user can meet as one sentence and exit status 2."""
    try:
        yield
    except (SuiteError, SpecError, ProcessRefusedError, mutants.MutantError) as error:
        raise UsageError(str(error)) from None


def console_of(width: int | None = None) -> Console:
    """The terminal; wide enough for its tables where it is none."""
    return Console(width=width or (None if sys.stdout.isatty() else 120))


@click.group()
@click.version_option(package_name="nnspec")
def main() -> None:
    """The conformance suite of the classic neural-network equations."""


@contextlib.contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on standard error; yields the function that advances it."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=total, note="")
        yield lambda note="": progress.update(task, advance=1, note=note)


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=os.cpu_count() or 1,
    metavar="N",
    help="Processes; all cores unless given.",
)


def bytes_of(context: click.Context, option: click.Parameter, text: str) -> int:
    """8G, 512M or plain bytes, as a number."""
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)([KMGT]?)B?", text.strip().upper())
    size = int(float(found[1]) * units[found[2]]) if found else 0
    if size < 1:
        raise click.BadParameter(f"'{text}' is no size such as 8G or 512M")
    return size


exec_option = click.option(
    "--exec",
    "program",
    metavar="COMMAND",
    help="A program that speaks the protocol of spec/protocol.md, in the place of a BACKEND.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0.01, 1e6),
    default=Limits().seconds,
    show_default=True,
    metavar="SECONDS",
    help="What a case may take.",
)
device_option = click.option(
    "--device",
    metavar="NAME",
    help="Where torch, jax or keras compute, such as cuda; their own choice unless given.",
)
memory_option = click.option(
    "--memory",
    default="8G",
    show_default=True,
    metavar="SIZE",
    callback=bytes_of,
    help="What a backend's process and its children may use.",
)


@main.command()
@click.argument("backend", required=False)
@exec_option
@click.option("--profile", "profile_name", metavar="P", help="A named set of claimed cases.")
@click.option("--only", multiple=True, metavar="NAME", help="A topic, clause, operation or case.")
@click.option("--dtype", type=click.Choice([*SHORT_DTYPES, *SHORT_DTYPES.values()]))
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N")
@device_option
@timeout_option
@memory_option
@click.option(
    "--deviations",
    "deviations_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Known failures, listed by case with their reasons (TOML).",
)
@click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.json, junit.xml and, as they come, results.jsonl.",
)
@click.option("--resume", is_flag=True, help="Go on with the run that --report DIR holds.")
def run(
    backend: str | None,
    program: str | None,
    profile_name: str | None,
    only: tuple[str, ...],
    dtype: str | None,
    jobs: int,
    device: str | None,
    timeout: float,
    memory: int,
    deviations_file: Path | None,
    folder: Path | None,
    resume: bool,
) -> None:
    """Validate BACKEND: one that ships, a Python module, module:object, or a file ending in .py.

    Exit status: 0 where nothing failed, 1 where something did, 2 for a usage or set-up error. With
    --profile an unsupported case is a claim that does not hold, and counts as a failure; a failure
    that --deviations lists counts as neither, and a listed case that passes is an error.
    """
    with one_sentence():
        command = command_of(backend, program, device)
        if resume and folder is None:
            raise UsageError("--resume goes on with the run in a folder; name it with --report DIR")
        loaded = suites.suite()
        dtype = SHORT_DTYPES.get(dtype or "", dtype)
        vectors = select(loaded.vectors, only, dtype)
        if profile_name is not None:
            if profile_name not in PROFILES:
                raise UsageError(
                    f"there is no profile '{profile_name}'; there are {', '.join(PROFILES)}"
                )
            vectors = [v for v in vectors if PROFILES[profile_name].holds(v)]
        if not vectors:
            raise UsageError("no case is left by this selection; widen --only, --dtype, --profile")
        known = {}
        if deviations_file is not None:
            known = deviations.load(deviations_file, {v.id for v in loaded.vectors})
        selection = (only, dtype or "", profile_name or "")
        done = _run(
            command, vectors, jobs, folder, Limits(timeout, memory), known, selection, resume
        )
    done.damaged = loaded.damaged
    reports.show(done, vectors, console_of())
    if folder is not None:
        try:
            reports.write(done, vectors, folder)
        except OSError as error:
            raise UsageError(f"--report {folder}: {error.strerror}") from None
        click.echo(f"report: {folder / 'report.json'}, {folder / 'junit.xml'}")
    failed = done.count("fail", "error", "crash", "timeout")
    if profile_name is not None and done.count("unsupported"):
        failed += done.count("unsupported")
        click.echo(
            f"{done.count('unsupported')} cases of {profile_name} are not supported: the"
            " profile is claimed as a whole"
        )
    if done.damaged or not done.complete:
        sys.exit(USAGE)
    sys.exit(1 if failed else 0)


def _run(
    command: list[str],
    vectors: list[Vector],
    jobs: int = 1,
    folder: Path | None = None,
    limits: Limits | None = None,
    known: Mapping[str, deviations.Deviation] | None = None,
    selection: tuple[tuple[str, ...], str, str] = ((), "", ""),
    resume: bool = False,
) -> Run:
    with contextlib.ExitStack() as stack:
        log = None
        if folder is not None:
            log = stack.enter_context(contextlib.closing(journal.Journal(folder, resume=resume)))
        advance = stack.enter_context(progress_bar(command[-1], len(vectors)))

        def on_hello(hello: Hello) -> dict[str, Result]:
            kept = {} if log is None else log.open(journal.header(hello, *selection))
            for case in kept:
                advance(case)
            return kept

        def on_result(found: Result) -> None:
            advance(found.case)
            if log is not None:
                log.record(found)

        return run_command(
            command,
            vectors,
            jobs=jobs,
            limits=limits,
            keep_stderr=log.keep_stderr if log is not None else lambda chunk: None,
            on_hello=on_hello,
            on_result=on_result,
            deviations=known,
        )


@main.command(name="list")
@click.argument(
    "what",
    type=click.Choice(["clauses", "operations", "cases", "backends", "mutants", "profiles"]),
    default="clauses",
)
@click.option("--only", multiple=True, metavar="NAME", help="A topic, clause or operation.")
def list_command(what: str, only: tuple[str, ...]) -> None:
    """What there is: clauses, operations, cases, backends, mutants or profiles."""
    with one_sentence():
        vectors = select(suites.suite().vectors, only)
    if what == "backends":
        rows = [[name] for name in SHIPPED]
    elif what == "mutants":
        rows = [
            [m.name, f"{m.clause}: {m.did}"]
            for m in mutants.all_mutants()
            if not only or {m.topic, m.clause, m.name} & set(only)
        ]
    elif what == "profiles":
        rows = [
            [name, f"{sum(map(profile.holds, vectors))} cases"]
            for name, profile in PROFILES.items()
        ]
    elif what == "cases":
        rows = [[v.id, " ".join(v.case.flags), v.case.note] for v in vectors]
    elif what == "operations":
        rows = [
            [
                o.name,
                f"({', '.join([*o.inputs, *(f'{n}=' for n in [*o.optional, *o.attributes])])})"
                f" -> {', '.join(o.outputs)}",
                f"{sum(v.operation is o for v in vectors)} cases",
            ]
            for o in spec().operations.values()
        ]
    else:
        rows = [
            [c.id, c.status, c.operation, f"{sum(c.id in v.case.clauses for v in vectors)} cases"]
            for c in spec().clauses.values()
        ]
    for row in rows:
        click.echo("  ".join([f"{row[0]:<36}", *row[1:]]).rstrip())


@main.command()
@click.argument("name", metavar="CLAUSE")
def show(name: str) -> None:
    """A clause: its text in the spec, its reference code, its cases."""
    with one_sentence():
        clause = spec().clauses.get(name)
        if clause is None:
            raise UsageError(f"there is no clause '{name}'; see 'nnspec list clauses'")
        vectors = select(suites.suite().vectors, [name])
    text = (PAGES / f"{clause.topic}.md").read_text(encoding="utf-8")
    start = text.index(f"### {name}\n")
    end = text.find("\n### ", start)
    click.echo(text[start : end if end > 0 else None].split("```toml")[0].rstrip() + "\n")
    module = importlib.import_module(f"nnspec.reference.{clause.topic}")
    click.echo(inspect.getsource(getattr(module, clause.function)))
    for vector in vectors:
        click.echo(f"{vector.id:<44}  {vector.case.note}")


@main.command()
@click.argument("case_id", metavar="CASE")
@click.option("--backend", help="The reference unless given.")
@exec_option
@device_option
@timeout_option
@memory_option
def explain(
    case_id: str,
    backend: str | None,
    program: str | None,
    device: str | None,
    timeout: float,
    memory: int,
) -> None:
    """A case: inputs, truth, what BACKEND got, error in sigma, the nearest mutant."""
    with one_sentence():
        vector = next((v for v in suites.suite().vectors if v.id == case_id), None)
        if vector is None:
            raise UsageError(f"there is no case '{case_id}'; see 'nnspec list cases'")
        if backend is None and program is None:
            backend = "reference"
        process = BackendProcess(command_of(backend, program, device), Limits(timeout, memory))
        hello = process.start()
    outputs: dict[str, Any] = {}
    try:
        found, outputs = ask(process, hello, vector)
    finally:
        process.close()
    console = console_of()
    console.print(f"[bold]{vector.id}[/]  {', '.join(vector.case.clauses)}")
    console.print(f"catches: {escape(vector.case.note)}", highlight=False)
    with np.printoptions(precision=9, linewidth=100, threshold=60):
        for name, value in vector.case.attributes.items():
            click.echo(f"{name} = {value!r}")
        for name, array in vector.inputs.items():
            click.echo(f"{name} {array.shape} =\n{array}")
        for name, truth in vector.outputs.items():
            click.echo(f"{name}: truth {truth.shape} =\n{truth}")
            if name in outputs:
                click.echo(f"{name}: {hello.backend} =\n{outputs[name]}")
    words = f"{escape(hello.backend)}: [bold]{found.verdict}[/] {escape(found.reason)}"
    console.print(words, highlight=False)
    if found.sigma_error is not None:
        click.echo(
            f"worst error {found.sigma_error:.3g} sigma, {found.ulp_error:.3g} ulp at {found.worst}"
        )
    if found.verdict == "fail":
        for sentence in explain_failures([(vector, outputs)]):
            console.print(f"nearest: {escape(sentence)}", highlight=False, soft_wrap=True)


@main.command(name="report")
@click.argument(
    "folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path)
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("nnspec-report"),
    show_default=True,
    metavar="FOLDER",
    help="Where report.html, summary.md and a badge for each run are written.",
)
def report_command(folders: tuple[Path, ...], output: Path) -> None:
    """One HTML page of the runs that `nnspec run --report DIR` wrote, a summary and badges.

    Exit status: 0 where the page is written, whatever the verdicts on it; 2 for a DIR that cannot
    be read.
    """
    # imported here: no other command needs the templates
    from nnspec.conformance import recorded, summaries

    with one_sentence():
        try:
            runs = recorded.labelled([recorded.read(folder) for folder in folders])
            written = summaries.write(runs, suites.suite(), output)
        except recorded.RecordedError as error:
            raise UsageError(str(error)) from None
        except OSError as error:
            raise UsageError(f"--output {output}: {error.strerror}") from None
    click.echo(f"written: {', '.join(map(str, written))}")


@main.command()
@click.argument("backends", nargs=-1)
@device_option
@jobs_option
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
def calibrate(backends: tuple[str, ...], device: str | None, jobs: int, write: Path | None) -> None:
    """Worst error in sigma of BACKENDS (all that are installed unless given), as Markdown."""
    loaded = suites.suite()
    runs = []
    for name in backends or SHIPPED:
        try:
            runs.append(_run(worker_command(name, device), loaded.vectors, jobs))
        except ProcessRefusedError as error:
            if backends:
                raise UsageError(str(error)) from None
            click.echo(f"left out: {error}", err=True)
    text = calibration.table(runs)
    click.echo(text)
    if write is not None:
        write.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def one_sentence_without_onnx() -> Iterator[None]:
    """The sentence that says how to install onnx."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--onnx needs the package '{error.name}', which is not installed; install it with:"
            " pip install 'nnspec[onnxruntime]'"
        ) from None


@main.command(name="mutants")
@click.option("--only", "topics", multiple=True, metavar="TOPIC", help="A topic; all by default.")
@click.option("--kills", is_flag=True, help="The cases that kill each mutant.")
@click.option("--onnx", is_flag=True, help="ONNX's node tests on the same mutants, side by side.")
@jobs_option
def mutants_command(topics: tuple[str, ...], kills: bool, onnx: bool, jobs: int) -> None:
    """The suite's mutation score. Exit status 1 where fewer than two cases kill a mutant."""
    with one_sentence():
        for topic in topics:
            if topic not in spec().topics:
                raise UsageError(f"'{topic}' is no topic; there are {', '.join(spec().topics)}")
        everyone = mutants.all_mutants(topics)
        with progress_bar("mutants", len(everyone)) as advance, process_pool(jobs) as pool:
            scores = []
            for found in pool.map(mutants.score, everyone, chunksize=4):
                scores.append(found)
                advance()
            against = [found for found in scores if onnx and found.forward]
            with one_sentence_without_onnx():
                theirs = list(pool.map(mutants.onnx_killers, [found.mutant for found in against]))
    reports.show_mutants(scores, console_of(), kills=kills)
    if onnx:
        reports.show_onnx_score(against, theirs, console_of())
    sys.exit(0 if all(found.holds for found in scores) else 1)


@main.command(name="new-backend")
@click.option("--lang", "language", type=click.Choice(new_backend.LANGUAGES), required=True)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def new_backend_command(language: str, folder: Path) -> None:
    """Write a backend into the new folder DIR that runs and has no operation yet."""
    try:
        files = new_backend.write(language, folder)
    except new_backend.FolderError as error:
        raise UsageError(str(error)) from None
    click.echo(f"wrote {', '.join(map(str, files))}")
    for what, command in new_backend.commands(language, folder).items():
        click.echo(f"{what}  {command}")


@main.group()
def vectors() -> None:
    """Build the vectors from their drafts, or prove the stored ones again."""


def _builder() -> Any:
    try:
        return importlib.import_module("nnspec.conformance.builder")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the oracle needs the package '{error.name}', which is not installed; install it"
            " with: pip install 'nnspec[oracle]'"
        ) from None


topic_option = click.option(
    "--only", "topics", multiple=True, metavar="TOPIC", help="A topic; all unless given."
)
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=suites.VECTORS,
    metavar="DIR",
    help="Where the vectors are; those of the package unless given.",
)


@vectors.command()
@jobs_option
@folder_option
@topic_option
def build(jobs: int, folder: Path, topics: tuple[str, ...]) -> None:
    """Write every vector file anew from the drafts, the same bit for bit."""
    builder = _builder()
    with one_sentence():
        tasks = builder.tasks_of(builder.all_drafts(topics))
        with progress_bar("build", len(tasks)) as advance:
            count = builder.build(folder, jobs, advance, topics)
    click.echo(f"{count} cases written to {folder}")


@vectors.command()
@jobs_option
@folder_option
@topic_option
def verify(jobs: int, folder: Path, topics: tuple[str, ...]) -> None:
    """Prove every stored value again: truth, VJP, budget, schema. Exit status 1 where one fails."""
    builder = _builder()
    begin = time.monotonic()
    with one_sentence():
        tasks, failures = builder.stored(folder, topics)
        with progress_bar("verify", len(tasks)) as advance:
            failures += builder.verify(tasks, jobs, advance)
    for failure in failures:
        click.echo(failure)
    click.echo(f"{len(tasks)} cases, {len(failures)} do not hold, {time.monotonic() - begin:.0f} s")
    sys.exit(1 if failures else 0)


def _drawing(module: str, extra: str) -> Any:
    """A module that draws inputs, whose packages are an extra."""
    try:
        return importlib.import_module(f"nnspec.conformance.{module}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this command needs the package '{error.name}', which is not installed; install it"
            f" with: pip install 'nnspec[{extra}]'"
        ) from None


def _operations(only: tuple[str, ...]) -> list[Operation]:
    """The operations that these topics, clauses and operations name; all if there are none."""
    chosen: dict[str, Operation] = {}
    for name in only:
        clause = spec().clauses.get(name)
        wanted = clause.operation if clause is not None else name
        found = [o for o in spec().operations.values() if wanted in (o.topic, o.name, o.base)]
        if not found:
            raise UsageError(f"'{name}' is no topic, clause or operation; see 'nnspec list'")
        chosen |= {o.name: o for o in found}
    return list(chosen.values()) if only else list(spec().operations.values())


def _folder(folder: Path | None) -> None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--report {folder}: {error.strerror}") from None


@contextlib.contextmanager
def _ticker(what: str) -> Iterator[Callable[[str], None]]:
    """A line of progress on standard error: live in a terminal, else one every ten seconds."""
    console = Console(stderr=True)
    begin = last = time.monotonic()
    with console.status(what) as status:

        def tell(words: str) -> None:
            nonlocal last
            now = time.monotonic()
            line = f"{what}: {now - begin:.0f} s, {words}"
            if console.is_terminal:
                status.update(escape(line))
            elif now - last >= 10:
                last = now
                click.echo(line, err=True)

        yield tell


seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N"
)
fresh_only_option = click.option(
    "--only", multiple=True, metavar="NAME", help="A topic, clause or operation."
)
# fresh inputs are drawn in these alone
WIDE = {short: dtype for short, dtype in SHORT_DTYPES.items() if dtype in WIDE_DTYPES}
fresh_dtype_option = click.option("--dtype", type=click.Choice([*WIDE, *WIDE.values()]))
findings_option = click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each counter-example as it is found: a JSON case and a Python program.",
)


@main.command(name="properties")
@click.argument("backend", required=False)
@exec_option
@click.option("--property", "names", multiple=True, metavar="P", help="A property; all by default.")
@click.option("--trials", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@fresh_only_option
@fresh_dtype_option
@seed_option
@findings_option
def properties_command(
    backend: str | None,
    program: str | None,
    names: tuple[str, ...],
    trials: int,
    only: tuple[str, ...],
    dtype: str | None,
    seed: int,
    folder: Path | None,
) -> None:
    """Check BACKEND for what holds without a truth: independent rows, no look ahead, and so on.

    Exit status: 0 where every property holds, 1 where one does not, 2 for a usage or set-up error.
    """
    properties = _drawing("properties", "fuzz")
    with one_sentence():
        for name in names:
            if name not in properties.PROPERTIES:
                raise UsageError(
                    f"'{name}' is no property; there are {', '.join(properties.PROPERTIES)}"
                )
        operations = _operations(only)
        _folder(folder)
        dtypes = [WIDE.get(dtype, dtype)] if dtype else list(WIDE.values())
        subject = Subject(backend, program)
        tested = properties.Backend(subject)
        label = tested.hello.backend
    wanted = names or tuple(properties.PROPERTIES)
    found, complete = [], True
    try:
        plan = properties.plan(tested, wanted, operations, dtypes)
        if not plan:
            raise UsageError(f"{label} has no operation that these properties are about")
        with progress_bar(label, len(plan)) as advance:
            for each, operation, kind in plan:
                advance(f"{each.name} {operation.name}")
                done = properties.check(tested, each, operation, kind, seed=seed, trials=trials)
                found.append(done)
                if done.violation is not None and folder is not None:
                    properties.write(done.violation, folder)
                    shown = properties.snippet(done.violation, subject)
                    (folder / done.violation.file()).with_suffix(".py").write_text(
                        shown, encoding="utf-8"
                    )
    except KeyboardInterrupt:
        complete = False
    finally:
        tested.close()
    violations = [done.violation for done in found if done.violation is not None]
    for violation in violations:
        click.echo(properties.snippet(violation, subject))
    reports.show_properties(found, properties.PROPERTIES, operations, console_of())
    if not complete:
        click.echo(f"stopped after {len(found)} of {len(plan)}")
    sys.exit(1 if violations else 0)


@main.command(name="fuzz")
@click.argument("backend", required=False)
@exec_option
@click.option("--time", "duration", default="60s", show_default=True, metavar="TIME")
@click.option(
    "--executor",
    "executor_name",
    metavar="MODULE:CALLABLE",
    help="Spread the work: a callable without arguments that returns an executor, such as"
    " concurrent.futures:ProcessPoolExecutor.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1),
    metavar="N",
    help="Tasks with the executor at a time; two for each of its workers unless given.",
)
@fresh_only_option
@fresh_dtype_option
@seed_option
@findings_option
def fuzz_command(
    backend: str | None,
    program: str | None,
    duration: str,
    executor_name: str | None,
    in_flight: int | None,
    only: tuple[str, ...],
    dtype: str | None,
    seed: int,
    folder: Path | None,
) -> None:
    """Put fresh inputs to BACKEND and to the oracle, and shrink those on which it is wrong.

    Ctrl-C ends it early and loses nothing. Exit status: 0 where nothing was found, 1 where
    something was, 2 for a usage or set-up error.
    """
    fuzz = _drawing("fuzz", "fuzz")
    with one_sentence():
        seconds = fuzz.seconds_of(duration)
        operations = _operations(only)
        _folder(folder)
        subject = Subject(backend, program)
        hello = fuzz.process_of(subject)[1]
        dtypes = [WIDE.get(dtype, dtype)] if dtype else list(WIDE.values())
        pairs, refused = fuzz.pairs_of(hello, operations, dtypes)
        if not pairs:
            raise UsageError(f"{hello.backend} has none of these operations in these dtypes")
        executor = fuzz.load_executor(executor_name) if executor_name else None
        campaign = fuzz.Campaign(subject, seed, hello.backend)
        with _ticker(f"fuzz {hello.backend}") as tell:

            def on_outcome(outcome: Any) -> None:
                tell(
                    f"{campaign.inputs} inputs, {len(campaign.findings)} found,"
                    f" at {outcome.task.operation}"
                )
                if outcome.finding is not None and folder is not None:
                    path = fuzz.write(outcome.finding, folder)
                    shown = fuzz.snippet(outcome.finding, subject)
                    path.with_suffix(".py").write_text(shown, encoding="utf-8")

            fuzz.run(
                campaign,
                pairs,
                seconds=seconds,
                executor=executor,
                in_flight=in_flight,
                on_outcome=on_outcome,
            )
    for finding in campaign.findings.values():
        click.echo(fuzz.snippet(finding, subject))
    reports.show_campaign(campaign, pairs, refused, console_of())
    sys.exit(1 if campaign.findings else USAGE if campaign.broken else 0)


@main.command(name="bench")
@click.option("--only", multiple=True, metavar="NAME", help="A family or operation; memory.")
@click.option(
    "--threads",
    default="1,2" if (os.cpu_count() or 1) > 1 else "1",
    show_default=True,
    metavar="N,N…",
    help="Threads of every contender, one after the other.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    type=click.Choice(["torch", "onnxruntime", "jax"]),
    help="Whom to measure against; all that are installed unless given.",
)
@click.option("--quick", is_flag=True, help="Few short rounds: to try it, not to compare.")
@click.option("--json", type=click.Path(path_type=Path), metavar="FILE", help="pytest-benchmark's.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="An .svg or .png.")
@click.option(
    "--write",
    "page",
    type=click.Path(path_type=Path),
    metavar="PAGE",
    help="Put the tables between the marks of a Markdown page.",
)
def bench_command(
    only: tuple[str, ...],
    threads: str,
    peers: tuple[str, ...],
    quick: bool,
    json: Path | None,
    plot: Path | None,
    page: Path | None,
) -> None:
    """Time accel in turns with the reference and the installed frameworks.

    Exit status: 0 where all was measured, 1 where a contender's results were wrong or it broke
    down, or where it was stopped, 2 for a usage or set-up error.
    """
    # imported here: it takes pytest and Numba with it
    command = _drawing("bench.command", "bench")
    try:
        counts = list(dict.fromkeys(int(count) for count in threads.split(",")))
    except ValueError:
        raise UsageError(f"--threads {threads}: give numbers such as 1,2") from None
    with _ticker("bench") as tell:
        try:
            # a table wider than this is none that a terminal without a width could show
            console = console_of(None if sys.stdout.isatty() else 190)
            right = command.run(only, counts, peers, quick, json, plot, page, console, tell)
        except command.BenchError as error:
            raise UsageError(str(error)) from None
    sys.exit(0 if right else 1)


@main.group(name="export")
def export_group() -> None:
    """The cases in the form of other test suites."""


@export_group.command(name="onnx")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option("--only", multiple=True, metavar="NAME", help="A topic, clause, operation or case.")
@click.option("--dtype", type=click.Choice([*SHORT_DTYPES, *SHORT_DTYPES.values()]))
def export_onnx(folder: Path, only: tuple[str, ...], dtype: str | None) -> None:
    """Write every case that ONNX operators express to DIR, as a backend-test folder of ONNX.

    Each holds model.onnx, its inputs and the true outputs, and a tolerance. manifest.json lists
    them, and the other cases with the reason; `python DIR/run_onnx_tests.py BACKEND` runs them with
    ONNX's own runner.
    """
    onnx_export = _drawing("onnx_export", "onnxruntime")
    with one_sentence():
        loaded = suites.suite()
        vectors = select(loaded.vectors, only, SHORT_DTYPES.get(dtype or "", dtype))
        if not vectors:
            raise UsageError("no case is left by this selection; widen --only, --dtype")
    with progress_bar("export", len(vectors)) as advance:
        try:
            manifest = onnx_export.export(vectors, folder, advance)
        except onnx_export.ExportError as error:
            raise UsageError(str(error)) from None
    for reason, count in onnx_export.reasons(manifest):
        click.echo(f"{count:5} cases left out: {reason}")
    for sentence in loaded.damaged:
        click.echo(sentence)
    click.echo(
        f"{len(manifest['cases'])} cases written to {folder}, {len(manifest['not_exported'])} are"
        f" none of ONNX's; run them with: python {folder / 'run_onnx_tests.py'} onnxruntime"
    )
    sys.exit(USAGE if loaded.damaged else 0)
