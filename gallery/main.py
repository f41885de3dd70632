"""The gallery's entry point in the cloud."""

import os
from pathlib import Path

import flask
import functions_framework

from gallery.cloud import build, respond
from gallery.settings import Settings

_site = build(Settings.from_env(os.environ), Path(__file__).with_name("page"))


@functions_framework.http
def serve_gallery(request: flask.Request) -> flask.Response:
    """Answer one request."""
    return respond(_site, request)
