"""What a build shows in a terminal, and leaves in a log."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from tests.reliability.kill import tables_and_checksums
from tests.support.running import LOG_TASKS, PROJECT, SHARDS, address, http_server, luigi, luigid, start_luigi
from tests.support.terminal import COLUMNS, lines_shown, run_in_terminal, shown_meanwhile

pytestmark = pytest.mark.slow

TASKS = 36
"""Of a build of the tests' miniature."""

LEVELS = ("INFO: ", "WARNING: ", "ERROR: ")


def build(data_dir: Path, source: Path, *options: object, config: Path | None = PROJECT / "luigi.cfg") -> list[str]:
    """Build; return the lines of the log."""
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, *options, config=config)
    assert status == 0, output
    return output.splitlines()


# How much is said ----------------------------------------------------------------------------------------------------


CONFIGS = [PROJECT / "luigi.cfg", None]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_build_has_no_line_for_each_task_whether_luigi_is_configured_or_not(
    ilsvrc: Path, tmp_path: Path, config: Path | None
) -> None:
    lines = build(tmp_path / "data", ilsvrc, "--workers", 2, config=config)
    assert len(lines) < TASKS
    assert not [line for line in lines if "Shard" in line and "of which" not in line and "    - " not in line]


def test_an_option_and_a_setting_bring_luigis_lines_back(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text("[ilsvrc]\nlog_tasks = true\n")
    by_option = build(tmp_path / "option", ilsvrc, *LOG_TASKS)
    by_setting = build(tmp_path / "setting", ilsvrc, config=config)
    for lines in (by_option, by_setting):
        assert len([line for line in lines if "Informed scheduler" in line]) == 2 * TASKS
        assert len([line for line in lines if " running   " in line]) == TASKS


def test_luigis_lines_on_tasks_of_somebody_else_stay(ilsvrc: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "import luigi, luigi_ilsvrc\n"
        "class Theirs(luigi.Task):\n"
        "    data_dir, source, here = luigi.Parameter(), luigi.Parameter(), luigi.Parameter()\n"
        "    def requires(self): return luigi_ilsvrc.BoundingBoxCSV(data_dir=self.data_dir, source=self.source)\n"
        "    def run(self): self.output().open('w').close()\n"
        "    def output(self): return luigi.LocalTarget(self.here)\n"
    )
    build = start_luigi(
        *("--module", "theirs", "Theirs", "--data-dir", tmp_path / "data", "--source", ilsvrc),
        *("--here", tmp_path / "here", "--local-scheduler"),
        PYTHONPATH=str(tmp_path),
    )
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 0, output
    assert [line for line in output.splitlines() if " running   " in line and "Theirs" in line]
    assert "has status   PENDING" in output
    assert "BoundingBoxCSV_" not in output


def test_a_value_of_the_option_that_makes_no_sense_is_refused(ilsvrc: Path, tmp_path: Path) -> None:
    status, output = luigi("IndexTrain", "--data-dir", tmp_path, "--source", ilsvrc, "--ilsvrc-log-tasks", "maybe")
    assert status == 40
    assert output.splitlines()[-1] == "ERROR: --ilsvrc-log-tasks: 'maybe' is neither true nor false"
    assert "Traceback" not in output


def test_a_run_without_tasks_of_the_package_has_luigis_log_as_it_is(tmp_path: Path) -> None:
    program = (
        "import luigi, luigi_ilsvrc\n"
        "class Other(luigi.Task):\n"
        "    def run(self): pass\n"
        "    def complete(self): return False\n"
        "luigi.build([Other()], local_scheduler=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=True, cwd=tmp_path)
    assert "DEBUG: Checking if Other() is complete" in done.stderr
    assert "DEBUG: Asking scheduler for work..." in done.stderr


# What stands last ----------------------------------------------------------------------------------------------------


def test_the_reason_of_a_failure_stands_last(ilsvrc: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    archive = source / TRAIN_ARCHIVE.name
    archive.write_bytes(archive.read_bytes()[:-1])
    _, output = luigi("BuildAll", "--data-dir", tmp_path / "data", "--source", source, *SHARDS, "--workers", 2)
    assert output.splitlines()[-1].startswith(f"ERROR: DownloadTrain: {archive}: the MD5 sum is ")


def test_of_many_failures_ten_are_repeated_at_the_end_and_the_rest_is_counted(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    status, output = luigi(
        "PlanShards", "--split", "train", "--num-shards", 16, "--data-dir", data_dir, "--source", ilsvrc
    )
    assert status == 0, output
    for plan in (data_dir / "ilsvrc2012" / "index" / "train-plan-of-00016").iterdir():
        plan.write_text("damaged")
    _, output = luigi("TFRecords", "--train-shards", 16, "--data-dir", data_dir, "--source", ilsvrc)
    *_, last = output.splitlines()
    assert last == "ERROR: 6 more tasks have failed: see above"
    assert len(re.findall(r"^ERROR: TFRecordShard\(split=train, num_shards=16, shard=\d+\): ", output, re.M)) == 10


def test_what_a_build_has_made_stands_last_also_if_it_was_there(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    made, found = build(data_dir, ilsvrc), build(data_dir, ilsvrc)
    boxes = (data_dir / "bounding_boxes.csv").read_text().count("\n")
    assert re.fullmatch(
        rf"INFO: {data_dir} is complete: 90 train and 25 validation images, {boxes} bounding boxes, "
        r"8 train and 3 validation tfrecord shards; see \S+/report\.html; this run took \d+ s",
        made[-1],
    )
    assert found[-1].partition(";")[0] == made[-1].partition(";")[0]


def test_what_was_verified_is_at_the_end(ilsvrc: Path, data_dir: Path) -> None:
    _, output = luigi("VerifyBuild", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS, "--date", "2026-01-01")
    assert re.fullmatch(
        rf"INFO: {data_dir} is as it was made: \d+ files, [0-9.]+ .?B, \d+ records; this run took \d+ s",
        output.splitlines()[-1],
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_the_first_warning_says_that_luigid_does_not_run(ilsvrc: Path, tmp_path: Path, config: Path | None) -> None:
    with luigid(tmp_path) as port:
        pass
    build = start_luigi(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc),
        *address(port),
        config=config,
    )
    assert build.stdout is not None
    try:
        url = f"http://127.0.0.1:{port}"
        line = next(line for line in build.stdout if not line.startswith("INFO: source: "))
        assert line == (
            f"WARNING: the scheduler at {url} does not answer: waiting for it; start luigid if it does not run\n"
        )
    finally:
        build.kill()
        build.communicate()


def test_if_luigid_does_not_come_the_last_line_says_what_to_do_without_a_traceback(
    ilsvrc: Path, tmp_path: Path
) -> None:
    with luigid(tmp_path) as port:
        pass
    config = tmp_path / "luigi.cfg"
    config.write_text("[core]\nrpc-retry-attempts = 1\n[retcode]\nunhandled_exception = 40\n")
    build = start_luigi(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc),
        *address(port),
        config=config,
    )
    output, _ = build.communicate(timeout=60)
    assert build.returncode == 40
    assert "Traceback" not in output
    assert "start luigid there" in output.splitlines()[-1]


def test_a_success_ends_with_no_error_of_what_another_worker_has_mended(ilsvrc: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    whole = (source / TRAIN_ARCHIVE.name).read_bytes()
    (source / TRAIN_ARCHIVE.name).write_bytes(whole[:-1])
    config = tmp_path / "luigi.cfg"
    config.write_text((PROJECT / "luigi.cfg").read_text().replace("keep_alive = false", "keep_alive = true"))
    with luigid(tmp_path) as port:
        command = ("IndexTrain", "--data-dir", tmp_path / "data", "--source", source, *address(port))
        waiting = start_luigi(*command, config=config)
        assert waiting.stdout is not None
        said = ""
        while "the MD5 sum is " not in said:
            line = waiting.stdout.readline()
            assert line, said
            said += line
        (source / TRAIN_ARCHIVE.name).write_bytes(whole)
        other, _ = start_luigi(*command).communicate(timeout=60)
        output, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, output + other
    assert "ERROR" not in output


OWN_STDERR = """
import sys
import luigi
from luigi_ilsvrc import BoundingBoxCSV
class Tee:
    def __init__(self, stream): self.stream = stream
    def write(self, text): self.stream.write(text)
    def flush(self): self.stream.flush()
if sys.argv[3] == "closed":
    sys.stderr.close()
else:
    sys.stderr = Tee(sys.stderr)
boxes = BoundingBoxCSV(data_dir=sys.argv[1], source=sys.argv[2])
print(luigi.build([boxes], local_scheduler=True, log_level="WARNING"))
"""


@pytest.mark.parametrize("stderr", ["closed", "tee"])
def test_a_program_may_have_any_stderr(ilsvrc: Path, tmp_path: Path, stderr: str) -> None:
    command = [sys.executable, "-c", OWN_STDERR, tmp_path / "data", ilsvrc, stderr]
    done = subprocess.run(list(map(str, command)), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.stdout == "True\n"


# While it runs -------------------------------------------------------------------------------------------------------

# A build as the command line runs it, with shorter times between its lines.
PROGRAM = """
import sys
from luigi.cmdline import luigi_run
from luigi_ilsvrc.tasks.luigi_support import build_display, task_progress
build_display._SHOW_EVERY, build_display._COUNT_EVERY, build_display._LOG_EVERY = 0.2, 0.5, 2.0
task_progress._SHOW_EVERY, task_progress._LOG_EVERY = 0.5, 2.0
luigi_run(sys.argv[1:])
"""


@pytest.fixture
def command(ilsvrc: Path, tmp_path: Path) -> Iterator[list[object]]:
    """A build with two workers from a source that takes six seconds to send the training images."""
    rate = (ilsvrc / TRAIN_ARCHIVE.name).stat().st_size // 6
    with http_server(ilsvrc, rate=rate) as url:
        yield [
            *(sys.executable, "-c", PROGRAM, "--module", "luigi_ilsvrc", "BuildAll", "--local-scheduler"),
            *("--data-dir", tmp_path / "data", "--source", url, *tables_and_checksums(ilsvrc)),
            *("--workers", 2, "--connections", 1, *SHARDS),
        ]


ENVIRONMENT = {**os.environ, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), "PYTHONPATH": str(PROJECT)}
OVERALL = re.compile(
    r"INFO: \d+ of 35 tasks; synsets \d of 5; shards \d+ of 11; [0-9.]+ .?B(; downloading: \d+ s left|; \d+ s left)?"
)


def test_a_terminal_has_one_line_that_changes_below_the_log(command: list[object]) -> None:
    status, written = run_in_terminal(command, ENVIRONMENT)
    assert status == 0, written
    log = [line for line in lines_shown(written) if line.startswith(LEVELS)]
    assert [line for line in log if OVERALL.fullmatch(line)]
    assert not [line for line in log if "DownloadTrain" in line]
    changing = shown_meanwhile(written)
    assert [text for text in changing if text.startswith("DownloadTrain downloading: ") and "B/s" in text]
    assert max(map(len, changing)) < COLUMNS


def test_what_processes_log_meanwhile_does_not_mix_with_the_line_that_changes(command: list[object]) -> None:
    status, written = run_in_terminal([*command, *LOG_TASKS], ENVIRONMENT)
    assert status == 0, written
    before, *_ = "\n".join(lines_shown(written)).partition("INFO: \n===== Luigi Execution Summary =====")
    assert [line for line in before.splitlines() if " running   " in line]
    assert [line for line in before.splitlines() if not line.startswith(LEVELS)] == []


def test_a_log_has_lines_on_the_whole_and_on_each_long_task(command: list[object], tmp_path: Path) -> None:
    done = subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if OVERALL.fullmatch(line)], done.stderr
    assert [line for line in lines if line.startswith("INFO: DownloadTrain downloading: ")]
    assert "\x1b" not in done.stderr
