import { post } from "../api.ts";
import { Frame } from "../frame.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, useLoaded } from "../parts.tsx";
import type { Shared } from "../schema.ts";
import { loadMe, me, teamOf } from "../session.ts";
import VideoPage from "./video.tsx";

const ENDED = new Error("This link has ended. Ask whoever sent it for another.");

/** Opens a link to one video, and shows it at the link's own address: what is copied or loaded again works elsewhere. */
export default function SharePage({ params }: PageProps) {
  const token = params.token ?? "";
  const { value, error } = useLoaded(token, async (signal) => {
    const shared = await post<Shared>(`/shares/${encodeURIComponent(token)}`, undefined, { signal });
    await loadMe();
    return shared;
  });
  const team = value && me.value && teamOf(me.value, value.team_id);
  return value && team ? (
    <VideoPage params={{ video: value.video_id }} team={team} />
  ) : (
    <Frame title="Shared video">
      <Failure error={value ? ENDED : error} />
    </Frame>
  );
}
