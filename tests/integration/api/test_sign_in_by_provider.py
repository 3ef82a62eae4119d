"""Sign in with a provider: who comes in, as whom, and who does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.core.roles import Role
from pipeline.services.accounts.first_owner import first_owner_link, new_password_link, sign_in_link
from pipeline.services.accounts.operate import add_account, disable_account, list_accounts, remove_account
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.oidc_provider import OidcProvider, oidc_provider
from tests.support.oidc_site import ANNA, OidcSite, oidc_site
from tests.support.web import PASSWORD, Client, account_id, make_team, signed_in, token_of, with_password


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def site(system: System, provider: OidcProvider) -> Iterator[OidcSite]:
    with oidc_site(system, provider) as site:
        yield site


def add(site: OidcSite, email: str, team: str = "ours", role: Role = Role.COACH) -> str | None:
    """An account as `poseline accounts add` makes it; the link to its password."""
    make_team(site.system, team)
    return add_account(site.system, email, name=None, team=team, role=role, operator=False).link


def detail(answer: Any, status: int = 401) -> str:
    """The line of a refusal."""
    assert answer.status == status, answer.data
    return str(answer.json()["detail"])


def log_of(site: OidcSite) -> list[tuple[object, ...]]:
    entries = "SELECT action, actor, detail ->> 'through' FROM audit WHERE detail ->> 'through' <> '' ORDER BY id"
    return list(sql(site.system, entries))


def test_an_account_is_found_by_its_verified_address_once_and_by_its_subject_from_then_on(site: OidcSite) -> None:
    link = add(site, "anna@club.org")
    assert link is not None
    earlier = Client(site.origin)
    assert earlier.ask("POST", f"/links/{token_of(sign_in_link(site.system, 'anna@club.org'))}", {}).status == 200
    browser = site.browser()
    assert browser.get("/session")["provider"] == "Club"
    begun = browser.ask("POST", "/session/provider", {})
    assert all(each in begun.headers["set-cookie"] for each in ("HttpOnly", "Max-Age=600", "SameSite=lax"))
    me = site.sign_in(browser).json()
    assert (me["email"], [team["name"] for team in me["teams"]]) == ("anna@club.org", ["ours"])
    assert browser.get("/account")["provider"]["email"] == "anna@club.org"
    assert [(row.has_password, row.connected) for row in list_accounts(site.system)] == [(False, True)]
    # Who had a link to the account before, or a session, may not have been whose address it is.
    assert earlier.get("/session")["kind"] == "nobody"
    assert Client(site.origin).ask("GET", f"/links/{token_of(link)}").status == 404
    # From now on it is the subject that counts, and no address.
    site.provider.claims |= {"email": "anna.new@club.org", "email_verified": False}
    assert site.sign_in(site.browser()).json()["email"] == "anna@club.org"
    site.provider.claims = {"sub": "anna-1"}
    assert site.sign_in(site.browser()).json()["email"] == "anna@club.org"
    assert log_of(site) == [
        ("provider_connected", "anna@club.org", "Club"),
        *[("signed_in", "anna@club.org", "Club")] * 3,
    ]
    assert sql(site.system, "SELECT count(*) FROM oidc_sign_in") == [(1,)], "the one that never came back"
    disable_account(site.system, "anna@club.org", disabled=True)
    assert "disabled" in detail(site.sign_in(site.browser()))
    disable_account(site.system, "anna@club.org", disabled=False)
    remove_account(site.system, "anna@club.org")
    assert sql(site.system, "SELECT count(*) FROM identity") == [(0,)]
    site.provider.claims = dict(ANNA)
    assert "nobody has an account here" in detail(site.sign_in(site.browser()))


def test_an_address_is_not_believed_where_somebody_else_may_hold_the_account(site: OidcSite) -> None:
    site.provider.claims["email_verified"] = False
    add(site, "anna@club.org")
    assert "does not confirm that anna@club.org is your address" in detail(site.sign_in(site.browser()))
    site.provider.claims.pop("email_verified")
    assert "does not confirm" in detail(site.sign_in(site.browser()))
    # Made by somebody who chose this address and a password, and waits for Ben.
    with_password(site.system, "ben@club.org")
    site.provider.claims = {**ANNA, "sub": "ben", "email": "Ben@Club.org"}
    assert "has a password: sign in with it, and connect Club" in detail(site.sign_in(site.browser()))
    # Ben's account is connected; another subject comes with the same address, as after an address was given anew.
    site.provider.claims = dict(ANNA)
    assert site.sign_in(site.browser()).status == 200
    site.provider.claims["sub"] = "anna-2"
    assert "is connected with somebody else" in detail(site.sign_in(site.browser()))
    # `poseline accounts link` decides.
    link = token_of(new_password_link(site.system, "anna@club.org"))
    assert site.sign_in(site.browser(), link=link).json()["email"] == "anna@club.org"
    assert site.sign_in(site.browser()).json()["email"] == "anna@club.org"
    site.provider.claims["sub"] = "anna-1"
    assert "is connected with somebody else" in detail(site.sign_in(site.browser()))
    assert [entry for entry in log_of(site) if entry[0] == "sign_in_failed"] == [
        ("sign_in_failed", "ben@club.org", "Club"),
        *[("sign_in_failed", "anna@club.org", "Club")] * 2,
    ]
    assert sql(site.system, "SELECT subject FROM identity") == [("anna-2",)]


def test_an_invitation_makes_an_account_without_a_password(site: OidcSite) -> None:
    team = make_team(site.system, "ours")
    owner = signed_in(site.system, site.origin, "owner@club.org", ours=Role.OWNER)

    def invite(role: str) -> str:
        return token_of(owner.ask("POST", f"/teams/{team}/invitations", {"role": role}).json()["url"])

    link = invite("viewer")
    assert "nobody has an account here" in detail(site.sign_in(site.browser()))
    site.provider.claims["email_verified"] = False
    assert "does not confirm" in detail(site.sign_in(site.browser(), link=link))
    site.provider.claims["email_verified"] = True
    browser = site.browser()
    me = site.sign_in(browser, link=link).json()
    assert (me["email"], me["name"], [(each["name"], each["role"]) for each in me["teams"]]) == (
        "anna@club.org", "Anna", [("ours", "viewer")],
    )  # fmt: skip
    assert not browser.get("/account")["has_password"]
    assert site.browser().ask("POST", "/session/provider", {"link": link}).status == 404, "it works once"
    # With another one she gets another role, and stays one account.
    again = site.sign_in(site.browser(), link=invite("coach")).json()
    assert (again["email"], again["teams"][0]["role"]) == ("anna@club.org", "coach")
    # Two who opened one link: the second is told so, and nothing is made of them.
    link, site.provider.claims = invite("viewer"), {**ANNA, "sub": "ben", "email": "ben@club.org"}
    ben, eve = site.browser(), site.browser()
    back_of_ben = site.go(ben, link=link)
    site.provider.claims = {**ANNA, "sub": "eve", "email": "eve@club.org"}
    back_of_eve = site.go(eve, link=link)
    assert site.come(ben, back_of_ben).status == 200
    assert "used already" in detail(site.come(eve, back_of_eve), 404)
    assert sql(site.system, "SELECT count(*) FROM account WHERE email = 'eve@club.org'") == [(0,)]
    # An account with a password is not taken over by an invitation either, which stays unused.
    with_password(site.system, "eve@club.org")
    link = invite("viewer")
    assert "has a password" in detail(site.sign_in(site.browser(), link=link))
    assert site.browser().ask("GET", f"/links/{link}").status == 200


def test_the_first_owner_and_a_link_to_a_password_come_in_by_the_provider(site: OidcSite) -> None:
    link = first_owner_link(site.system)
    assert link is not None
    me = site.sign_in(site.browser(), link=token_of(link)).json()
    assert (me["operator"], [team["role"] for team in me["teams"]]) == (True, ["owner"])
    # Who has a link to an account's password may connect it with any address.
    added = add(site, "ben@elsewhere.org")
    assert added is not None
    assert "this link is for another account" in detail(site.sign_in(site.browser(), link=token_of(added)))
    site.provider.claims = {"sub": "ben", "email": "ben@club.org"}
    assert site.sign_in(site.browser(), link=token_of(added)).json()["email"] == "ben@elsewhere.org"
    assert site.sign_in(site.browser()).json()["email"] == "ben@elsewhere.org"
    # A link that signs in by itself is none for a provider.
    token = token_of(sign_in_link(site.system, "ben@elsewhere.org"))
    assert site.sign_in(site.browser(), link=token).status == 404
    assert site.browser().ask("GET", f"/links/{token}").status == 200


def test_an_account_is_connected_by_who_knows_its_password_and_disconnected(site: OidcSite) -> None:
    with_password(site.system, "anna@club.org")
    site.provider.claims = {"sub": "private", "email": "anna@home.org", "email_verified": False}
    assert site.browser().ask("POST", "/session/provider", {"connect": True}).status == 401
    browser, other = site.browser(), site.browser()
    for each in (browser, other):
        assert each.ask("POST", "/session", {"email": "anna@club.org", "password": PASSWORD}).status == 200
    assert browser.ask("POST", "/session/provider", {"connect": True, "password": "wrong"}).status == 401
    # Somebody else signs in in that browser, while the first is away.
    back = site.go(browser, connect=True, password=PASSWORD)
    left = browser.cookies.pop("poseline")
    assert "you signed out here meanwhile" in detail(site.come(browser, back))
    browser.cookies["poseline"] = left
    assert site.sign_in(browser, connect=True, password=PASSWORD).status == 200
    assert browser.cookies["poseline"] == left, "the session goes on"
    assert browser.get("/account")["provider"]["email"] == "anna@home.org"
    assert site.sign_in(site.browser()).json()["email"] == "anna@club.org"
    # One account, one person there.
    site.provider.claims["sub"] = "second"
    assert "connected with somebody else" in detail(site.sign_in(browser, connect=True, password=PASSWORD))
    site.provider.claims["sub"] = "private"
    ben = signed_in(site.system, site.origin, "ben@club.org")
    assert "signs in to another account here" in detail(site.sign_in(ben, connect=True))
    assert browser.ask("DELETE", "/account/provider").status == 204
    assert browser.ask("DELETE", "/account/provider").status == 404
    assert other.get("/session")["kind"] == "nobody"
    assert "does not confirm" in detail(site.sign_in(site.browser()))
    # Without a password nobody would come in any more.
    assert site.sign_in(ben, connect=True).status == 200
    assert "choose a password first" in detail(ben.ask("DELETE", "/account/provider"), 400)
    assert ben.get("/account")["provider"] is not None
    assert ("provider_disconnected", "anna@club.org", "Club") in log_of(site)


def test_an_account_that_a_provider_alone_signs_in_is_changed_by_who_it_asked_just_now(site: OidcSite) -> None:
    add(site, "anna@club.org")
    browser = site.browser()
    assert site.sign_in(browser).status == 200
    told = browser.get("/account")
    assert (told["needs"], told["confirmed"]) == ("provider", False)

    def change(kind: str = "password") -> int:
        if kind == "password":
            return browser.ask("POST", "/account/password", {"new": PASSWORD}).status
        return browser.ask("PATCH", "/account", {"email": "eve@evil.org"}).status

    refused = browser.ask("POST", "/account/password", {"new": PASSWORD})
    assert (refused.status, refused.json()["type"]) == (403, "urn:poseline:not-confirmed")
    assert (change("address"), browser.ask("PATCH", "/account", {"name": "Anna"}).status) == (403, 200)
    assert "is connected with Club already" in detail(browser.ask("POST", "/session/provider", {"connect": True}), 400)
    # Who finds the browser open is let through by the provider, which remembers it, too.
    provider = site.provider
    provider.asks_again = False
    assert "let you through without asking" in detail(site.sign_in(browser, confirm=True), 403)
    provider.tells_when = False
    assert "`poseline accounts link`" in detail(site.sign_in(browser, confirm=True), 403)
    provider.asks_again = provider.tells_when = True
    provider.claims["sub"] = "somebody else"
    assert "is connected with somebody else" in detail(site.sign_in(browser, confirm=True))
    assert (change(), change("address")) == (403, 403)
    provider.claims = dict(ANNA)
    confirmed = site.sign_in(browser, confirm=True)
    assert confirmed.status == 200
    assert all(each in confirmed.headers["set-cookie"] for each in ("HttpOnly", "Max-Age=300", "SameSite=lax"))
    assert browser.get("/account")["confirmed"]
    # It is one account's, cannot be brought back as a sign-in, and ends.
    ben = signed_in(site.system, site.origin, "ben@club.org")
    provider.claims = {**ANNA, "sub": "ben"}
    assert site.sign_in(ben, connect=True).status == 200
    ben.cookies["poseline-confirmed"] = browser.cookies["poseline-confirmed"]
    assert ben.ask("POST", "/account/password", {"new": PASSWORD}).status == 403
    assert site.come(browser, {"state": browser.cookies["poseline-confirmed"], "code": "x"}).status == 400
    sql(site.system, "UPDATE oidc_sign_in SET expires_at = now() WHERE browser_sha256 = ''")
    assert change() == 403
    provider.claims = dict(ANNA)
    assert site.sign_in(browser, confirm=True).status == 200
    assert (change(), browser.get("/account")["needs"]) == (204, "password")
    assert detail(browser.ask("POST", "/session/provider", {"confirm": True}), 400)
    assert sql(site.system, "SELECT count(*) FROM oidc_sign_in WHERE account_id = :id", id=account_id(
        site.system, "anna@club.org")) == [(0,)]  # fmt: skip
    # Who came by a one-time link has nothing else than this session.
    carl = signed_in(site.system, site.origin, "carl@club.org")
    assert carl.get("/account")["needs"] == "nothing"
    assert carl.ask("POST", "/account/password", {"new": PASSWORD}).status == 204


def ways_in(site: OidcSite, email: str, password: str) -> tuple[Client, list[str]]:
    """An account that somebody else got into: a session of theirs, and one-time links that they kept."""
    with_password(site.system, email, password)
    eve = site.browser()
    assert eve.ask("POST", "/session", {"email": email, "password": password}).status == 200
    assert site.sign_in(eve, connect=True, password=password).status == 200
    links = [token_of(sign_in_link(site.system, email)), token_of(new_password_link(site.system, email))]
    sql(
        site.system,
        "INSERT INTO identity (issuer, subject, account_id) SELECT 'https://before.org', 'eve', id FROM account "
        "WHERE email = :email",
        email=email,
    )
    return eve, links


@pytest.mark.parametrize("by", ["password", "provider", "own change", "own change and disconnect"])
def test_a_new_way_in_that_is_chosen_is_the_only_one(site: OidcSite, by: str) -> None:
    site.provider.claims = {**ANNA, "sub": "eve", "email": "eve@evil.org"}
    eve, (kept, link) = ways_in(site, "anna@club.org", "the old password")
    anna = site.browser()
    if by == "password":
        assert anna.ask("POST", f"/links/{link}", {"password": PASSWORD}).status == 200
    elif by == "provider":
        site.provider.claims = dict(ANNA)
        assert site.sign_in(anna, link=link).status == 200
    else:
        assert anna.ask("POST", "/session", {"email": "anna@club.org", "password": "the old password"}).status == 200
        change = {"current": "the old password", "new": PASSWORD, "disconnect": by.endswith("disconnect")}
        assert anna.ask("POST", "/account/password", change).status == 204
    assert anna.get("/session")["email"] == "anna@club.org"
    # Nobody else is in, or comes in.
    assert eve.get("/session")["kind"] == "nobody"
    assert site.browser().ask("POST", f"/links/{kept}", {}).status == 404
    old = {"email": "anna@club.org", "password": "the old password"}
    assert site.browser().ask("POST", "/session", old).status == 401
    left = sql(site.system, "SELECT subject FROM identity ORDER BY subject")
    if by == "own change":
        assert left == [("eve",), ("eve",)], "it stays connected, and the page says with whom"
        return
    assert left == ([("anna-1",)] if by == "provider" else [])
    site.provider.claims = {**ANNA, "sub": "eve", "email": "eve@evil.org"}
    assert "nobody has an account here" in detail(site.sign_in(site.browser()))
    disconnected = [entry for entry in log_of(site) if entry[0] == "provider_disconnected"]
    assert sorted(str(through) for _, _, through in disconnected) == ["Club", "https://before.org"]
    right = site.browser().ask("POST", "/session", {"email": "anna@club.org", "password": PASSWORD})
    assert right.status == (401 if by == "provider" else 200)


def test_only_verified_addresses_of_the_domains_come_in(system: System, provider: OidcProvider) -> None:
    with oidc_site(system, provider, oidc_domains="club.org, academy.club.org") as site:
        add(site, "anna@club.org")
        assert site.sign_in(site.browser()).status == 200
        for email, verified in (("anna@evil.org", True), ("anna@club.org.evil.org", True), ("anna@sub.club.org", True)):
            site.provider.claims |= {"email": email, "email_verified": verified}
            assert "only addresses of academy.club.org, club.org may" in detail(site.sign_in(site.browser())), email
        site.provider.claims |= {"email": "anna@club.org", "email_verified": False}
        assert "does not confirm" in detail(site.sign_in(site.browser())), "also of who was here before"
    sql(system, "DELETE FROM sign_in_failure")
    with oidc_site(system, provider, oidc_domains="club.org", oidc_trust_email=True) as site:
        site.provider.claims.pop("email_verified")
        assert site.sign_in(site.browser()).json()["email"] == "anna@club.org"
    assert account_id(system, "anna@club.org")


def test_failures_are_counted_and_refused(site: OidcSite) -> None:
    # Waits double, and are too short at first to be seen on a machine that has other work.
    many = "UPDATE sign_in_failure SET failures = 30 WHERE subject LIKE :kind"
    assert [site.sign_in(site.browser()).status for _ in range(5)] == [401] * 5
    assert sql(site.system, "SELECT failures, blocked_until FROM sign_in_failure") == [(5, None)] * 2
    sql(site.system, many, kind="account %")
    assert site.sign_in(site.browser()).status == 401
    assert "too many sign-ins failed" in detail(site.sign_in(site.browser()), 429), "for one person"
    site.provider.claims = {**ANNA, "sub": "another", "email": "another@club.org"}
    sql(site.system, many, kind="address %")
    assert site.sign_in(site.browser()).status == 401
    assert site.browser().ask("POST", "/session/provider", {}).status == 429, "for one network address"
    with_password(site.system, "coach@club.org")
    right = site.browser().ask("POST", "/session", {"email": "coach@club.org", "password": PASSWORD})
    assert right.status == 429, "one count for all ways in"


def test_without_a_provider_there_is_none(system: System, origin: str) -> None:
    browser = Client(origin)
    assert browser.get("/session")["provider"] is None
    for path, body in (("/session/provider", {}), ("/session/provider/return", {"state": "x"})):
        assert "POSELINE_OIDC_ISSUER" in detail(browser.ask("POST", path, body), 404)
