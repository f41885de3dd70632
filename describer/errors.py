"""Every way a delivery can fail, and what follows from it.

DescriberError
├── SettingsError               the deployment is wrong; the function does not start
├── MalformedEventError         400; nothing to record
├── PermanentError              recorded as ERRORED with `outcome`; 2xx
│   ├── UnsupportedImageError       unsupported
│   ├── ImageTooLargeError          too_large
│   ├── UnreadableImageError        unreadable
│   ├── ObjectGoneError             gone
│   ├── ModelRejectedError          rejected
│   ├── BlockedError                blocked
│   ├── EmptyDescriptionError       empty
│   └── GaveUpError                 gave_up
└── TransientError              lease freed if it is ours; 503, delivered again
    ├── LeaseHeldError              another delivery is at work on this generation
    ├── LeaseLostError              another delivery took the record over
    ├── ShuttingDownError           the instance got SIGTERM
    ├── NoRoomError                 the instance has no memory free for the image
    ├── ConverterError              the process that converts images does not start
    ├── StoreError                  Firestore did not answer, or answered badly
    │   ├── RecordExistsError           precondition of create()
    │   └── VersionConflictError        precondition of update()
    ├── BucketError                 Cloud Storage did not answer, or refused
    ├── PublishError                Pub/Sub did not answer, or refused
    ├── TokenError                  no access token
    └── ModelError                  the model did not answer, or not to the end
        ├── ModelBusyError              408, 409, 425, 429, 499, 5xx
        ├── ModelAccessError            401, 402, 403, 405, 407: a matter of configuration
        │   └── ModelMissingError           404, 410: retired, or its name is wrong
        ├── ModelUnreachableError       no connection
        ├── ModelDisconnectedError      the connection broke after the request was sent
        ├── ModelTimeoutError           silence, or a stream longer than allowed
        └── StreamBrokenError           the stream was cut or made no sense
"""

from __future__ import annotations

from typing import ClassVar

from describer.values import Usage


class DescriberError(Exception):
    """Root of every error that this package raises on purpose."""

    def __init__(self, message: str) -> None:
        # Messages quote others, such as a model server's JSON, and go into records and answers,
        # which are UTF-8 and cannot hold half a surrogate pair.
        super().__init__(message.encode("utf-8", "replace").decode())


class SettingsError(DescriberError):
    """One or more settings are wrong. The message lists them all."""


class MalformedEventError(DescriberError):
    """The request is not an object event. No redelivery can change that."""


class PermanentError(DescriberError):
    """No redelivery will change the outcome, so it is recorded and acknowledged.

    Attributes:
        outcome: the word for it in the record.
        finish_reason: how the stream ended, where there was one.
        usage: what was paid for, where the model said.
    """

    outcome: ClassVar[str]

    def __init__(
        self, message: str, *, finish_reason: str | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(message)
        self.finish_reason = finish_reason
        self.usage = usage


class UnsupportedImageError(PermanentError):
    """An image in a format that the model does not take, and that nothing here converts."""

    outcome = "unsupported"


class ImageTooLargeError(PermanentError):
    """Too much to read or to decode. Upload a smaller rendition or raise the limit it names."""

    outcome = "too_large"


class UnreadableImageError(PermanentError):
    """Said to be an image, but its bytes are not, or end half-way. Look at what was uploaded."""

    outcome = "unreadable"


class ObjectGoneError(PermanentError):
    """The generation was deleted or overwritten before it was read."""

    outcome = "gone"


class OverLimitError(PermanentError):
    """The day's limit on calls of the model is reached. Raise DAILY_LIMIT, or wait."""

    outcome = "over_limit"


class ModelRejectedError(PermanentError):
    """The model refused the request for good. Its own words are in the message."""

    outcome = "rejected"


class BlockedError(PermanentError):
    """The safety filter refused, or the model did in prose. Any text that came is dropped."""

    outcome = "blocked"


class EmptyDescriptionError(PermanentError):
    """The model ended well and wrote nothing, or spent all its tokens on thinking."""

    outcome = "empty"


class GaveUpError(PermanentError):
    """Attempts or age ran out. The message keeps the last cause."""

    outcome = "gave_up"


class TransientError(DescriberError):
    """May work later: the delivery answers 503 and comes again.

    Attributes:
        http_status: what the other side answered, where it answered.
        retry_after_seconds: what the other side asked for, where it did.
        worth_another_try: whether trying again within this delivery makes sense and is free.
        model_may_have_begun: whether the request may have been paid for, and so is an attempt.
    """

    outcome: ClassVar[str] = "retry"
    model_may_have_begun: ClassVar[bool] = False
    worth_another_try: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds


class LeaseHeldError(TransientError):
    """Another delivery holds a live lease on this generation. Normal with at-least-once."""

    outcome = "lease_held"


class LeaseLostError(TransientError):
    """Another writer took the record: a newer generation, or a delivery after our lease ended.

    Attributes:
        superseded: a newer generation has it, so that this delivery has nothing left to do.
    """

    outcome = "lease_lost"

    def __init__(self, message: str, *, superseded: bool) -> None:
        super().__init__(message)
        self.superseded = superseded


class ShuttingDownError(TransientError):
    """The platform is stopping this instance; another one will take the redelivery."""


class NoRoomError(TransientError):
    """Too many large images at once on this instance; its turn did not come in time."""

    outcome = "no_room"


class ConverterError(TransientError):
    """The process that converts images does not start: the deployment, or the system's memory."""


class StoreError(TransientError):
    """Firestore is unavailable, too slow, contended or refuses this identity."""


class RecordExistsError(StoreError):
    """`create` found a record."""


class VersionConflictError(StoreError):
    """`update` found another version of the record than the one it was given, or none."""


class BucketError(TransientError):
    """Cloud Storage is unavailable, or the run account may not read the bucket."""


class PublishError(TransientError):
    """Pub/Sub failed, has no such topic, or refuses this identity; the record is written."""

    outcome = "unpublished"


class TokenError(TransientError):
    """No access token: look at the run account and the metadata server."""


class ModelError(TransientError):
    """The model did not answer, or did not finish."""


class ModelBusyError(ModelError):
    """The model is overloaded, out of quota or failing. Nothing was generated, nothing paid."""

    worth_another_try = True


class ModelAccessError(ModelError):
    """The model refuses this identity, or is not there. Check roles, MODEL, MODEL_LOCATION."""


class ModelMissingError(ModelAccessError):
    """The server has no model of that name, or none any more. Change MODEL, or set MODELS."""


class ModelUnreachableError(ModelError):
    """No connection to the model's server."""


class ModelDisconnectedError(ModelError):
    """The connection broke after the request was sent, so nobody knows whether it was served."""

    model_may_have_begun = True


class ModelTimeoutError(ModelError):
    """Silence over CHUNK_TIMEOUT_SECONDS, or a stream over STREAM_TIMEOUT_SECONDS."""

    model_may_have_begun = True


class StreamBrokenError(ModelError):
    """The stream ended without a finish reason, broke off, or cannot be understood."""

    model_may_have_begun = True
