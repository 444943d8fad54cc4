"""How much memory and time a call takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

_CALL = """
import importlib, resource, sys, time
from pathlib import Path
from luigi_ilsvrc.errors import BuildError

# The machine survives a call that is not bounded.
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
module, _, function = sys.argv[1].partition(":")
call = getattr(importlib.import_module(module), function)
before, error = time.process_time(), ""
try:
    call(Path(sys.argv[2]))
except BuildError as raised:
    error = str(raised)
# Not ru_maxrss: that starts with the memory of the process that this one was forked from.
[memory] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(memory, time.process_time() - before)
print(error)
"""


class Cost(NamedTuple):
    """Peak memory in bytes, CPU time in seconds, and the message of the `BuildError` if there was one."""

    memory: int
    seconds: float
    error: str


def cost_of(function: str, path: Path) -> Cost:
    """Call ``<module>:<function>`` with a path in a new process, and measure it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("there is no /proc, which says how much memory a process has taken")
    run = subprocess.run([sys.executable, "-c", _CALL, function, path], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    usage, _, error = run.stdout.partition("\n")
    memory, seconds = usage.split()
    return Cost(int(memory) * 1024, float(seconds), error.strip())
