"""Runs the stages and prints what they cost beside their peers."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from tests.benchmarks.cold import limited_memory
from tests.benchmarks.data import Data
from tests.benchmarks.measure import BenchmarkError, Result, measure, tell
from tests.benchmarks.stages import STAGES, require_peers
from tests.benchmarks.table import as_json, as_table


def main() -> None:
    """Run as the command line asks."""
    arguments = _parser().parse_args()
    names = arguments.stage or list(STAGES)
    results: list[Result] = []
    failure = None
    try:
        require_peers(names)
        for result in _measure(names, arguments):
            results.append(result)
    except BenchmarkError as error:
        failure = f"tests.benchmarks: {error}"
    if results:
        print(as_table(results, arguments.rounds, arguments.cold))
        if arguments.json:
            text = json.dumps(as_json(results, arguments.scale, arguments.rounds, arguments.cold), indent=2)
            arguments.json.write_text(f"{text}\n")
    sys.exit(failure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the build beside wget, aria2c, tar, md5sum, cp, tensorflow-datasets, webdataset and bare "
        "Luigi.",
    )
    parser.add_argument(
        "--scale", type=float, default=0.2, metavar="X", help="1 is what the goals are for (default: 0.2)"
    )
    parser.add_argument("--stage", action="append", choices=STAGES, help="may be given again (default: all)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="after a warm-up (default: 5)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="that ours has (default: 2)")
    parser.add_argument(
        "--cold",
        type=float,
        metavar="GB",
        help="as root: so much memory (tensorflow-datasets needs 3), and nothing in the page cache before a run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too, every run of them")
    parser.add_argument(
        *("--directory", "-d"),
        type=Path,
        metavar="DIR",
        help="an existing folder for data and outputs, removed in the end (default: the temporary one); "
        "at scale 1 it takes 15 GB",
    )
    return parser


def _measure(names: list[str], arguments: argparse.Namespace) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-benchmark-", dir=arguments.directory) as name:
        data = Data(Path(name), arguments.scale, arguments.workers)
        for stage_name in names:
            limited = limited_memory(int(arguments.cold * 1e9)) if arguments.cold else nullcontext()
            with STAGES[stage_name](data) as stage, limited as group:
                result = measure(stage, arguments.rounds, Path(name), group)
                tell(as_table([result], arguments.rounds, arguments.cold))
                yield result


if __name__ == "__main__":
    main()
