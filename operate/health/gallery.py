"""The gallery, where there is one: its function, and whether somebody can sign in. Pure.

Its rights are among `access`, its index among `records`.
"""

from __future__ import annotations

from collections.abc import Iterator

from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.function import LATER
from operate.health.reading import Deployment, mapping


def check_gallery(read: Deployment) -> Iterator[Finding]:
    """Look whether the gallery is deployed as Terraform does, and shows this function's records."""
    gallery = read.gallery
    if not gallery:
        return
    if (state := gallery.get("state")) == "DEPLOYING":
        yield unchecked("gallery", "it is being deployed", LATER)
        return
    faults = [*_not_as_deployed(read), *_shows_other(read)]
    if state != "ACTIVE":
        said = "; ".join(
            str(mapping(one).get("message")) for one in gallery.get("stateMessages") or []
        )
        faults.insert(0, f"it is {state}{f': {said}' if said else ''}")
    if faults:
        yield wrong("gallery", "; ".join(faults), "terraform apply")
    else:
        readers = read.gallery_environ.get("READERS")
        whom = "with" if read.writers else "without"
        yield ok("gallery", f"readers: {readers}, {whom} writers")


def _not_as_deployed(read: Deployment) -> Iterator[str]:
    if (entry := mapping(read.gallery.get("buildConfig")).get("entryPoint")) != "serve_gallery":
        yield f"its entry point is {entry}, not serve_gallery"
    ingress = mapping(read.gallery.get("serviceConfig")).get("ingressSettings")
    if ingress != "ALLOW_ALL":
        yield f"its ingress is {ingress}, not ALLOW_ALL: no browser gets the page"


def _shows_other(read: Deployment) -> Iterator[str]:
    """Give the variables by which it would show other records or pictures, or none."""
    environ = read.gallery_environ
    expected = {
        "GOOGLE_CLOUD_PROJECT": read.project,
        "FIRESTORE_DATABASE": read.database,
        "FIRESTORE_COLLECTION": read.collection,
        "SERVICE_ACCOUNT": read.account("gallery"),
    }
    for name, value in expected.items():
        if (found := environ.get(name)) != value:
            yield f"{name} is {found}, not {value}"
    buckets = (environ.get("BUCKETS") or "").split(",")
    if set(buckets) != set(read.buckets) or buckets[0] != read.own_bucket:
        yield f"BUCKETS is {','.join(buckets)}, not {','.join(read.buckets)}"
    if not environ.get("API_KEY"):
        yield "API_KEY is missing: the page reads nothing"
    if (readers := environ.get("READERS")) not in {"signed_in", "public"}:
        yield f"READERS is {readers}, which it does not start with"


def check_sign_in(read: Deployment) -> Iterator[Finding]:
    """Look whether users of the gallery can sign in, and who else can.

    Where sign-in was there before, it may be meant that people make their own accounts.
    """
    if not read.signs_in:
        return
    remedy = "terraform apply with manage_sign_in = true, or set up Identity Platform yourself"
    if read.missing("sign-in"):
        yield wrong("sign-in", "Identity Platform is not set up: nobody can sign in", remedy)
        return
    config = read.read("sign-in")
    if mapping(mapping(config.get("signIn")).get("email")).get("enabled") is not True:
        yield wrong("sign-in", "that by e-mail is off: nobody can sign in", remedy)
        return
    closed = mapping(mapping(config.get("client")).get("permissions")).get("disabledUserSignup")
    if closed is not True and read.gallery_environ.get("READERS") == "signed_in":
        yield unchecked(
            "sign-in",
            "anybody may make an account, and then sees all; it may be meant",
            "terraform apply with manage_sign_in = true, unless it is",
        )
    else:
        whom = "those who were given an account" if closed else "whoever makes an account"
        yield ok("sign-in", f"by e-mail, for {whom}")
