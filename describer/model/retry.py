"""Whether to try again within one delivery. All other retries are redeliveries.

Source for the numbers: at most two tries, the first wait at least one second, as in
https://docs.cloud.google.com/gemini-enterprise-agent-platform/reference/models/api-errors
"""

from __future__ import annotations

import random

from describer.errors import TransientError

TRIES = 2
LEAST_WAIT_SECONDS = 1.0
# A longer wait is better spent outside: the platform redelivers after ten seconds and more.
LONGEST_WAIT_SECONDS = 10.0


def delay_before_next_try(error: TransientError, tries: int) -> float | None:
    """Give the seconds to wait before trying again, or None to leave it to a redelivery.

    The wait is max(LEAST_WAIT_SECONDS, Retry-After) plus up to one second, evenly spread, so
    that deliveries refused together do not come back together.
    """
    if tries >= TRIES or not error.worth_another_try:
        return None
    wait = max(LEAST_WAIT_SECONDS, error.retry_after_seconds or 0.0)
    return None if wait > LONGEST_WAIT_SECONDS else wait + random.random()
