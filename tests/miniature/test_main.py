import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

from tqdm import tqdm

from luigi_ilsvrc.miniature.__main__ import show_in
from tests.miniature.reading import files, write_tiny


def _run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "luigi_ilsvrc.miniature", *arguments],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
    )


def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    here = write_tiny(tmp_path / "here")
    counts = ["--synsets", "2", "--train-images", "20", "--validation-images", "4", "--tiny"]
    assert _run(tmp_path / "there", *counts).returncode == 0
    assert files(tmp_path / "there") == files(here)


def test_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    run = _run(tmp_path, "--full", "--synsets", "1001")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("luigi_ilsvrc.miniature: synsets is 1001")


def test_the_bar_shows_stage_count_and_unit() -> None:
    terminal = StringIO()
    with tqdm(file=terminal) as bar:
        show_in(bar)("writing", 3, 18, "files")
        bar.refresh()
    assert all(shown in terminal.getvalue() for shown in ("writing", "3/18", " files/s"))
