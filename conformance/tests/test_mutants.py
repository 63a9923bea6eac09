"""Every wrong implementation is killed by two cases or more, and a fault is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.conformance import run
from nnspec.conformance.mutants import (
    Mutant,
    MutantError,
    all_mutants,
    applied,
    killers,
    mutant,
    rewritten,
)
from nnspec.reference import gru, rnn
from nnspec.spec.loader import spec

WRONG = Path(__file__).parents[1] / "wrong"
TOPICS = [topic for topic in spec().topics if (WRONG / f"{topic}.py").exists()]
MUTANTS = all_mutants(TOPICS) if TOPICS else []


@pytest.mark.parametrize("m", MUTANTS, ids=lambda m: m.name)
def test_two_cases_kill_a_wrong_one_and_none_a_right_one(m: Mutant) -> None:
    found = killers(m, None if m.equivalent else 2)
    assert not found if m.equivalent else len(found) >= 2, f"{m.did}: {found}"


@pytest.mark.parametrize("m", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_belongs_to_a_clause_and_says_what_was_done(m: Mutant) -> None:
    assert m.clause in spec().clauses
    assert m.name.startswith(f"{m.topic}.")
    assert len(m.did) > 8


def test_the_module_is_as_it_was_afterwards() -> None:
    before = dict(vars(gru))
    (m,) = [m for m in MUTANTS if m.name == "gru.z_swapped"]
    with applied(m) as module:
        assert module.gru_step is not before["gru_step"]
    assert dict(vars(gru)) == before


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("no such text", ""), "'no such text' stands 0 times in gru_step"),
        (("h_prev", "x"), "times in gru_step, wanted once"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(edit: tuple[str, str], sentence: str) -> None:
    with pytest.raises(MutantError, match=sentence):
        rewritten(mutant("gru.state", "x", "did something wrong", "gru_step", edit), gru)


def test_a_mutant_that_only_raises_is_refused() -> None:
    edit = ("(1 - z_t) * h_prev + z_t * h_new", "no_such_name")
    broken = mutant("gru.state", "x", "did something wrong", "gru_step", edit)
    with pytest.raises(MutantError, match=r"mutant 'gru.x' does not run: NameError"):
        killers(broken)


class Swapped:
    """A GRU with z and 1 - z exchanged, written by somebody who has never seen the reference."""

    @staticmethod
    def gru_step(
        x: Any, h_prev: Any, W_z: Any, W_r: Any, W: Any, b_z: Any = 0, b_r: Any = 0, b: Any = 0
    ) -> Any:
        def logistic(a: Any) -> Any:
            return (np.tanh(a / 2) + 1) / 2

        H = h_prev.shape[1]
        a_z = h_prev @ W_z[:, :H].T + x @ W_z[:, H:].T + b_z
        a_r = h_prev @ W_r[:, :H].T + x @ W_r[:, H:].T + b_r
        n = np.tanh((logistic(a_r) * h_prev) @ W[:, :H].T + x @ W[:, H:].T + b)
        z = logistic(a_z)
        return (z * h_prev + (1 - z) * n).astype(x.dtype)


class RowsReordered(Swapped):
    """The gates' weights in the order r, z."""

    @staticmethod
    def gru_step(
        x: Any,
        h_prev: Any,
        W_z: Any,
        W_r: Any,
        W: Any,
        b_z: Any = None,
        b_r: Any = None,
        b: Any = None,
    ) -> Any:
        return gru.gru_step(x, h_prev, W_r, W_z, W, b_z=b_r, b_r=b_z, b=b)


class ResetAfter(Swapped):
    """The reset after the product, z as the deck has it."""

    @staticmethod
    def gru_step(
        x: Any, h_prev: Any, W_z: Any, W_r: Any, W: Any, b_z: Any = 0, b_r: Any = 0, b: Any = 0
    ) -> Any:
        def logistic(a: Any) -> Any:
            return (np.tanh(a / 2) + 1) / 2

        c, H = np.concatenate([h_prev, x], axis=1), h_prev.shape[1]
        z, r = logistic(c @ W_z.T + b_z), logistic(c @ W_r.T + b_r)
        n = np.tanh(x @ W[:, H:].T + b + r * (h_prev @ W[:, :H].T))
        return (h_prev + z * (n - h_prev)).astype(x.dtype)


class BatchMajor:
    """Sequences as (B, T, I)."""

    @staticmethod
    def rnn_sequence(X: Any, U: Any, W: Any, **options: Any) -> Any:
        S, S_T = rnn.rnn_sequence(X.swapaxes(0, 1), U, W, **options)
        return S.swapaxes(0, 1), S_T


@pytest.mark.parametrize(
    ("backend", "only", "name"),
    [
        (Swapped, "gru", "gru.z_swapped"),
        (RowsReordered, "gru", "gru.order_rzn"),
        (ResetAfter, "gru", "gru.reset_after"),
        (BatchMajor, "rnn", "layout.batch_major"),
    ],
)
def test_a_fault_is_named(backend: Any, only: str, name: str) -> None:
    done = run(backend(), only=[only])
    assert len(done.diagnoses) == 1
    assert f"equals '{name}' to " in done.diagnoses[0]
    assert "nnspec show " in done.diagnoses[0]


def test_a_pass_has_no_diagnosis() -> None:
    assert run("reference", only=["gru_step"]).diagnoses == []
