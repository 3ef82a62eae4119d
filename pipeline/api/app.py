"""The application: its endpoints under `/api/v1`, and the pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

import pipeline
from pipeline.api import (
    account,
    audit,
    events,
    exports,
    invitations,
    keys,
    links,
    live,
    media,
    models,
    oidc,
    runs,
    session,
    shares,
    teams,
    thumbnails,
    uploads,
    videos,
    viewing,
    webhooks,
)
from pipeline.api.access import ACCESS_FIELD
from pipeline.api.feed import Feed
from pipeline.api.head import AnswerHead
from pipeline.api.origins import origin_of
from pipeline.api.pages import serve_pages
from pipeline.api.problems import handle_problems
from pipeline.api.protection import Protection
from pipeline.services.index_cache import IndexCache
from pipeline.services.oidc.config import config_of
from pipeline.services.oidc.provider import Provider
from pipeline.services.system import System
from pipeline.services.thumbnails import Thumbnails
from pipeline.services.viewing.timeline import TimelineCache
from pipeline.settings import Settings

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    *(session.router, oidc.router, links.router, account.router),
    *(teams.router, invitations.router, keys.router, shares.router, audit.router),
    *(videos.router, thumbnails.router, runs.router, exports.router, models.router, events.router, webhooks.router),
    *(uploads.router, live.router),
    *(viewing.router, media.router),
)


def build_app(system: System, *, https_alone: bool = True) -> FastAPI:
    """Build the application over these servers. Nothing is contacted yet.

    Args:
        https_alone: see `Protection`.

    Raises:
        UsageError: a provider for signing in is set in part, or wrongly.
    """
    app = FastAPI(
        title="Poseline",
        version=pipeline.__version__,
        summary="Every person's pose in every frame of every team video.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.system = system
    app.state.provider = _provider_of(system.settings)
    app.state.feed = Feed(system)
    app.state.thumbnails = Thumbnails()
    app.state.indexes = IndexCache()
    app.state.timelines = TimelineCache()
    handle_problems(app)
    endpoint = system.settings.s3_public_endpoint
    store = urlsplit(endpoint) if endpoint else None
    store_origin = f"{store.scheme}://{store.netloc}" if store else None
    app.add_middleware(AnswerHead)
    web_origin = origin_of(system.settings.web_url)
    app.add_middleware(Protection, store_origin=store_origin, web_origin=web_origin, https_alone=https_alone)
    for router in ROUTERS:
        for route in router.routes:
            _check(route)
        app.include_router(router, prefix=PREFIX)
    serve_pages(app)
    return app


def _check(route: BaseRoute) -> None:
    """Refuse an endpoint that does not say who may call it; call it in the document by its first line."""
    if isinstance(route, APIRoute):
        route.summary = route.description.partition("\n")[0].rstrip(".")
        if ACCESS_FIELD not in (route.openapi_extra or {}):
            raise RuntimeError(f"{route.path} does not say who may call it; declare it with pipeline.api.access")


def _provider_of(settings: Settings) -> Provider | None:
    config = config_of(settings)
    return None if config is None else Provider(config)
