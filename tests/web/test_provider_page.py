"""Sign in with a provider in a browser, which goes there and comes back."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from pipeline.core.roles import Role
from pipeline.services.accounts.operate import add_account
from pipeline.services.system import System
from tests.support.browser import PHONE, visit
from tests.support.oidc_provider import oidc_provider
from tests.support.oidc_site import ANNA, oidc_site
from tests.support.web import PASSWORD, make_team, signed_in, with_password


def test_people_sign_in_join_connect_and_are_told_why_not(system: System, browser: Browser, tmp_path: Path) -> None:
    team = make_team(system, "ours")
    with (
        oidc_provider() as provider,
        oidc_site(system, provider, host="localhost") as site,
        visit(browser) as anna,
        visit(browser, PHONE) as ben,
        visit(browser, dark=True) as carl,
    ):
        add_account(site.system, "anna@club.org", name="Anna", team="ours", role=Role.OWNER, operator=False)
        anna.page.goto(f"{site.origin}/t/{team}/members")
        anna.page.get_by_role("button", name="Sign in with Club").wait_for()
        assert anna.barriers() == []
        anna.shot(tmp_path / "sign-in.png")
        anna.page.get_by_role("button", name="Sign in with Club").press("Enter")
        anna.page.get_by_role("heading", name="Invite somebody").wait_for()
        assert anna.page.url == f"{site.origin}/t/{team}/members", "back where she came from, without the code"
        assert anna.complaints == []
        owner = signed_in(system, site.origin, "owner@club.org", ours=Role.OWNER)
        link = owner.ask("POST", f"/teams/{team}/invitations", {"role": "coach"}).json()["url"]

        provider.claims = {**ANNA, "sub": "ben", "email": "ben@club.org", "name": "Ben"}
        ben.page.goto(link)
        ben.page.get_by_role("button", name="Join with Club").wait_for()
        assert ben.barriers() == []
        ben.shot(tmp_path / "invitation.png")
        ben.page.get_by_role("button", name="Join with Club").click()
        ben.page.get_by_role("link", name="Ben").click()
        ben.page.get_by_text("Connected as ben@club.org").wait_for()
        assert ben.page.get_by_text("has no password yet").count() == 0
        ben.page.get_by_role("button", name="Disconnect").click()
        ben.page.get_by_role("alert").get_by_text("Choose a password first").wait_for()
        assert ben.barriers() == []
        # A password of his own, once the provider has asked who he is.
        assert ben.page.get_by_label("New password").is_disabled()
        ben.page.get_by_role("button", name="Confirm with Club").click()
        ben.page.get_by_text("Club has confirmed that it is you").wait_for()
        ben.page.get_by_label("New password").fill(PASSWORD)
        assert ben.barriers() == []
        ben.shot(tmp_path / "account.png")
        ben.page.get_by_label("Disconnect Club, too").check()
        ben.page.get_by_role("button", name="Change the password").click()
        ben.page.get_by_text("The new password is saved").wait_for()
        ben.page.get_by_role("button", name="Connect Club").wait_for()

        provider.claims = {**ANNA, "sub": "carl", "email": "carl@club.org"}
        carl.page.goto(site.origin)
        carl.page.get_by_role("button", name="Sign in with Club").click()
        carl.page.get_by_role("alert").get_by_text(
            "Nobody has an account here with the address carl@club.org"
        ).wait_for()
        assert carl.barriers() == []
        carl.shot(tmp_path / "refused.png")
        with_password(system, "carl@club.org")
        carl.page.get_by_role("link", name="Back").click()
        carl.page.get_by_label("E-mail address").fill("carl@club.org")
        carl.page.get_by_label("Password").fill(PASSWORD)
        carl.page.get_by_role("button", name="Sign in", exact=True).click()
        carl.page.get_by_label("Password, to connect").fill(PASSWORD)
        carl.page.get_by_role("button", name="Connect Club").click()
        carl.page.get_by_text("Connected as carl@club.org").wait_for()
        carl.shot(tmp_path / "connected.png")
        assert carl.asked_elsewhere(site.origin) == [
            url for url in carl.asked if url.startswith(f"{provider.issuer}/authorize?")
        ]
        assert len(carl.asked_elsewhere(site.origin)) == 2
