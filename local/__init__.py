"""Development parts: the same function on real local servers. Never deployed.

- servers/: Cloud Storage, Pub/Sub, Firestore, a small Eventarc and the function, as processes
- standin/: a model server that measures the picture instead of seeing it
- demo/: what one runs by hand: demo, describe, upload
- http.py: the client that talks to these servers
"""

import os


def _pass_proxies_by() -> None:
    """Have the libraries of Google and OpenAI reach this machine without the environment's proxy.

    They read these variables themselves, gRPC the first one only; the processes that are started
    from here inherit them.
    """
    hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    # A star stands for all hosts, but only alone.
    if hosts.strip() != "*":
        named = [host for host in hosts.split(",") if host]
        hosts = ",".join(dict.fromkeys([*named, "127.0.0.1", "localhost"]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = hosts


# On import, since a client may be built as soon as any module of this folder is there.
_pass_proxies_by()
