"""The deliveries of one picture, from the function's log.

Source: https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from operate.cloud import Call, Cloud, Unread

_MOST = 50


def deliveries(
    cloud: Cloud, bucket: str, name: str, generation: int
) -> list[Mapping[str, Any]] | Unread:
    """Give the log's lines of one generation, the oldest first; of many, the latest.

    Each is what the function wrote, with the `timestamp` that Cloud Logging gave it.
    """
    wanted = {
        "resource.type": "cloud_run_revision",
        "jsonPayload.message": "delivery",
        "jsonPayload.bucket": bucket,
        "jsonPayload.object_name": name,
        "jsonPayload.generation": str(generation),
    }
    body = {
        "resourceNames": [f"projects/{cloud.project}"],
        # Quoted as in JSON, which is how its query language quotes, too.
        "filter": " AND ".join(
            f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in wanted.items()
        ),
        "orderBy": "timestamp desc",
        "pageSize": _MOST,
    }
    url = "https://logging.googleapis.com/v2/entries:list"
    answer = cloud.ask({"log": Call(url, "logging.logEntries.list", body=body)})["log"]
    if isinstance(answer, Unread):
        return answer
    entries = answer.get("entries") or []
    if not isinstance(entries, list) or not all(
        isinstance(one, dict) and isinstance(one.get("jsonPayload"), dict) for one in entries
    ):
        return Unread("Cloud Logging answered something else than entries")
    return [{**one["jsonPayload"], "timestamp": one.get("timestamp")} for one in reversed(entries)]
