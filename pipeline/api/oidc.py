"""Sign in with an OpenID Connect provider: go there, and come back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response, status
from pydantic import BaseModel

from pipeline.api.access import (
    AccountOf,
    CallerOf,
    SystemOf,
    allow_accounts,
    allow_public,
    confirmation_cookie,
    session_cookie,
)
from pipeline.api.body import Body
from pipeline.api.session import Me, address_of, client_of, keep_session, me
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.callers import caller_of_session
from pipeline.services.accounts.sign_in import sign_out
from pipeline.services.oidc.begin import PENDING_S, begin_confirming, begin_connecting, begin_sign_in
from pipeline.services.oidc.finish import CONFIRMED_S, Returned, finish_sign_in
from pipeline.services.oidc.own_provider import disconnect
from pipeline.services.oidc.provider import Provider

router = APIRouter(tags=["session"])


class ProviderBegin(Body):
    """What is to happen once the provider has said who it is.

    `link` is the token of a one-time link that is to be used. With `connect` the account that is signed in is connected
    with the provider; `password` is its own, where it has one. With `confirm` the provider is asked once more who it
    is, for a change of an account that it alone signs in.
    """

    link: str | None = None
    connect: bool = False
    confirm: bool = False
    password: str = ""


class ProviderAddress(BaseModel):
    """Where the browser goes to sign in."""

    url: str


class ProviderReturn(Body):
    """The query with which the provider sent the browser back."""

    state: str
    code: str | None = None
    iss: str | None = None
    error: str | None = None


def provider_of(request: Request) -> Provider:
    """The provider that is set."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFound("signing in with another provider is not set up here; POSELINE_OIDC_ISSUER names one")
    return provider


ProviderOf = Annotated[Provider, Depends(provider_of)]


@router.post("/session/provider", **allow_public())
def post_provider(
    system: SystemOf,
    provider: ProviderOf,
    caller: CallerOf,
    request: Request,
    response: Response,
    given: ProviderBegin,
) -> ProviderAddress:
    """Begin to sign in with the provider. The answer sets a cookie for ten minutes."""
    _check_origin(request, provider)
    browser, address = request.cookies.get(_cookie(request)), address_of(request)
    if given.confirm:
        url, browser = begin_confirming(system, provider, caller, browser=browser, address=address)
    elif given.connect:
        url, browser = begin_connecting(system, provider, caller, given.password, browser=browser, address=address)
    else:
        url, browser = begin_sign_in(system, provider, browser=browser, link=given.link, address=address)
    secure = request.url.scheme == "https"
    response.set_cookie(_cookie(request), browser, max_age=int(PENDING_S), secure=secure, httponly=True, samesite="lax")
    return ProviderAddress(url=url)


@router.post("/session/provider/return", **allow_public())
def post_provider_return(
    system: SystemOf,
    provider: ProviderOf,
    caller: CallerOf,
    request: Request,
    response: Response,
    given: ProviderReturn,
) -> Me:
    """Finish signing in with the provider. The answer sets the session's cookie, or that of what was confirmed.

    It works once, in the browser in which it was begun, and for ten minutes.
    """
    finished = finish_sign_in(
        system,
        provider,
        caller,
        Returned(given.state, given.code, given.iss, given.error),
        browser=request.cookies.get(_cookie(request)),
        address=address_of(request),
        client=client_of(request),
    )
    if finished.confirmation is not None:
        keep_session(request, response, finished.confirmation, confirmation_cookie(request), CONFIRMED_S)
    if finished.session is None:
        return me(system, caller)
    if before := request.cookies.get(session_cookie(request)):
        sign_out(system, before)
    keep_session(request, response, finished.session)
    return me(system, caller_of_session(system, finished.session))


@router.delete("/account/provider", status_code=status.HTTP_204_NO_CONTENT, **allow_accounts())
def delete_provider(system: SystemOf, request: Request, account: AccountOf) -> None:
    """Let the provider sign one's own account in no longer. Every other session ends."""
    disconnect(system, account, token=request.cookies.get(session_cookie(request), ""))


def _cookie(request: Request) -> str:
    return f"{session_cookie(request)}-provider"


def _check_origin(request: Request, provider: Provider) -> None:
    """The provider sends browsers back to one address alone; from another they would not find their cookie again."""
    there, here = urlsplit(provider.config.redirect_uri), request.headers.get("origin")
    address = f"{there.scheme}://{there.netloc}"
    if here is not None and here != address:
        raise UsageError(f"{provider.config.name} signs in at {address} alone; open Poseline there")
