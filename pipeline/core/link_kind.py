"""What a one-time link is for, and for how long it works."""

from __future__ import annotations

from enum import StrEnum


class LinkKind(StrEnum):
    """What whoever opens a one-time link may do."""

    FIRST_OWNER = "first_owner"
    INVITATION = "invitation"
    SIGN_IN = "sign_in"
    NEW_PASSWORD = "new_password"  # noqa: S105


#: An invitation waits in a mailbox over a holiday; what signs in by itself should not lie about.
LINK_S = {
    LinkKind.FIRST_OWNER: 7 * 86_400.0,
    LinkKind.INVITATION: 14 * 86_400.0,
    LinkKind.SIGN_IN: 86_400.0,
    LinkKind.NEW_PASSWORD: 2 * 86_400.0,
}
