"""Upload files to the bucket of a demo that stays up.

STORAGE_EMULATOR_HOST=http://127.0.0.1:PORT python -m local.demo.upload FILE_OR_FOLDER...
"""

import argparse
import os
import sys
from pathlib import Path

from local.servers.bucket import BUCKET, images_in, upload


def main() -> int:
    """Upload what the command line names; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo.upload", description="Upload files to the local bucket."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument(
        "--to",
        metavar="URL",
        default=os.environ.get("STORAGE_EMULATOR_HOST"),
        help="address of the bucket's server (default: STORAGE_EMULATOR_HOST)",
    )
    options = parser.parse_args()
    if not options.to:
        parser.error("set STORAGE_EMULATOR_HOST to the address that `make demo KEEP=1` shows")
    try:
        for file in images_in(options.files):
            generation = upload(options.to, file)
            print(f"gs://{BUCKET}/{file.name}  generation {generation}")
    except OSError as error:
        print(f"Not uploaded: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
