"""Small pictures of videos."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from pipeline.api.access import SystemOf, TeamOfPath, allow
from pipeline.api.answers import knows
from pipeline.core.roles import Role
from pipeline.services.thumbnails import Thumbnails

router = APIRouter(tags=["videos"])


@router.get(
    "/teams/{team_id}/videos/{video_id}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "320 pixels on its longer side."}},
    **allow(Role.VIEWER, shared=True),
)
def get_thumbnail(system: SystemOf, team: TeamOfPath, request: Request, video_id: UUID) -> Response:
    """One frame of a video, with the people of its current run once one is done; there is none before it is ready."""
    pictures: Thumbnails = request.app.state.thumbnails
    shown, picture = pictures.of_video(system, team.id, video_id, team=team.name)
    headers = {"ETag": f'"{shown}"', "Cache-Control": "private, max-age=3600"}
    if knows(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(picture, headers=headers, media_type="image/jpeg")
