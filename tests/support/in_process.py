"""Runs Luigi's command line in a forked process, which costs a tenth of a new one."""

import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, NoReturn

import luigi
from luigi.retcodes import run_with_retcodes

import luigi_ilsvrc
from luigi_ilsvrc.dataset.images import load_pillow
from luigi_ilsvrc.storage.temporary import new_owner
from tests.support.running import PROJECT

_LONGEST_RUN = 120


class Run(NamedTuple):
    """What a command ended with, and what it said."""

    status: int
    output: str

    @property
    def is_well(self) -> bool:
        """Whether the exit status is 0."""
        return self.status == 0

    @property
    def is_clear(self) -> bool:
        """Whether it says what is wrong without a traceback."""
        return self.is_well or ("ERROR" in self.output and "Traceback (most recent call last)" not in self.output)


def run(command: str, *arguments: object) -> Run:
    """Run ``luigi --module luigi_ilsvrc <command> …`` with this project's luigi.cfg and a scheduler of its own.

    The process is a copy of this one: what this one has imported need not be imported again.
    """
    load_pillow()
    # What each build's report imports takes more than a second.
    importlib.import_module("luigi_ilsvrc.report.page")
    # Luigi's own lock takes all processes with the command line of this one for the same build.
    argv = ["--module", luigi_ilsvrc.__name__, command, *map(str, arguments), "--local-scheduler", "--no-lock"]
    if command == "VerifyBuild":
        # By default what the module has made up when it was imported, which would be the same for all.
        argv += ["--started", new_owner()]
    with tempfile.TemporaryFile() as log:
        pid = os.fork()
        if pid == 0:
            _run_and_exit(argv, log.fileno())
        _, status = os.waitpid(pid, 0)
        log.seek(0)
        return Run(os.waitstatus_to_exitcode(status), log.read().decode(errors="replace"))


def _run_and_exit(argv: list[str], log: int) -> NoReturn:
    status = 99
    try:
        signal.alarm(_LONGEST_RUN)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # pytest has put files of its own in their place.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        for name in [name for name in os.environ if name.startswith(("LUIGI_", "IMAGENET_"))]:
            del os.environ[name]
        luigi.configuration.add_config_path(str(Path(PROJECT, "luigi.cfg")))
        run_with_retcodes(argv)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
