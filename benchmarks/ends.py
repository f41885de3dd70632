"""What it costs to look at both ends of an image before its address is sent.

    python -m benchmarks.ends

Prints the table of docs/images.md: one image after the other over fake-gcs-server, through the
function's own storage client.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator

from google.cloud import storage

from describer.images.cloud_storage import CloudStorage
from describer.images.loading import Images
from describer.settings import Settings
from describer.values import Upload
from local.servers.emulators import PROJECT, gcs_server

COUNT, BUCKET, MB = 200, "benchmark", 1_000_000


def pictures() -> Iterator[tuple[str, str, bytes]]:
    """Give title, type and content, whole by what their ends show."""
    for size, title in ((200_000, "JPEG, 0.2 MB: one read"), (4 * MB, "JPEG, 4 MB: both ends")):
        yield title, "image/jpeg", b"\xff\xd8\xff\xda\0\2" + bytes(size - 8) + b"\xff\xd9"
    head = b"RIFF" + (4 * MB - 8).to_bytes(4, "little") + b"WEBPVP8 "
    yield "WebP, 4 MB: its head", "image/webp", head + bytes(4 * MB - len(head))


async def measure(client: storage.Client, upload: Upload) -> tuple[float, float]:
    """Give milliseconds and milliseconds of CPU, for each image."""
    images = Images(Settings(), CloudStorage(lambda: client))

    async def look() -> float:
        began = time.monotonic()
        async with images.room_for(upload) as share:
            await images.load(upload, share)
        return time.monotonic() - began

    await look()
    cpu = time.process_time()
    times = [await look() for _ in range(COUNT)]
    return 1000 * statistics.median(times), 1000 * (time.process_time() - cpu) / COUNT


def main() -> None:
    """Measure each picture."""
    print("| | added, ms | CPU, ms |\n|---|---|---|")
    with gcs_server() as server:
        os.environ["STORAGE_EMULATOR_HOST"] = server.url
        client = storage.Client(project=PROJECT)
        bucket = client.create_bucket(BUCKET)
        for title, content_type, content in pictures():
            blob = bucket.blob("picture")
            blob.upload_from_string(content, content_type=content_type)
            generation, size = int(blob.generation), len(content)
            upload = Upload(BUCKET, "picture", generation, content_type, size, "e")
            added, cpu = asyncio.run(measure(client, upload))
            print(f"| {title} | {added:.1f} | {cpu:.1f} |")
        client.close()


if __name__ == "__main__":
    main()
