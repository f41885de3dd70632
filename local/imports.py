"""Draw what imports what in the deployed program, as docs/imports.md shows it.

python -m local.imports [--check]

With `--check` nothing is written: it ends with 1 where the page is not what the code is.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

PAGE = Path(__file__).resolve().parents[1] / "docs" / "imports.md"
CLIENTS = ("aiohttp", "google", "grpc", "httpx2", "openai", "requests")
_HEAD = """\
# What imports what

Each box is a room of [describer/](../describer), a folder or a single module; an arrow is an
import. An import that other arrows already lead to is left out. Dotted: the clients that a room's
adapters load, which its pure modules do not. `make lint` holds these rules and compares this page,
which `python -m local.imports` draws.
"""


def rooms_of(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Give the rooms and clients that each room of `describer` imports."""
    found: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        if not module.startswith("describer."):
            continue
        room = found.setdefault(_box(module), set())
        room |= {_box(name) for name in graph.find_modules_directly_imported_by(module)}
    kept = found.keys() | set(CLIENTS)
    return {room: (imported & kept) - {room} for room, imported in found.items()}


def drawing(rooms: dict[str, set[str]]) -> str:
    """Draw rooms and imports as a Mermaid flowchart."""
    lines = ["flowchart TD", "  main([main.py]) --> instance", "  main --> startup"]
    for room, imported in sorted(rooms.items()):
        below = imported & rooms.keys()
        implied = {far for near in below for far in _all_below(near, rooms)}
        lines += [f"  {room} --> {name}" for name in sorted(below - implied)]
        lines += [f"  {room} -.-> {name}([{name}])" for name in sorted(imported - rooms.keys())]
    return "\n".join(lines)


def page() -> str:
    """Give the page as the code is now."""
    graph = grimp.build_graph("describer", include_external_packages=True, cache_dir=None)
    return f"{_HEAD}\n```mermaid\n{drawing(rooms_of(graph))}\n```\n"


def _box(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "describer" and len(parts) > 1 else parts[0]


def _all_below(room: str, rooms: dict[str, set[str]]) -> Iterator[str]:
    for name in rooms[room] & rooms.keys():
        yield name
        yield from _all_below(name, rooms)


def main() -> int:
    """Write the page, or check it; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.imports", description="Draw imports.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    now, check = page(), parser.parse_args().check
    if not check:
        PAGE.write_text(now, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != now:
        print(f"{PAGE} is not what the code is; draw it: python -m local.imports", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
