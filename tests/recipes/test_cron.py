"""The lines of the crontab, run as cron runs them."""

import subprocess
from pathlib import Path

import pytest

from tests.recipes.checkout import CHECKOUT, DATA_DIR, RECIPES, make_checkout
from tests.reliability.kill import differences
from tests.support.running import contents

pytestmark = pytest.mark.slow

LOGS = "/var/log/ilsvrc"


class Cron:
    """Runs lines of the crontab, with a checkout, a data set and a log of a test.

    Parameters
    ----------
    directory : Path
        Empty.
    source : Path
        A miniature.
    """

    def __init__(self, directory: Path, source: Path) -> None:
        self.data_dir = directory / "data"
        self.logs = directory / "logs"
        self.logs.mkdir()
        self._home = directory
        self._checkout = make_checkout(directory / "checkout", source)

    def run(self, task: str) -> tuple[int, str]:
        """Run the line of a task; return its exit status and what cron would send by mail."""
        done = subprocess.run(
            ["sh", "-c", self._command(task)],
            env={"HOME": str(self._home), "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    def _command(self, task: str) -> str:
        lines = (RECIPES / "cron" / "ilsvrc.crontab").read_text().splitlines()
        [line] = [line for line in lines if f" {task} " in line and not line.startswith("#")]
        # Five fields say when. A % without a backslash would be the end of the command.
        command = line.split(maxsplit=5)[5].replace(r"\%", "\0")
        assert "%" not in command
        here = {CHECKOUT: self._checkout, DATA_DIR: self.data_dir, LOGS: self.logs, "\0": "%"}
        for name, path in here.items():
            command = command.replace(name, str(path))
        return command


@pytest.fixture
def cron(tmp_path: Path, ilsvrc: Path) -> Cron:
    return Cron(tmp_path, ilsvrc)


def test_the_line_of_the_build_makes_the_data_set_and_sends_no_mail(cron: Cron, built: Path) -> None:
    status, mail = cron.run("BuildAll")
    assert (status, mail) == (0, ""), (cron.logs / "build.log").read_text()
    assert differences(cron.data_dir, contents(built)) == []


def test_the_line_of_the_verification_verifies_a_part_of_the_build(cron: Cron, data_dir: Path) -> None:
    cron.data_dir = data_dir
    status, mail = cron.run("VerifyBuild")
    assert (status, mail) == (0, ""), (cron.logs / "build.log").read_text()
    [verification] = (data_dir / "ilsvrc2012" / "verification").iterdir()
    assert verification.match("*-part-?-of-7.json")


def test_a_build_that_fails_sends_a_mail_of_one_line(cron: Cron, ilsvrc: Path) -> None:
    cron.data_dir.write_text("a file in the place of the folder")
    _, mail = cron.run("BuildAll")
    assert mail == f"BuildAll: exit code 35, see {cron.logs}/build.log\n", (cron.logs / "build.log").read_text()
