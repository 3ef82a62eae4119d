"""What the audit log notes: each thing that somebody did, under one name."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """Something that somebody did."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    EMAIL_CHANGED = "email_changed"
    PROVIDER_CONNECTED = "provider_connected"
    PROVIDER_DISCONNECTED = "provider_disconnected"
    SESSION_ENDED = "session_ended"
    LINK_MADE = "link_made"
    TEAM_MADE = "team_made"
    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    JOINED = "joined"
    LEFT = "left"
    MEMBER_ADDED = "member_added"
    MEMBER_REMOVED = "member_removed"
    ROLE_CHANGED = "role_changed"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    KEY_MADE = "key_made"
    KEY_REVOKED = "key_revoked"
    SHARE_MADE = "share_made"
    SHARE_OPENED = "share_opened"
    SHARE_REVOKED = "share_revoked"
    VIDEO_UPLOADED = "video_uploaded"
    UPLOAD_GIVEN_UP = "upload_given_up"
    VIDEO_DELETED = "video_deleted"
    VIDEO_DOWNLOADED = "video_downloaded"
    TAGS_CHANGED = "tags_changed"
    RUN_REQUESTED = "run_requested"
    RUN_CANCELLED = "run_cancelled"
    RUN_PROMOTED = "run_promoted"
    EXPORT_DOWNLOADED = "export_downloaded"
    WEBHOOK_CHANGED = "webhook_changed"
