"""Runs one command; prints its status, when it began and ended, CPU seconds, peak memory, bytes read from disks.

Run as ``python -I -S launcher.py COMMAND…``, and as small as that: Linux counts to a program's peak memory that of the
process which started it, so that nothing small can be measured from a process that is large. With a control group in
``ILSVRC_BENCHMARK_GROUP``, the command runs there.
"""

import os
import sys
import time


def main() -> None:
    """Run the command; its own output goes to stderr, the measurement to stdout."""
    group = os.environ.get("ILSVRC_BENCHMARK_GROUP")
    if group:
        with open(f"{group}/cgroup.procs", "w") as processes:
            processes.write(str(os.getpid()))
    began = time.time()
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        os.execvp(sys.argv[1], sys.argv[1:])
    # Of the command and all its descendants that were waited for: their CPU together, the largest one's memory, and
    # the blocks of 512 bytes that they had read from disks (getrusage(2)).
    _, status, usage = os.wait4(pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    print(os.waitstatus_to_exitcode(status), began, time.time(), cpu, usage.ru_maxrss * 1024, usage.ru_inblock * 512)


if __name__ == "__main__":
    main()
