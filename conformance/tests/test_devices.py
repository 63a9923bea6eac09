"""--device: where a backend computes, and what is said where it cannot compute there."""

import types

import pytest
from click.testing import CliRunner

from nnspec.conformance.backends import BackendError
from nnspec.conformance.cli import main
from nnspec.conformance.devices import choose
from nnspec.conformance.runner import worker_command


def test_a_device_that_is_seen_is_used() -> None:
    used: list[str] = []
    backend = types.SimpleNamespace(devices=lambda: ["cpu", "cuda"], use_device=used.append)
    choose(backend, "mine", "cuda")
    assert used == ["cuda"]


def test_a_device_that_is_not_seen_is_refused_with_those_that_are() -> None:
    backend = types.SimpleNamespace(devices=lambda: ["cpu", "cuda"], use_device=print)
    with pytest.raises(BackendError, match=r"^mine sees no tpu device; it has: cpu, cuda$"):
        choose(backend, "mine", "tpu")


def test_the_device_goes_before_the_backend() -> None:
    assert worker_command("torch", "cuda:1")[-3:] == ["--device", "cuda:1", "torch"]


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_runs_on_the_cpu_and_refuses_what_it_does_not_see(name: str) -> None:
    pytest.importorskip(name)
    options = ["run", name, "--only", "relu-plain-f32", "--device"]
    done = CliRunner().invoke(main, [*options, "cpu"])
    assert done.exit_code == 0, done.output
    assert "1 cases: 1 pass" in done.output
    refused = CliRunner().invoke(main, [*options, "nowhere"])
    assert refused.exit_code == 2
    assert refused.output.startswith(f"nnspec: {name} sees no nowhere device; it has: cpu")


def test_backends_without_a_choice_say_so() -> None:
    refused = CliRunner().invoke(main, ["run", "reference", "--device", "cpu"])
    assert refused.exit_code == 2
    assert refused.output == (
        "nnspec: backend 'reference' has no choice of devices; leave --device out\n"
    )
    refused = CliRunner().invoke(main, ["run", "--exec", "true", "--device", "cpu"])
    assert refused.exit_code == 2
    assert refused.output == (
        "nnspec: --device is for backends in Python; name it in --exec's COMMAND\n"
    )
