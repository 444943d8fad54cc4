"""Locks as some network and FUSE file systems have them: none, or for everybody at once."""

from pathlib import Path
from types import MappingProxyType

BROKEN_LOCKS = MappingProxyType(
    {
        "none": "raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))",
        "error": "raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))",
        "shared": "return None",
    }
)
"""What flock(2) and lockf(3) do, by a name for the command line."""

_PROGRAM = """import errno, fcntl, os

def _lock(*arguments):
    {action}

fcntl.flock = fcntl.lockf = _lock
"""


def broken_locks(kind: str, directory: Path) -> dict[str, str]:
    """Return the environment in which Python's locks are broken, by a module that is written to a folder.

    Parameters
    ----------
    kind : str
        One of `BROKEN_LOCKS`.
    directory : Path
        Made if it is missing; must stay as long as the processes start.
    """
    directory.mkdir(exist_ok=True)
    # Python imports a module of this name when it starts.
    (directory / "sitecustomize.py").write_text(_PROGRAM.format(action=BROKEN_LOCKS[kind]))
    return {"PYTHONPATH": str(directory)}
