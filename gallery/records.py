"""The records, read as whoever asks: the security rules say whether they may."""

import hashlib
from http import HTTPStatus
from urllib.parse import quote

import requests

from gallery.exchange import RefusedError
from gallery.site import Stored

_TIMEOUT_SECONDS = 10
_FIELDS = ("bucket", "name", "generation", "source")
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class FirestoreRecords:
    """Records over Firestore's REST API, which takes a user's own ID token.

    Args:
        url: `https://firestore.googleapis.com`, or an emulator's.
        project: the database's.
        database: its id.
        collection: of the records.
        key: the web client's API key, as the page sends it; "" for none.
        session: how it is asked.

    Source: https://firebase.google.com/docs/firestore/use-rest-api
    """

    def __init__(
        self,
        url: str,
        *,
        project: str,
        database: str,
        collection: str,
        key: str,
        session: requests.Session,
    ) -> None:
        path = f"projects/{project}/databases/{database}/documents/{quote(collection)}"
        self._url = f"{url}/v1/{path}"
        self._key = {"X-Goog-Api-Key": key} if key else {}
        self._session = session

    def find(self, record: str, token: str | None) -> Stored:
        """Find what a record speaks of, with the rights of whoever has this ID token.

        Raises:
            RefusedError: they may not read it (403), there is none of an object (404), or
                Firestore does not answer (502).
        """
        headers = {**self._key, **({"Authorization": f"Bearer {token}"} if token else {})}
        try:
            answer = self._session.get(
                f"{self._url}/{record}",
                params={"mask.fieldPaths": _FIELDS},
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
            )
        except requests.RequestException as error:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, "Firestore does not answer.") from error
        if answer.status_code in _REFUSED:
            raise RefusedError(HTTPStatus.FORBIDDEN, "You may not read this record.")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such record.")
        if not answer.ok:
            sentence = f"Firestore said {answer.status_code}."
            raise RefusedError(HTTPStatus.BAD_GATEWAY, sentence)
        try:
            fields = answer.json().get("fields")
        except ValueError as error:
            sentence = "Firestore's answer is no JSON."
            raise RefusedError(HTTPStatus.BAD_GATEWAY, sentence) from error
        match fields:
            case {
                "bucket": {"stringValue": str(bucket)},
                "name": {"stringValue": str(name)},
                "generation": {"integerValue": str(generation)},
            } if record == _id_of(bucket, name):
                by_person = fields.get("source") == {"stringValue": "person"}
                return Stored(bucket, name, None if by_person else int(generation))
        raise RefusedError(HTTPStatus.NOT_FOUND, "The record names no object, or another's.")


def _id_of(bucket: str, name: str) -> str:
    """Give a record's id: by rules of one's own, somebody may write a record of what they like."""
    return hashlib.sha256(f"gs://{bucket}/{name}".encode()).hexdigest()
