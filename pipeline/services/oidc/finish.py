"""Sign somebody in who comes back from the provider."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.audit import Action
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.accounts import AccountRow
from pipeline.db.engine import transaction
from pipeline.db.identities import Pending, insert_confirmation, take_pending
from pipeline.errors import NotConfirmed, NotSignedIn, PoselineError, UsageError
from pipeline.services.accounts.attempts import Attempt
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.callers import Caller
from pipeline.services.accounts.sign_in import insert_new_session
from pipeline.services.oidc.arrive import TurnedAway, arrive
from pipeline.services.oidc.begin import PENDING_S
from pipeline.services.oidc.person import Person
from pipeline.services.oidc.provider import Provider
from pipeline.services.oidc.refusals import plain_code
from pipeline.services.system import System

#: How long somebody may take to change their account.
CONFIRMED_S = 300.0
#: The provider's clock and the database's.
CLOCKS_APART_S = 60.0


@dataclass(frozen=True)
class Returned:
    """With what a browser came back.

    Args:
        issuer: by whom it says that it was sent.
        error: why there is no code.
    """

    state: str
    code: str | None = None
    issuer: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Finished:
    """What came of it.

    Args:
        session: token of the new session, where one begins.
        confirmation: token by which the account can be changed for `CONFIRMED_S`, where that was wanted.
    """

    account: AccountRow
    session: str | None = None
    confirmation: str | None = None


def finish_sign_in(
    system: System,
    provider: Provider,
    caller: Caller,
    returned: Returned,
    *,
    browser: str | None,
    address: str,
    client: str,
) -> Finished:
    """Finish what `begin_sign_in`, `begin_connecting` or `begin_confirming` began.

    Args:
        caller: who is signed in in the browser.
        browser: what it kept.
        address: network address of the caller.
        client: what the browser calls itself.

    Raises:
        UsageError: it was not begun in this browser, or not just now.
        NotSignedIn: the provider did not sign anybody in, or nobody who may come in.
        NotConfirmed: it let them through, and did not ask who they are.
        NotFound: the link that was to be used works no longer.
        TooManyAttempts: too many sign-ins failed before.
        ServiceUnavailable: the provider does not answer.
    """
    attempt = Attempt(system, address=address)
    attempt.begin()
    with transaction(system.engine) as connection:
        pending = take_pending(connection, token_sha256(returned.state), token_sha256(browser or ""))
    if pending is None:
        raise UsageError(
            "this sign-in was begun in another browser or more than ten minutes ago, or is done already; begin again"
        )
    if returned.error == "access_denied":
        attempt.take_back()
        raise NotSignedIn(f"{provider.config.name} was told not to sign you in; begin again, or use a password")
    try:
        person = _who(provider, returned, pending)
    except PoselineError as error:
        if not isinstance(error, NotSignedIn):  # it is the provider that failed
            attempt.take_back()
        raise
    of_person = Attempt(system, account=f"{person.issuer} {person.subject}")
    of_person.check()
    try:
        with transaction(system.engine) as connection:
            arrival = arrive(connection, provider.config, person, pending, caller)
            account, session = arrival.account, None
            if pending.account_id is None:
                session = insert_new_session(connection, account, client, through=provider.config.name)
    except TurnedAway as error:
        of_person.begin()  # the provider has said who it is: there is nothing to guess at by many at once
        if error.account is not None:
            with transaction(system.engine) as connection:
                note_in_teams(connection, error.account, Action.SIGN_IN_FAILED, through=provider.config.name)
        raise NotSignedIn(error.reason) from error
    attempt.take_back()
    of_person.take_back()
    return Finished(account, session, _confirmation(system, provider, person, pending) if arrival.confirms else None)


def _confirmation(system: System, provider: Provider, person: Person, pending: Pending) -> str:
    name = provider.config.name
    if person.signed_in_at is None:
        raise NotConfirmed(
            f"{name} does not say whether it asked who you are; ask who runs this Poseline for a link to a password "
            "(`poseline accounts link`)"
        )
    assert pending.account_id is not None
    assert pending.expires_at is not None
    begun_s = pending.expires_at.timestamp() - PENDING_S
    if person.signed_in_at < begun_s - CLOCKS_APART_S:
        raise NotConfirmed(f"{name} let you through without asking who you are; sign out there, and begin again")
    token = new_token()
    with transaction(system.engine) as connection:
        insert_confirmation(connection, token_sha256(token), pending.account_id, CONFIRMED_S)
    return token


def _who(provider: Provider, returned: Returned, pending: Pending) -> Person:
    provider.check_issuer(returned.issuer)
    if returned.error is not None or not returned.code:
        code = plain_code(returned.error)
        raise NotSignedIn(f"{provider.config.name} did not sign you in ({code}); begin again, or use a password")
    return provider.redeem(returned.code, nonce=pending.nonce, code_verifier=pending.code_verifier)
