"""The command `nnspec`."""

import contextlib
import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nnspec.conformance import calibration, mutants
from nnspec.conformance import report as reports
from nnspec.conformance import suite as suites
from nnspec.conformance.backends import SHIPPED
from nnspec.conformance.pool import process_pool
from nnspec.conformance.process import BackendProcess, ProcessRefusedError
from nnspec.conformance.profiles import PROFILES
from nnspec.conformance.runner import Run, ask, run_command, worker_command
from nnspec.conformance.runner import explain as explain_failures
from nnspec.conformance.suite import SHORT_DTYPES, SuiteError, Vector, select
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


@main.command()
@click.argument("backend")
@click.option("--profile", "profile_name", metavar="P", help="A named set of claimed cases.")
@click.option("--only", multiple=True, metavar="NAME", help="A topic, clause, operation or case.")
@click.option("--dtype", type=click.Choice([*SHORT_DTYPES, *SHORT_DTYPES.values()]))
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N")
@click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.json, junit.xml and, as they come, results.jsonl.",
)
def run(
    backend: str,
    profile_name: str | None,
    only: tuple[str, ...],
    dtype: str | None,
    jobs: int,
    folder: Path | None,
) -> None:
    """Validate BACKEND: one that ships, a Python module, module:object, or a file ending in .py.

    Exit status: 0 where nothing failed, 1 where something did, 2 for a usage or set-up error. With
    --profile an unsupported case is a claim that does not hold, and counts as a failure.
    """
    with one_sentence():
        loaded = suites.suite()
        vectors = select(loaded.vectors, only, SHORT_DTYPES.get(dtype or "", dtype))
        if profile_name is not None:
            if profile_name not in PROFILES:
                raise UsageError(
                    f"there is no profile '{profile_name}'; there are {', '.join(PROFILES)}"
                )
            vectors = [v for v in vectors if PROFILES[profile_name].holds(v)]
        if not vectors:
            raise UsageError("no case is left by this selection; widen --only, --dtype, --profile")
        done = _run(backend, vectors, jobs, folder)
    done.damaged = loaded.damaged
    reports.show(done, vectors, console_of())
    if folder is not None:
        reports.write(done, vectors, folder)
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


def _run(backend: str, vectors: list[Vector], jobs: int, folder: Path | None) -> Run:
    with contextlib.ExitStack() as stack:
        log = None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                log = stack.enter_context((folder / "results.jsonl").open("wb", buffering=0))
            except OSError as error:
                raise UsageError(f"--report {folder}: {error.strerror}") from None
        advance = stack.enter_context(progress_bar(backend, len(vectors)))

        def on_result(found: Result) -> None:
            advance(found.case)
            if log is not None:
                log.write(msgspec.json.encode(found) + b"\n")

        return run_command(worker_command(backend), vectors, jobs=jobs, on_result=on_result)


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
@click.option("--backend", default="reference", show_default=True)
def explain(case_id: str, backend: str) -> None:
    """A case: inputs, truth, what BACKEND got, error in sigma, the nearest mutant."""
    with one_sentence():
        vector = next((v for v in suites.suite().vectors if v.id == case_id), None)
        if vector is None:
            raise UsageError(f"there is no case '{case_id}'; see 'nnspec list cases'")
        process = BackendProcess(worker_command(backend))
        hello = process.start(120)
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
                click.echo(f"{name}: {backend} =\n{outputs[name]}")
    console.print(f"{backend}: [bold]{found.verdict}[/] {escape(found.reason)}", highlight=False)
    if found.sigma_error is not None:
        click.echo(
            f"worst error {found.sigma_error:.3g} sigma, {found.ulp_error:.3g} ulp at {found.worst}"
        )
    if found.verdict == "fail":
        for sentence in explain_failures([(vector, outputs)]):
            console.print(f"nearest: {escape(sentence)}", highlight=False, soft_wrap=True)


@main.command()
@click.argument("backends", nargs=-1)
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
def calibrate(backends: tuple[str, ...], write: Path | None) -> None:
    """Worst error in sigma of BACKENDS (all that are installed unless given), as Markdown."""
    loaded = suites.suite()
    runs = []
    for name in backends or SHIPPED:
        try:
            runs.append(_run(name, loaded.vectors, 1, None))
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
fresh_dtype_option = click.option(
    "--dtype", type=click.Choice([*SHORT_DTYPES, *SHORT_DTYPES.values()])
)
findings_option = click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each counter-example as it is found: a JSON case and a Python program.",
)


@main.command(name="properties")
@click.argument("backend")
@click.option("--property", "names", multiple=True, metavar="P", help="A property; all by default.")
@click.option("--trials", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@fresh_only_option
@fresh_dtype_option
@seed_option
@findings_option
def properties_command(
    backend: str,
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
        dtypes = [SHORT_DTYPES.get(dtype, dtype)] if dtype else list(SHORT_DTYPES.values())
        subject = properties.Backend(backend)
    wanted = names or tuple(properties.PROPERTIES)
    found, complete = [], True
    try:
        plan = properties.plan(subject.hello, wanted, operations, dtypes)
        if not plan:
            raise UsageError(f"{backend} has no operation that these properties are about")
        with progress_bar(backend, len(plan)) as advance:
            for each, operation, kind in plan:
                advance(f"{each.name} {operation.name}")
                done = properties.check(subject, each, operation, kind, seed=seed, trials=trials)
                found.append(done)
                if done.violation is not None and folder is not None:
                    properties.write(done.violation, folder)
                    program = properties.snippet(done.violation, backend)
                    (folder / done.violation.file()).with_suffix(".py").write_text(
                        program, encoding="utf-8"
                    )
    except KeyboardInterrupt:
        complete = False
    finally:
        subject.close()
    violations = [done.violation for done in found if done.violation is not None]
    for violation in violations:
        click.echo(properties.snippet(violation, backend))
    reports.show_properties(found, properties.PROPERTIES, operations, console_of())
    if not complete:
        click.echo(f"stopped after {len(found)} of {len(plan)}")
    sys.exit(1 if violations else 0)


@main.command(name="fuzz")
@click.argument("backend")
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
    backend: str,
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
        hello = fuzz.process_of(backend)[1]
        dtypes = [SHORT_DTYPES.get(dtype, dtype)] if dtype else list(SHORT_DTYPES.values())
        pairs, refused = fuzz.pairs_of(hello, operations, dtypes)
        if not pairs:
            raise UsageError(f"{backend} has none of these operations in these dtypes")
        executor = fuzz.load_executor(executor_name) if executor_name else None
        campaign = fuzz.Campaign(hello.backend, seed)
        with _ticker(f"fuzz {backend}") as tell:

            def on_outcome(outcome: Any) -> None:
                tell(
                    f"{campaign.inputs} inputs, {len(campaign.findings)} found,"
                    f" at {outcome.task.operation}"
                )
                if outcome.finding is not None and folder is not None:
                    path = fuzz.write(outcome.finding, folder)
                    program = fuzz.snippet(outcome.finding, backend)
                    path.with_suffix(".py").write_text(program, encoding="utf-8")

            fuzz.run(
                campaign,
                pairs,
                seconds=seconds,
                executor=executor,
                in_flight=in_flight,
                on_outcome=on_outcome,
            )
    for finding in campaign.findings.values():
        click.echo(fuzz.snippet(finding, backend))
    reports.show_campaign(campaign, pairs, refused, console_of())
    sys.exit(1 if campaign.findings else USAGE if campaign.broken else 0)
