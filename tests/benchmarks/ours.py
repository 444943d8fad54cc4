"""Our side, where it is not Luigi's own command line; each function runs as a process, ``-m tests.benchmarks.ours``."""

import inspect
import sys
from pathlib import Path

from tests.benchmarks.measure import mark_imports_done


def download(source: str, name: str, destination: str, md5: str, connections: str) -> None:
    """Download and verify one file."""
    from luigi_ilsvrc import download

    options = {"connections": int(connections)} if may_use_connections() else {}
    download.download(source, name, Path(destination), md5=md5, **options)  # type: ignore[arg-type]


def may_use_connections() -> bool:
    """Tell whether downloads know of several connections."""
    from luigi_ilsvrc import download

    return "connections" in inspect.signature(download.download).parameters


def luigi_after_imports(*arguments: str) -> None:
    """Run Luigi as its command line does, but count from when the heavy libraries are there."""
    import lxml.etree  # noqa: F401
    from luigi.cmdline import luigi_run

    from luigi_ilsvrc import shards  # noqa: F401

    mark_imports_done()
    luigi_run(["--module", "luigi_ilsvrc", *arguments])


if __name__ == "__main__":
    if sys.argv[1] == "download":
        download(*sys.argv[2:])
    else:
        luigi_after_imports(*sys.argv[2:])
