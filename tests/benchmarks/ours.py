"""Our side, where it is not Luigi's own command line; each function runs as a process, ``-m tests.benchmarks.ours``."""

import sys
from collections.abc import Callable
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


def read(data_dir: str) -> None:
    """Read all training images, decoded and squashed to 224 x 224; counted once the pipeline is set up."""
    from luigi_ilsvrc.datasets import tf_dataset
    from tests.benchmarks.reading import BATCH, SIZE, read_all

    read_all(tf_dataset(data_dir, "train", image_size=SIZE, resize="squash", batch_size=BATCH))


def parquet(source: str, tables: str, outputs: str) -> None:
    """Import the training images of parquet files."""
    from luigi_ilsvrc.dataset.splits import TRAIN
    from luigi_ilsvrc.layouts.parquet import find_files, import_archive
    from tests.support.source_images import tables_of

    archive, state = (Path(outputs, name) for name in ("training_images.tar", "state"))
    import_archive(find_files(Path(source), TRAIN), TRAIN, tables_of(Path(tables)), archive, state)


_FUNCTIONS: dict[str, Callable[..., None]] = {
    "download": download,
    "luigi_after_imports": luigi_after_imports,
    "parquet": parquet,
    "read": read,
}

if __name__ == "__main__":
    _FUNCTIONS[sys.argv[1]](*sys.argv[2:])
