"""The gallery as a Cloud Run function: what is connected to what."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flask
import requests
from google.auth.compute_engine import Credentials
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from gallery.exchange import Answer, Request
from gallery.records import FirestoreRecords
from gallery.settings import Settings
from gallery.signed import AccountSigner, SignedPictures, SignedUploads, Urls
from gallery.site import MAX_BODY_BYTES, Site, policy
from gallery.tokens import CERTIFICATES, Certificates, IdTokens

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# As many as requests that are answered at once (THREADS, in Terraform).
_CONNECTIONS = 40
# What may be asked again, since nothing is changed by it. A last refusal is given, not raised.
_RETRY = Retry(
    total=2,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    # A browser does not wait as long as a server may ask for.
    respect_retry_after_header=False,
)


def build(settings: Settings, page: Path) -> Site:
    """Connect the site with Google's services; none is asked yet."""
    session = _patient(requests.Session())
    credentials = Credentials(scopes=_SCOPES)
    signer = AccountSigner(
        settings.google("iamcredentials"),
        settings.account,
        _patient(AuthorizedSession(credentials)),
    )
    urls = Urls(settings.google("storage"), settings.account, signer)
    uploads = SignedUploads(urls, settings.buckets[0], settings.max_upload_bytes)
    certificates = Certificates(settings.google("www") + CERTIFICATES, session)
    signs_in = settings.readers == "signed_in" or bool(settings.writers)
    hosts = [settings.firestore]
    if signs_in:
        hosts += [settings.google("identitytoolkit"), settings.google("securetoken")]
    storage = settings.google("storage")
    if settings.writers:
        hosts.append(storage)
    return Site(
        page=page,
        config=_config(settings, signs_in=signs_in),
        policy=policy(
            connect=[_origin(host) for host in dict.fromkeys(hosts)], images=[_origin(storage)]
        ),
        records=FirestoreRecords(
            settings.firestore,
            project=settings.project,
            database=settings.database,
            collection=settings.collection,
            key=settings.key,
            session=session,
        ),
        pictures=SignedPictures(urls, frozenset(settings.buckets)),
        uploads=uploads if settings.writers else None,
        tokens=IdTokens(settings.project, settings.writers, certificates) if signs_in else None,
    )


def respond(site: Site, request: flask.Request) -> flask.Response:
    """Answer one request of the functions framework."""
    # What is larger is answered with 413 by Flask itself.
    request.max_content_length = MAX_BODY_BYTES
    # The platform ends TLS before the function, and says so.
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    answer = site.answer(
        Request(
            method=request.method,
            path=request.path,
            query=request.args,
            headers={name.lower(): value for name, value in request.headers.items()},
            origin=f"{scheme}://{request.host}",
            body=request.get_data(),
        )
    )
    return _response(answer)


def _response(answer: Answer) -> flask.Response:
    made = flask.Response(answer.content, answer.status, content_type=answer.content_type)
    made.headers.update(answer.headers)
    made.autocorrect_location_header = False
    return made


def _config(settings: Settings, *, signs_in: bool) -> dict[str, Any]:
    host, _, port = settings.emulator.rpartition(":")
    return {
        "project": settings.project,
        "database": settings.database,
        "collection": settings.collection,
        "bucket": settings.buckets[0],
        "key": settings.key,
        "emulator": {"host": host, "port": int(port)} if settings.emulator else None,
        "uploads": bool(settings.writers),
        "maxUploadBytes": settings.max_upload_bytes,
        "byHand": "",
        "writer": None,
        "signIn": {
            "accounts": settings.google("identitytoolkit"),
            "tokens": settings.google("securetoken"),
            "required": settings.readers == "signed_in",
        }
        if signs_in
        else None,
        "operator": False,
        "prices": settings.prices,
    }


def _patient(session: requests.Session) -> requests.Session:
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=_RETRY))
    return session


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
