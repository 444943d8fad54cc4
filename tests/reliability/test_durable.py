"""Every output is on the disk before it has its name, and its name is on the disk afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX
from tests.reliability.kill import tables_and_checksums
from tests.support.running import PROJECT, SHARDS, http_server
from tests.support.strace import OPTIONS, find_faults, parse

pytestmark = pytest.mark.slow


def is_final(path: Path) -> bool:
    """Tell whether a path is that of an output.

    The state of a running download is written often, and only says what need not come again; locks and what a running
    verification computes are no outputs, and what is extracted ahead is none yet. Of timings, some may be lost.
    """
    is_lock = path.parent.name in ("locks", "timings")
    is_computed = "verification" in path.parts and path.parent.name != "verification"
    is_ahead = any(part.startswith("extracted_ahead") for part in path.parts)
    return not (PARTIAL_SUFFIX in path.name or is_lock or is_computed or is_ahead)


def trace_luigi(directory: Path, *arguments: object) -> list[str]:
    """Run Luigi under strace; return the lines of the trace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("strace is not permitted to trace processes here")
    trace = directory / "trace"
    command = [sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", *map(str, arguments), "--local-scheduler"]
    done = subprocess.run(
        [strace, *OPTIONS, "-o", str(trace), *command],
        env={"LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), "PATH": "/usr/bin:/bin"},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return trace.read_text(errors="replace").splitlines()


@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "http"])
def test_a_whole_build_is_durable(ilsvrc: Path, tmp_path: Path, over_http: bool) -> None:
    data_dir = tmp_path / "data"
    with http_server(ilsvrc) as url:
        given = ["--source", url, *tables_and_checksums(ilsvrc)] if over_http else ["--source", ilsvrc]
        lines = trace_luigi(tmp_path, "BuildAll", "--data-dir", data_dir, *given, *SHARDS, "--workers", "2")
    calls = list(parse(lines))
    assert find_faults(calls, data_dir, is_final) == []


def test_a_verification_is_durable(ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(built, tmp_path / "data", copy_function=shutil.copy2)
    lines = trace_luigi(tmp_path, "VerifyBuild", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert find_faults(list(parse(lines)), data_dir, is_final) == []
