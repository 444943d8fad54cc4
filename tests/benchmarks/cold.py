"""Cold disks: nothing in the page cache before a run, and less memory than the files take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def drop_caches() -> None:
    """Drop what the system keeps of files in memory; see proc(5). Raises OSError if not run as root."""
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


@contextmanager
def limited_memory(size: int) -> Iterator[Path]:
    """Yield a control group whose processes have so many bytes of memory, files that they have read included.

    Raises OSError if not run as root, or if the system has no control groups for memory.
    """
    has_one_hierarchy = (_GROUPS / "cgroup.controllers").exists()
    folder = _GROUPS if has_one_hierarchy else _GROUPS / "memory"
    limit = "memory.max" if has_one_hierarchy else "memory.limit_in_bytes"
    group = folder / f"luigi-ilsvrc-benchmark-{os.getpid()}"
    group.mkdir()
    try:
        (group / limit).write_text(f"{size}\n")
        yield group
    finally:
        group.rmdir()
