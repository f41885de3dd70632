"""Ends process groups once the process that started them is gone, however it went.

Run as a script with a pipe on standard input: "+ID" registers a group, "-ID" forgets it, and the
end of the pipe, which the kernel gives even after SIGKILL, means that the parent is dead. Unlike
Linux's PR_SET_PDEATHSIG this works on macOS too, and does not fire when only the thread ends that
had started the process.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 3.0


def end(groups: set[int], signum: signal.Signals) -> set[int]:
    """Signal each group and give those that were still there."""
    alive = set()
    for group in groups:
        try:
            os.killpg(group, signum)
        except (ProcessLookupError, PermissionError):
            continue
        alive.add(group)
    return alive


def main() -> None:
    """Follow the parent's notes until its pipe ends, then end what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    groups = end(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = {group for group in groups if end({group}, signal.Signals.SIGTERM)}
    end(groups, signal.SIGKILL)


if __name__ == "__main__":
    main()
