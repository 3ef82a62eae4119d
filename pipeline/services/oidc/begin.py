"""Send a browser to the provider."""

from __future__ import annotations

from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.engine import transaction
from pipeline.db.identities import Pending, insert_pending
from pipeline.errors import NotSignedIn, UsageError
from pipeline.services.accounts.attempts import Attempt
from pipeline.services.accounts.callers import Caller
from pipeline.services.accounts.own_account import needs
from pipeline.services.accounts.sign_in import check_own_password
from pipeline.services.accounts.use_link import look_at_link
from pipeline.services.oidc.provider import Provider
from pipeline.services.system import System

#: How long somebody may take at the provider.
PENDING_S = 600.0


def begin_sign_in(
    system: System, provider: Provider, *, browser: str | None, link: str | None = None, address: str
) -> tuple[str, str]:
    """Begin to sign in. Returns where the browser goes, and what it keeps until it comes back.

    Args:
        browser: what it keeps already, so that two of its tabs may sign in at once.
        link: token of the one-time link that is to be used.
        address: network address of the caller.

    Raises:
        NotFound: the link does not work.
        TooManyAttempts: too many sign-ins failed before.
        ServiceUnavailable, UsageError: as `Provider`.
    """
    Attempt(system, address=address).check()
    if link is not None:
        look_at_link(system, link)
    what = Pending(new_token(), new_token(), None if link is None else token_sha256(link), None)
    return _begin(system, provider, browser, what)


def begin_connecting(
    system: System, provider: Provider, caller: Caller, password: str, *, browser: str | None, address: str
) -> tuple[str, str]:
    """Begin to connect the account that is signed in. Returns as `begin_sign_in`.

    Args:
        password: of the account, where it has one: a browser that was left alone should not give it away.

    Raises:
        NotSignedIn: nobody is signed in, or the password is wrong.
        TooManyAttempts, ServiceUnavailable, UsageError: as `begin_sign_in`.
    """
    if caller.account is None:
        raise NotSignedIn
    needed = needs(system, caller.account)
    if needed == "provider":
        raise UsageError(f"your account is connected with {provider.config.name} already")
    if needed == "password":
        check_own_password(system, caller.account, password, address=address)
    return _begin(system, provider, browser, Pending(new_token(), new_token(), None, caller.account.id))


def begin_confirming(
    system: System, provider: Provider, caller: Caller, *, browser: str | None, address: str
) -> tuple[str, str]:
    """Begin to show the provider once more who one is, to change the account that is signed in. Returns as
    `begin_sign_in`.

    Raises:
        NotSignedIn: nobody is signed in.
        UsageError: no provider signs the account in, or it has a password, which is to be given instead.
        TooManyAttempts, ServiceUnavailable: as `begin_sign_in`.
    """
    Attempt(system, address=address).check()
    if caller.account is None:
        raise NotSignedIn
    if needs(system, caller.account) != "provider":
        raise UsageError("nothing has to be confirmed with a provider: give the account's password, where it has one")
    what = Pending(new_token(), new_token(), None, caller.account.id)
    return _begin(system, provider, browser, what, anew=True)


def _begin(
    system: System, provider: Provider, browser: str | None, what: Pending, *, anew: bool = False
) -> tuple[str, str]:
    state, browser = new_token(), browser or new_token()
    url = provider.address(state=state, nonce=what.nonce, code_verifier=what.code_verifier, anew=anew)
    with transaction(system.engine) as connection:
        insert_pending(connection, token_sha256(state), token_sha256(browser), what, PENDING_S)
    return url, browser
