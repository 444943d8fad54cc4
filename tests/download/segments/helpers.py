"""What the tests of several connections share."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.download.helpers import BODY, NAME, PROJECT, md5_of, ranges_of, wait_until
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

# With these, a few hundred thousand bytes are enough for several connections.
SIZES = {"MIN_SEGMENT": 10_000, "MAX_SEGMENT": 60_000, "MIN_BYTES_PER_CONNECTION": 20_000}


def begin(handler: hostile.Handler) -> None:
    """Send the first bytes, and the rest after two more connections have sent a request."""
    _, rest = handler.rest()
    handler.wfile.write(rest[:1000])
    wait_until(lambda: len(handler.server.requests) >= 3)
    handler.wfile.write(rest[1000:])


def bytes_recorded(destination: Path) -> int:
    return sum(end - start for start, end in ranges_of(destination))


def leave_ranges(server: HostileServer, destination: Path, each: int = 10_000) -> None:
    """Kill a process after each of three connections has received `each` bytes of its segment."""
    server.script = [hostile.stall_at(each)] * 3
    script = (
        "import sys; from pathlib import Path;"
        "from luigi_ilsvrc.download import segments; from luigi_ilsvrc.download.download import download;"
        f"vars(segments).update({SIZES});"
        "download(*sys.argv[1:3], Path(sys.argv[3]), md5=sys.argv[4], connections=3)"
    )
    arguments = [sys.executable, "-c", script, server.url, NAME, str(destination), md5_of(BODY)]
    with subprocess.Popen(arguments, cwd=PROJECT) as process:
        try:
            wait_until(lambda: bytes_recorded(destination) == 3 * each)
        finally:
            process.send_signal(signal.SIGKILL)
    server.requests.clear()
