"""Our side, where it is not Luigi's own command line; each function runs as a process, ``-m tests.benchmarks.ours``."""

import sys
from pathlib import Path


def download(source: str, name: str, destination: str, md5: str, connections: str) -> None:
    """Download and verify one file."""
    from luigi_ilsvrc.download import download as module

    module.download(source, name, Path(destination), md5=md5, connections=int(connections))


def luigi_after_imports(*arguments: str) -> None:
    """Run Luigi as its command line does, but count from when the heavy libraries are there."""
    import lxml.etree  # noqa: F401
    from luigi.cmdline import luigi_run

    import luigi_ilsvrc  # noqa: F401
    from tests.benchmarks.measure import mark_imports_done

    mark_imports_done()
    luigi_run(list(arguments))


if __name__ == "__main__":
    if sys.argv[1] == "download":
        download(*sys.argv[2:])
    else:
        luigi_after_imports(*sys.argv[2:])
