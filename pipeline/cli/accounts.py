"""`poseline accounts`: who can sign in, for who has the command line."""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.core.roles import Role
from pipeline.db.account_changes import Listed
from pipeline.errors import UsageError
from pipeline.services.accounts.first_owner import first_owner_link, new_password_link, sign_in_link
from pipeline.services.accounts.operate import add_account, add_key, disable_account, list_accounts, remove_account
from pipeline.services.teams import DEFAULT_TEAM


@click.group(invoke_without_command=True)
@common
@pass_console
@click.pass_context
def accounts(context: click.Context, console: Console) -> None:
    """List, add and disable who can sign in, and make links that let people in."""
    if context.invoked_subcommand is None:
        _list(console)


@accounts.command("list")
@common
@pass_console
def list_(console: Console) -> None:
    """List every account: its teams, its roles, and when it was last seen."""
    _list(console)


def _list(console: Console) -> None:
    rows = list_accounts(console.system)
    if console.print_json([_to_dict(row) for row in rows]):
        return
    if not rows:
        console.print("nobody can sign in yet; `poseline accounts link` makes a link for the first owner")
        return
    console.table(
        ("e-mail address", "name", "roles", "seen", ""),
        [
            (
                row.email,
                row.name,
                ", ".join(f"{role} of {team}" for team, role in row.roles.items()),
                row.seen_at and f"{row.seen_at.astimezone():%Y-%m-%d %H:%M}",
                ", ".join(_marks(row)),
            )
            for row in rows
        ],
    )


@accounts.command()
@click.argument("email")
@click.option("--name", help="What people call them [default: the address up to its @]")
@click.option("--team", help="The team that they join.")
@click.option("--role", type=click.Choice([str(role) for role in Role]), default="viewer", show_default=True)
@click.option("--operator", is_flag=True, help="They may make teams.")
@common
@pass_console
def add(console: Console, email: str, name: str | None, team: str | None, role: str, operator: bool) -> None:
    """Add an account, or give one that there is a role in a team; a new one gets a link to choose its password."""
    added = add_account(console.system, email, name=name, team=team, role=Role(role), operator=operator)
    if console.print_json({"email": added.account.email, "link": added.link}):
        return
    where = f"is {role} of {team} now" if team else "has an account now"
    console.print(f"{added.account.email} {where}")
    if added.link is not None:
        console.print(f"a password is chosen at {added.link} (works once, for two days)")


@accounts.command()
@click.argument("email", required=False)
@click.option("--sign-in", is_flag=True, help="A link that signs in once, without a password.")
@common
@pass_console
def link(console: Console, email: str | None, sign_in: bool) -> None:
    """Make a link: for an account a new password, without one the account of the first owner."""
    if email is None:
        url = first_owner_link(console.system)
        if url is None:
            raise UsageError("there are accounts already; name one: `poseline accounts list` lists them")
    else:
        url = sign_in_link(console.system, email) if sign_in else new_password_link(console.system, email)
    if not console.print_json({"link": url}):
        console.print(url)


@accounts.command()
@click.argument("name")
@click.option("--team", default=DEFAULT_TEAM, show_default=True, help="Whose videos it reads and writes.")
@click.option("--role", type=click.Choice(["viewer", "coach"]), default="coach", show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), help="For how long it works [default: until it is revoked]")
@common
@pass_console
def key(console: Console, name: str, team: str, role: str, days: int | None) -> None:
    """Make a key with which a program or `poseline login` uses the API; it is shown this once."""
    made, secret = add_key(console.system, team, name, role=Role(role), expires_in_days=days)
    if not console.print_json({"id": str(made.id), "name": made.name, "team": team, "role": role, "key": secret}):
        console.print(secret)


@accounts.command()
@click.argument("email")
@click.option("--undo", is_flag=True, help="Let them sign in again.")
@common
@pass_console
def disable(console: Console, email: str, undo: bool) -> None:
    """Let an account sign in no longer, and end its sessions."""
    account = disable_account(console.system, email, disabled=not undo)
    if not console.print_json({"email": account.email, "disabled": not undo}):
        console.print(
            f"{account.email} can {'sign in again' if undo else 'sign in no longer; every session has ended'}"
        )


@accounts.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
@pass_console
def remove(console: Console, email: str, yes: bool) -> None:
    """Erase an account: its sessions, links and roles, and its address in every log."""
    if not yes:
        if console.as_json:
            raise UsageError("add --yes: with --json nothing is asked")
        click.confirm(f"Erase {email} for good?", abort=True, err=True)
    account = remove_account(console.system, email)
    if not console.print_json({"email": account.email, "removed": True}):
        console.print(f"{account.email} is erased; videos and runs stay with their teams")


def _marks(row: Listed) -> list[str]:
    marks = {
        "operator": row.operator,
        "disabled": row.disabled,
        "no password": not row.has_password,
        "connected": row.connected,
    }
    return [name for name, holds in marks.items() if holds]


def _to_dict(row: Listed) -> dict[str, Any]:
    return {
        "email": row.email,
        "name": row.name,
        "roles": {team: str(role) for team, role in row.roles.items()},
        "operator": row.operator,
        "disabled": row.disabled,
        "has_password": row.has_password,
        "connected": row.connected,
        "created_at": row.created_at.isoformat(),
        "seen_at": row.seen_at and row.seen_at.isoformat(),
    }
