"""What the recipes of docs/recipes name, for a miniature in a folder of a test; and their commands, run in it."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.running import PROJECT, wait_for_port

RECIPES = PROJECT / "docs" / "recipes"

CHECKOUT = "/opt/luigi_ilsvrc"
DATA_DIR = "/data/imagenet"


def make_checkout(directory: Path, source: Path) -> Path:
    """Make what a recipe has in /opt/luigi_ilsvrc: the virtual environment, and luigi.cfg with a source and shards."""
    directory.mkdir()
    (directory / ".venv").symlink_to(sys.prefix)
    settings = f"source = {source}\ntrain_shards = 8\nvalidation_shards = 3\n"
    (directory / "luigi.cfg").write_text(f"{(PROJECT / 'luigi.cfg').read_text()}\n{settings}")
    return directory


def replaced(text: str, values: Mapping[str, object]) -> str:
    """Return a text with other values in the place of some that it has; each of them has to be in it.

    What has been put in is not looked at again: a folder of pytest may well have the number of workers in its name.
    """
    for value in values:
        assert value in text, value
    return re.sub("|".join(map(re.escape, values)), lambda found: str(values[found[0]]), text)


def free_port() -> int:
    """Return a port that nobody uses."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def build_with_assistant(
    commands: Sequence[Sequence[str]], port: int, log: Path, environment: Mapping[str, str]
) -> int:
    """Run the commands of luigid, a build and an assistant together; return the exit status of the build.

    The assistant has to run until the build has ended. The commands are started as services are: without this process's
    environment, in a folder that has nothing of ours.
    """
    luigid, build, assistant = commands
    with _running(luigid, log, environment):
        wait_for_port(port)
        with _running(assistant, log, environment) as other, _running(build, log, environment) as main:
            status = main.wait(300)
            assert other.poll() is None
    return status


@contextmanager
def _running(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(120)
        finally:
            process.kill()
