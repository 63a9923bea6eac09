"""The wheel holds every module, page and vector that the folders hold, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("spec", "reference", "conformance", "accel", "docs")


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not run from a checkout")
def test_the_wheel_holds_what_the_folders_hold(tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = [
        path.relative_to(ROOT)
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".keep"
    ]
    for name in [*files, Path("pyproject.toml"), Path("README.md"), Path("LICENSE")]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("nnspec/")}
    shipped = {f"nnspec/{name.as_posix()}" for name in files if "tests" not in name.parts}
    assert packed == shipped
