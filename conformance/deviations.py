"""Known deviations: cases that a backend is known to fail, listed one by one with the reason.

The list is strict, so that it cannot hide anything else: exact case ids only, and a listed case
that passes is an error until it is taken from the list.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from nnspec.conformance.suite import SuiteError, one_line
from nnspec.conformance.verdict import FAILED, Result

MOST_BYTES = 1_000_000


class Deviation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cases that fail for one known reason, and where that is discussed."""

    cases: list[str]
    reason: str
    url: str = ""

    def sentence(self) -> str:
        """The reason, with the place."""
        return f"{self.reason} ({self.url})" if self.url else self.reason


class DeviationFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole list: one `[[deviation]]` for each reason."""

    deviation: list[Deviation]


def load(path: Path, ids: Collection[str]) -> dict[str, Deviation]:
    """The deviations by case; raises SuiteError for whatever is not exactly right in the file."""
    name = f"--deviations {path}"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SuiteError(f"{name}: more than {MOST_BYTES} bytes are no list of deviations")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        listed = msgspec.convert(table, DeviationFile).deviation
    except OSError as error:
        raise SuiteError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SuiteError(f"{name}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{name}: is not TOML: {one_line(str(error))}") from None
    except RecursionError:
        raise SuiteError(f"{name}: is nested too deeply") from None
    except msgspec.ValidationError as error:
        why = one_line(str(error))
        raise SuiteError(
            f"{name}: {why}; an entry is [[deviation]] with cases = [ids], reason and url"
        ) from None
    except ValueError as error:
        # a number of more digits than Python reads
        raise SuiteError(f"{name}: {one_line(str(error))}") from None
    found: dict[str, Deviation] = {}
    for number, entry in enumerate(listed, 1):
        where = f"{name}: entry {number}"
        if not entry.reason.strip():
            raise SuiteError(f"{where}: the reason is empty; say why the cases fail")
        if not entry.cases:
            raise SuiteError(f"{where}: lists no case; delete it")
        for case in entry.cases:
            if case not in ids:
                raise SuiteError(
                    f"{where}: there is no case '{one_line(case, 80)}'; see 'nnspec list cases'"
                )
            if case in found:
                raise SuiteError(f"{where}: case '{case}' is listed twice")
            found[case] = entry
    return found


def applied(found: Result, known: Mapping[str, Deviation]) -> Result:
    """The result as the list sees it: a deviation if it failed, an error if it passed."""
    entry = known.get(found.case)
    if entry is None:
        return found
    if found.verdict in FAILED:
        reason = f"{entry.sentence()}; {found.verdict}: {found.reason}"
        return msgspec.structs.replace(found, verdict="deviation", reason=reason)
    if found.verdict == "pass":
        reason = "passes, but is listed as a known deviation: take it from the list"
        return msgspec.structs.replace(found, verdict="error", reason=reason)
    return found
