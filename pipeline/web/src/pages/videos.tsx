import { Frame } from "../frame.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, useAction } from "../parts.tsx";
import { address, navigate } from "../router.ts";
import { includes, type Team } from "../session.ts";
import { addressOf, type Filters, filtersOf, NOTHING } from "./videos/filters.ts";
import { Search } from "./videos/search.tsx";
import { useVideoList } from "./videos/video_list.ts";
import { VideoRow } from "./videos/video_row.tsx";
import "./videos.css";

/** A team's videos, the newest first: how far each is, as it happens, and a search. */
export default function VideosPage({ team }: PageProps) {
  return team ? <Videos team={team} /> : null;
}

function Videos({ team }: { team: Team }) {
  const filters = filtersOf(address.value.searchParams);
  const list = useVideoList(team.id, filters);
  const more = useAction();
  const mayUpload = includes(team.role, "coach");
  const searching = addressOf(filters) !== "";
  const search = (wanted: Filters) => navigate(`/t/${team.id}/videos${addressOf(wanted)}`, { replace: searching });
  const upload = mayUpload && (
    <a class="button main" href={`/t/${team.id}/upload`}>
      Upload videos
    </a>
  );
  if (list.error !== undefined && !searching) {
    return (
      <Frame title="Videos" team={team}>
        <Failure error={list.error} />
      </Frame>
    );
  }
  if (list.videos && list.count === 0) {
    return (
      <Frame title="Videos" team={team}>
        <div class="panel empty">
          <h2>No videos yet</h2>
          <p>
            {mayUpload
              ? "Upload one: Poseline finds every person in every frame, and you see the poses arrive."
              : "A coach of the team uploads them; they appear here by themselves."}
          </p>
          {upload}
        </div>
      </Frame>
    );
  }
  return (
    <Frame title="Videos" team={team} actions={upload}>
      <Search filters={filters} onSearch={search} />
      <Failure error={list.error} />
      <p class="soft" role="status">
        {list.error === undefined && told(list.videos?.length, list.count, list.hasMore, searching)}
      </p>
      <ul class="videos" aria-label="Videos" aria-busy={list.videos === undefined && list.error === undefined}>
        {list.videos?.map((video) => (
          <VideoRow key={video.video_id} team={team.id} video={video} />
        ))}
      </ul>
      {list.videos?.length === 0 && (
        <button type="button" onClick={() => search(NOTHING)}>
          Show all videos
        </button>
      )}
      <Failure error={more.error} />
      {list.hasMore && (
        <button type="button" disabled={more.busy} onClick={() => void more.run(list.loadMore)}>
          Show more
        </button>
      )}
    </Frame>
  );
}

function told(shown: number | undefined, count: number, hasMore: boolean, searching: boolean): string {
  if (shown === undefined) {
    return "Loading…";
  }
  const total = `${count.toLocaleString()} ${count === 1 ? "video" : "videos"}`;
  if (!searching) {
    return total;
  }
  return shown === 0 ? `None of ${total} fits.` : `${shown}${hasMore ? " and more" : ""} of ${total}`;
}
