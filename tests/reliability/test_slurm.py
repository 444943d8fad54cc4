"""The batch scripts of docs/recipes/slurm, submitted to a Slurm of two nodes that loses a part of what it runs.

The main worker has two processes, and the source delivers slowly. So an assistant has one of the three downloads, and
is in the middle of it when something happens.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.reliability.kill import differences, tables_and_checksums, wait_until
from tests.support.running import PROJECT, SHARDS, contents, http_server
from tests.support.slurm import ENDED, NoSlurmError, Slurm, slurm_cluster

pytestmark = pytest.mark.slow

RECIPE = PROJECT / "docs" / "recipes" / "slurm"
_LONGEST_BUILD = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    # Not pytest's folder: the path of a Unix socket is short.
    scratch = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        with slurm_cluster(scratch) as slurm:
            yield slurm
    except NoSlurmError as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(scratch)


class Submission:
    """Submits the recipe's scripts for one data set: the build takes all of a node, so the assistants run on the other.

    Parameters
    ----------
    slurm : Slurm
        The cluster.
    directory : Path
        Empty; for the data set and the logs.
    source : str
        The URL of a miniature.
    tables : sequence
        The options for its tables and checksums.
    """

    def __init__(self, slurm: Slurm, directory: Path, source: str, tables: Sequence[object]) -> None:
        self.data_dir = directory / "data"
        self.logs = directory / "logs"
        self.logs.mkdir()
        self._slurm = slurm
        self._tables = tables
        self._environment = {
            "DATA_DIR": str(self.data_dir),
            "PROJECT": str(PROJECT),
            "VENV": sys.prefix,
            "SOURCE": source,
            "SCHEDULER_HOST": "127.0.0.1",
        }

    def download(self) -> str:
        """Submit the download of the training images; return its job's id."""
        return self._submit("build.sbatch", ["--cpus-per-task=1"], self._tables, TASK="DownloadTrain")

    def build(self, *options: str) -> str:
        """Submit the build; return its job's id."""
        return self._submit("build.sbatch", ["--cpus-per-task=2", *options], [*self._tables, *SHARDS])

    def assistants(self, build: str, count: int = 1, idle_minutes: float = 10) -> str:
        """Submit assistants for a build; return the id of their jobs."""
        options = [f"--dependency=after:{build}", f"--array=0-{count - 1}", "--cpus-per-task=1"]
        # Their logs have a line for each task that they run.
        config = self.data_dir.parent / "assistants.cfg"
        config.write_text("[ilsvrc]\nlog_tasks = true\n")
        more = {"IDLE_MINUTES": str(idle_minutes), "LUIGI_CONFIG_PATH": str(config)}
        return self._submit("assistants.sbatch", options, [], **more)

    def _submit(self, script: str, options: Sequence[str], arguments: Sequence[object], **more: str) -> str:
        environment = {**self._environment, **more}
        return self._slurm.submit(RECIPE / script, ["--mem=1000", *options], arguments, self.logs, environment)

    def wait_until_ended_well(self, job: str) -> None:
        """Wait until a job has ended, and ended well."""
        ended = self._slurm.wait_for(job, *ENDED, within=_LONGEST_BUILD)
        assert (ended["JobState"], ended["ExitCode"]) == ("COMPLETED", "0:0"), self.said()

    def said(self) -> str:
        """Return what all logs hold."""
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in sorted(self.logs.iterdir()))

    def luigid(self) -> int:
        """Return the process id of luigid."""
        [found] = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_luigid(entry)
        ]
        return found

    def _is_luigid(self, process: Path) -> bool:
        try:
            return (
                f"DATA_DIR={self.data_dir}".encode() in (process / "environ").read_bytes().split(b"\0")
                and b"/luigid\0" in (process / "cmdline").read_bytes()
            )
        except OSError:
            return False

    def wait_for_assistant(self) -> str:
        """Wait until an assistant is downloading; return its job's id."""
        assert wait_until(lambda: bool(self._downloading()), _LONGEST_BUILD), self.said()
        # Of two assistants, both may be, if the main worker was slow to begin.
        log, *_ = self._downloading()
        return "_".join(log.stem.split("-")[-2:])

    def _downloading(self) -> list[Path]:
        return [log for log in self.logs.glob("ilsvrc-assistant-*") if "running   Download" in log.read_text()]


@pytest.fixture
def submission(cluster: Slurm, tmp_path: Path, ilsvrc: Path) -> Iterator[Submission]:
    with http_server(ilsvrc, delay=2) as url:
        yield Submission(cluster, tmp_path, url, tables_and_checksums(ilsvrc))
        cluster.cancel_all()


def assert_complete(submission: Submission, built: Path) -> None:
    assert differences(submission.data_dir, contents(built)) == [], submission.said()
    assert not (submission.data_dir / ".luigid").exists()


def test_a_download_and_a_build_with_assistants_are_complete_and_all_jobs_end(
    submission: Submission, built: Path
) -> None:
    download = submission.download()
    build = submission.build(f"--dependency=afterok:{download}")
    assistants = submission.assistants(build, 2, idle_minutes=0.5)
    submission.wait_until_ended_well(build)
    assert_complete(submission, built)
    for index in range(2):
        submission.wait_until_ended_well(f"{assistants}_{index}")


def test_an_assistant_that_is_cancelled_is_not_missed(cluster: Slurm, submission: Submission, built: Path) -> None:
    build = submission.build()
    submission.assistants(build, 2)
    cluster.run("scancel", submission.wait_for_assistant())
    assert cluster.job(build)["JobState"] == "RUNNING"
    submission.wait_until_ended_well(build)
    assert_complete(submission, built)


def test_a_node_that_is_drained_is_not_missed(cluster: Slurm, submission: Submission, built: Path) -> None:
    build = submission.build()
    submission.assistants(build)
    assistant = submission.wait_for_assistant()
    cluster.run("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    cluster.run("scontrol", "requeue", assistant)
    assert cluster.job(build)["JobState"] == "RUNNING"
    submission.wait_until_ended_well(build)
    assert_complete(submission, built)


def test_a_luigid_that_is_killed_is_started_again(cluster: Slurm, submission: Submission, built: Path) -> None:
    build = submission.build()
    submission.assistants(build)
    submission.wait_for_assistant()
    os.kill(submission.luigid(), signal.SIGKILL)
    assert cluster.job(build)["JobState"] == "RUNNING"
    submission.wait_until_ended_well(build)
    assert_complete(submission, built)


def test_a_build_that_was_cancelled_is_completed_by_the_next_one(
    cluster: Slurm, submission: Submission, built: Path
) -> None:
    build = submission.build()
    submission.assistants(build)
    submission.wait_for_assistant()
    cluster.run("scancel", build)
    cluster.wait_for(build, "CANCELLED")
    submission.wait_until_ended_well(submission.build())
    assert_complete(submission, built)
