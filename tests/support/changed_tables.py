"""Runs Luigi in a process that has changed a table of the package first."""

import os
import subprocess
import sys

from tests.support.running import PROJECT


def luigi_with(change: str, *arguments: object) -> tuple[int, str]:
    """Run ``luigi --module luigi_ilsvrc …`` after the Python statements `change`; return exit status and output."""
    program = f"{change}\nfrom luigi.cmdline import luigi_run\nluigi_run()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    run = subprocess.run(
        [
            *(sys.executable, "-c", program),
            *("--module", "luigi_ilsvrc", *map(str, arguments), "--local-scheduler"),
        ],
        env={**kept, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), "PYTHONPATH": str(PROJECT)},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return run.returncode, run.stdout
