import { useEffect } from "preact/hooks";
import { post } from "../api.ts";
import { Frame } from "../frame.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, useLoaded } from "../parts.tsx";
import { navigate } from "../router.ts";
import type { Shared } from "../schema.ts";
import { loadMe } from "../session.ts";

/** Opens a link to one video, and goes on to its page. */
export default function SharePage({ params }: PageProps) {
  const token = params.token ?? "";
  const { value, error } = useLoaded(token, (signal) =>
    post<Shared>(`/shares/${encodeURIComponent(token)}`, undefined, { signal }),
  );
  useEffect(() => {
    if (value) {
      void loadMe().then(() => navigate(`/t/${value.team_id}/videos/${value.video_id}`, { replace: true }));
    }
  }, [value]);
  return (
    <Frame title="Shared video">
      <Failure error={error} />
    </Frame>
  );
}
