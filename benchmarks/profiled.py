"""The function's ASGI app in this process under cProfile: what the worker does, call by call.

    python -m benchmarks.profiled PORT FILE

Ends with SIGTERM, and writes the statistics then. The profiler makes every call dearer, so read
the shares, not the seconds.
"""

from __future__ import annotations

import cProfile
import signal
import sys
import time
from typing import Any

import functions_framework.aio
import uvicorn

from local.servers.function import ROOT
from local.servers.processes import LOOPBACK


def main() -> None:
    """Serve until told to end."""
    port, file = int(sys.argv[1]), sys.argv[2]
    create: Any = functions_framework.aio.create_asgi_app
    app = create("describe_image", str(ROOT / "main.py"))
    server = uvicorn.Server(
        uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning", access_log=False)
    )
    # The server raises the signal once more when it is done; the statistics come after that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # On this thread's CPU clock: waiting costs nothing, wherever the event loop hides it.
    profile = cProfile.Profile(time.thread_time)
    try:
        profile.runcall(server.run)
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
