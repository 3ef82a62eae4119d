"""From the first owner's link to a second person who sees only their team, in two browsers."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipeline.core.roles import Role
from pipeline.services.accounts.first_owner import first_owner_link, sign_in_link
from pipeline.services.system import System
from tests.support.browser import DESK, PHONE, cut_off, visit
from tests.support.harness import sql
from tests.support.kept import stored_video
from tests.support.web import make_team, served, signed_in, token_of

PASSWORD = "a few plain words"


def test_an_owner_invites_somebody_who_sees_only_that_team(system: System, browser: Browser) -> None:
    make_team(system, "theirs")
    link = first_owner_link(system)
    assert link is not None
    with served(system) as origin, visit(browser) as owner, visit(browser, PHONE) as guest:
        owner.page.goto(f"{origin}/link/{token_of(link)}")
        owner.page.get_by_label("Your name").fill("Eva")
        owner.page.get_by_label("E-mail address").fill("eva@example.org")
        owner.page.get_by_label("Password").fill(PASSWORD)
        owner.page.get_by_role("button", name="Begin").press("Enter")
        owner.page.get_by_role("link", name="Members").click()
        owner.page.get_by_role("heading", name="Invite somebody").wait_for()
        owner.page.get_by_label("E-mail address").fill("anna@example.org")
        owner.page.get_by_role("combobox", name="Role", exact=True).select_option("coach")
        owner.page.get_by_role("button", name="Make a link").click()
        url = owner.page.get_by_label("Invitation link").input_value()

        guest.page.goto(url)
        guest.page.get_by_text("Eva invites you to default as coach.").wait_for()
        guest.page.get_by_label("Your name").fill("Anna")
        guest.page.get_by_label("Password").fill(PASSWORD)
        guest.page.get_by_role("button", name="Join").press("Enter")
        guest.page.get_by_role("link", name="Anna").wait_for()
        assert guest.page.locator(".team").inner_text() == "default"
        guest.page.get_by_role("link", name="Members").click()
        guest.page.get_by_role("rowheader", name="Eva").wait_for()
        assert guest.page.get_by_role("heading", name="Invite somebody").count() == 0
        assert guest.barriers() == []

        guest.page.goto(f"{origin}/t/{make_team(system, 'theirs')}/members")
        guest.page.get_by_role("heading", name="Not found").wait_for()
        guest.page.goto(url)
        guest.page.get_by_text("This link does not work").wait_for()
        owner.page.reload()
        role = owner.page.get_by_label("Role of Anna")
        role.select_option("viewer")  # no handler: the question is answered with no
        expect(role).to_have_value("coach")
        owner.page.once("dialog", lambda dialog: dialog.accept())
        role.select_option("viewer")
        expect(role).to_have_value("viewer")
        assert owner.asked_elsewhere(origin) == guest.asked_elsewhere(origin) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_fit_and_keep_nobody_out(
    system: System, browser: Browser, size: tuple[int, int], dark: bool, tmp_path: Path
) -> None:
    team = make_team(system, "first team")
    with served(system) as origin, visit(browser, size, dark=dark) as seen:
        owner = signed_in(system, origin, "eva@example.org", **{"first team": Role.OWNER, "second team": Role.VIEWER})
        signed_in(system, origin, "a.very.long.address.of.somebody@example.org", **{"first team": Role.VIEWER})
        for number in range(3):
            owner.ask("POST", f"/teams/{team}/keys", {"name": f"laptop {number}"})
            owner.ask("POST", f"/teams/{team}/invitations", {"role": "coach", "email": f"new{number}@example.org"})
        owner.ask("POST", f"/teams/{team}/webhooks", {"url": f"https://example.org/{'poses/' * 30}"})
        seen.page.goto(origin)
        seen.page.get_by_label("Password").wait_for()
        assert cut_off(seen.page) == []
        assert seen.barriers() == []
        seen.shot(tmp_path / "sign-in.png")
        seen.page.context.add_cookies([{"name": "poseline", "value": owner.cookies["poseline"], "url": origin}])
        for path, awaited in ((f"/t/{team}/members", "key made"), ("/account", "this browser")):
            seen.page.goto(f"{origin}{path}")
            seen.page.get_by_text(awaited).first.wait_for()
            assert cut_off(seen.page) == []
            assert seen.barriers() == []
            seen.shot(tmp_path / f"{path.rpartition('/')[2]}.png")
        assert seen.complaints == []


def test_who_has_no_password_is_told_until_one_is_chosen_and_a_sign_out_counts_in_every_tab(
    system: System, browser: Browser
) -> None:
    with served(system) as origin, visit(browser) as seen:
        page = seen.page
        signed_in(system, origin, "eva@example.org", team=Role.OWNER)
        link = f"{origin}/link/{token_of(sign_in_link(system, 'eva@example.org'))}"
        page.goto(link)
        page.get_by_role("button", name="Sign in as eva").click()
        page.get_by_role("heading", name="No videos yet").wait_for()
        page.get_by_text("this browser is your only way in").wait_for()
        page.goto(link)
        page.get_by_text("This link does not work").wait_for()
        page.get_by_role("link", name="Go to your videos").click()
        page.get_by_role("link", name="Choose a password").click()
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Change the password").click()
        page.get_by_text("The new password is saved.").wait_for()
        page.get_by_role("link", name="team").first.click()
        page.get_by_role("heading", name="No videos yet").wait_for()
        expect(page.get_by_text("your only way in")).to_have_count(0)
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_role("heading", name="No videos yet").wait_for()
        page.get_by_role("link", name="eva").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        other.get_by_label("E-mail address").fill("eva@example.org")
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Sign in").click()
        other.get_by_role("heading", name="No videos yet").wait_for()
        sql(system, "DELETE FROM web_session")
        other.get_by_role("link", name="Members").click()
        other.get_by_role("heading", name="Sign in").wait_for()


def test_an_owner_adds_a_webhook_sees_what_it_was_told_and_removes_it(system: System, browser: Browser) -> None:
    team, address = make_team(system, "team"), "https://example.org/poses"
    with served(system) as origin, visit(browser) as owner:
        who = signed_in(system, origin, "eva@example.org", team=Role.OWNER)
        owner.page.context.add_cookies([{"name": "poseline", "value": who.cookies["poseline"], "url": origin}])
        owner.page.on("dialog", lambda dialog: dialog.accept())
        owner.page.goto(f"{origin}/t/{team}/members")
        owner.page.get_by_label("Address", exact=True).fill("ftp://example.org")
        owner.page.get_by_role("button", name="Add a webhook").click()
        owner.page.get_by_role("alert").wait_for()
        owner.page.get_by_label("Address", exact=True).fill(address)
        owner.page.get_by_role("button", name="Add a webhook").click()
        assert owner.page.get_by_label("Secret").input_value().startswith("whsec_")
        owner.page.get_by_text("Last deliveries").click()
        owner.page.get_by_text("None yet").wait_for()
        assert owner.barriers() == []
        owner.page.get_by_role("button", name=f"Remove {address}").click()
        owner.page.get_by_role("article", name=address).wait_for(state="detached")


def test_a_link_shows_one_video_to_somebody_without_an_account(system: System, browser: Browser) -> None:
    video, team = stored_video(system, "sprint.mp4"), make_team(system, "team")
    with served(system) as origin, visit(browser) as coach, visit(browser, PHONE) as guest:
        who = signed_in(system, origin, "eva@example.org", team=Role.COACH)
        coach.page.context.add_cookies([{"name": "poseline", "value": who.cookies["poseline"], "url": origin}])
        coach.page.goto(f"{origin}/t/{team}/videos/{video}")
        coach.page.get_by_text("Share this video").click()
        coach.page.get_by_role("button", name="Make a link").click()
        url = coach.page.get_by_label("Link, shown only now").input_value()
        guest.page.goto(url)
        guest.page.get_by_role("heading", name="sprint.mp4").wait_for()
        assert guest.page.url == url, "so that what the guest copies lets others in"
        guest.page.get_by_text("team, shared with you").wait_for()
        assert guest.page.get_by_text("Share this video").count() == 0
        guest.page.goto(f"{origin}/t/{team}/members")
        guest.page.get_by_role("alert").wait_for()
        coach.page.get_by_role("button", name="End this link").click()
        coach.page.get_by_role("button", name="End this link").wait_for(state="detached")
        guest.page.goto(f"{origin}/t/{team}/videos/{video}")
        guest.page.get_by_role("heading", name="Sign in").wait_for()
        guest.page.goto(f"{url}#frame=7")
        guest.page.get_by_text("This link does not work").wait_for()
