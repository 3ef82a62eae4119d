"""Every error a person can meet, in one tree.

PoselineError                   exit 1
├── UsageError                  exit 2: what was asked for cannot be, whatever the servers say
│   ├── UnknownModel
│   ├── UnknownTeam
│   ├── UnknownLane
│   ├── UnknownWorker
│   ├── NotFound
│   ├── NotSignedIn             it is not known who asks
│   ├── NotAllowed              it is known, and may not do this
│   │   └── NotConfirmed        who it is was not shown to the provider a moment ago
│   ├── TooManyAttempts         sign-ins failed; it can be tried again later
│   ├── TooManySessions         the team has as many live sessions as it may have
│   ├── QuotaReached            the team may not store that much
│   ├── NotKept                 a live session cannot become a video of its team
│   ├── PartsMissing            an upload cannot be completed yet
│   ├── UploadComplete          an upload takes no more parts, and cannot be given up
│   └── PartDamaged             a part of an upload arrived with other bytes than were sent
├── ServiceUnavailable          a server that Poseline needs does not answer
│   ├── ServerAway              one of its own: Postgres, Redis, the object store
│   │   └── SchemaOutdated      the database has no tables, or another version's
│   ├── StoreFull               the object store has no room
│   └── WrongEncoding           the database cannot store every text
├── StackError                  the local stack could not start or stop
├── PagesMissing                this checkout has not built the pages that `poseline web` serves
├── InvalidWeights              weights are missing, changed, or do not follow their contract
├── BrokenModel                 a model gives no numbers, or wrong ones, wherever it is loaded
├── InvalidOutput               a model gave no numbers for these images
├── DeviceUnavailable           a device is missing, or is not the one that was asked for
│   └── DeviceLost              a GPU failed during work; only a new process can use it again
├── VideoRejected               the upload is not a video that can be analysed
│   └── OwnPreview              it is a video that Poseline drew
├── SourceGone                  the stored object changed or went away since it was ingested
│   └── OriginalRemoved         its team keeps originals for a time that is over
├── DecodeFailed                the decoder crashed, hung, or exceeded a limit
│   ├── DecoderKilled           something else than the decoder ended it: the system, for want of memory, or a person
│   └── DecoderUnavailable      no decoder could be started, or the process that starts them ended
├── TrialCrashed                the process in which a part of a video was tried alone crashed
├── TrialKilled                 it was ended by something else
├── LeaseLost                   another worker owns this piece of work now; it is dropped silently
├── DuplicateContent            the team has a ready video with the same content
├── Stopping                    this process is shutting down; its work is released
├── Abandoned                   whoever asked has gone, so the work was ended
└── RunFailed                   the run ended without results

The docstring of a class is its default message. A message is one line: what is wrong, and how to fix it.
"""

from __future__ import annotations

import errno
import math

_LONGEST = 1000
#: A machine out of disk, memory or file descriptors. Any other OSError may be caused by the work itself.
_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class PoselineError(Exception):
    """Something went wrong in Poseline."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(_one_line(message or type(self).__doc__ or ""))

    @property
    def message(self) -> str:
        """The line that a person reads."""
        return str(self.args[0])


def is_outage(error: Exception) -> bool:
    """Whether an error comes from this machine or a server and will pass, so that it is no reason to give work up."""
    if isinstance(error, OSError):
        return error.errno in _EXHAUSTED
    return isinstance(error, ServiceUnavailable | InvalidWeights | DeviceUnavailable | DecoderUnavailable)


def disk_full_line(error: BaseException) -> str | None:
    """What to do about an error that a full disk or a used-up quota caused; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return None
    what = f"{error.filename} cannot be written" if error.filename else "not everything could be written"
    cause = "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
    return _one_line(f"{cause}: {what}; make room and try again")


def in_one_line(error: Exception) -> str:
    """Any error as one line: a Poseline message, or the type and first line of another library's error."""
    if isinstance(error, PoselineError):
        return error.message
    if (line := disk_full_line(error)) is not None:
        return line
    first_line = (str(error).strip().splitlines() or [""])[0]
    return _one_line(f"unexpected {type(error).__name__}: {first_line}")


def _one_line(text: str) -> str:
    """Printable text of one line, safe for a row and a terminal."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_LONGEST]


class UsageError(PoselineError):
    """This cannot be done as asked."""

    exit_code = 2


class UnknownModel(UsageError):
    """There is no such model; `poseline models` lists them."""


class UnknownTeam(UsageError):
    """There is no such team; `poseline teams` lists them."""


class UnknownLane(UsageError):
    """There is no such lane."""


class UnknownWorker(UsageError):
    """There is no such worker; `poseline status` lists them."""


class NotFound(UsageError):
    """There is no such thing here."""


class NotSignedIn(UsageError):
    """Sign in first."""


class NotAllowed(UsageError):
    """Your role in this team does not allow this; ask one of its owners."""


class NotConfirmed(NotAllowed):
    """Sign in with your provider once more to do this."""


class TooManyAttempts(UsageError):
    """Too many sign-ins failed; wait a little.

    Args:
        wait_s: until it can be tried again.
    """

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        wait = f"{math.ceil(wait_s)} s" if wait_s < 60 else f"{math.ceil(wait_s / 60)} min"
        super().__init__(f"too many sign-ins failed; try again in {wait}")


class TooManySessions(UsageError):
    """The team has as many live sessions as it may have; end one first."""


class QuotaReached(UsageError):
    """The team's quota is used up; delete videos, or have it raised."""


class NotKept(UsageError):
    """This live session cannot be kept."""


class PartsMissing(UsageError):
    """Parts of this upload are missing; send those that its list lacks."""


class UploadComplete(UsageError):
    """This upload is complete; complete it again to hear what became of it."""


class PartDamaged(UsageError):
    """This part arrived with other bytes than were sent; send it again."""


class ServiceUnavailable(PoselineError):
    """A server that Poseline needs does not answer; `poseline doctor` says which."""


class ServerAway(ServiceUnavailable):
    """Postgres, Redis or the object store does not answer, or refuses: for those to know who run Poseline."""


class Deadlock(ServiceUnavailable):
    """Two sessions of Postgres waited for each other, and this one was ended; try again."""


class StoreFull(ServiceUnavailable):
    """The object store is full; make room, or raise its limit."""


class SchemaOutdated(ServerAway):
    """The database has no tables, or another version's; run `poseline db upgrade`."""


class WrongEncoding(ServiceUnavailable):
    """The database has another encoding than UTF8; make a new one."""


class StackError(PoselineError):
    """The local stack could not be started; `poseline doctor` says why."""


class PagesMissing(PoselineError):
    """The pages are not built; run `make web` in the checkout."""


class InvalidWeights(PoselineError):
    """The model's weights cannot be used."""


class BrokenModel(PoselineError):
    """The model gives no poses on any device; use another one."""


class InvalidOutput(PoselineError):
    """The model gave no valid poses for a part of this video; try another model."""


class DeviceUnavailable(PoselineError):
    """The device asked for is not there; `poseline doctor` says what is missing."""


class DeviceLost(DeviceUnavailable):
    """The GPU failed during work; restart this worker."""


class VideoRejected(PoselineError):
    """This file is not a video that can be analysed."""


class OwnPreview(VideoRejected):
    """This is a preview that Poseline drew; name the video that it was made from."""


class SourceGone(PoselineError):
    """The stored video changed or went away since it was ingested; upload it again."""


class OriginalRemoved(SourceGone):
    """The original was removed by its team's retention; upload it again."""


class DecodeFailed(PoselineError):
    """The video decoder failed."""


class DecoderKilled(DecodeFailed):
    """The video decoder was killed."""


class DecoderUnavailable(DecodeFailed):
    """No video decoder could be started."""


class TrialCrashed(PoselineError):
    """The process that analysed this part of the video alone crashed."""


class TrialKilled(PoselineError):
    """The process that analysed this part of the video alone was killed."""


class LeaseLost(PoselineError):
    """Another worker owns this piece of work now."""


class DuplicateContent(PoselineError):
    """The team has a ready video with the same content."""


class Stopping(PoselineError):
    """This process is shutting down."""


class Abandoned(PoselineError):
    """Nobody waits for this any more; ask again."""


class RunFailed(PoselineError):
    """The run failed."""
