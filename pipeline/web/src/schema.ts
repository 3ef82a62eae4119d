/** What the API takes and answers: written by `make api-types` from its OpenAPI document, not by hand. */

/** What to change; what is not named stays. Another address needs the `password`, or, without one, to be confirmed with the provider. */
export interface AccountChange {
  readonly name?: string | null;
  readonly email?: string | null;
  readonly password?: string;
}

/** One's own account; `provider` where it is connected with the one that is set. `needs` is what shows that a change of address or password is the owner's; `confirmed` that the provider was asked a moment ago. */
export interface AccountOut {
  readonly email: string;
  readonly name: string;
  readonly operator: boolean;
  readonly has_password: boolean;
  readonly provider: ProviderOut | null;
  readonly needs: "password" | "provider" | "nothing";
  readonly confirmed: boolean;
}

/** Something that somebody did. */
export type Action = "signed_in" | "sign_in_failed" | "password_changed" | "email_changed" | "provider_connected" | "provider_disconnected" | "session_ended" | "link_made" | "team_made" | "invited" | "invitation_withdrawn" | "joined" | "left" | "member_added" | "member_removed" | "role_changed" | "account_disabled" | "account_enabled" | "key_made" | "key_revoked" | "share_made" | "share_opened" | "share_revoked" | "video_uploaded" | "upload_given_up" | "video_deleted" | "video_downloaded" | "tags_changed" | "run_requested" | "run_cancelled" | "run_promoted" | "export_downloaded" | "webhook_changed";

/** Who did what to what, and when. `video` is the name of the video that the subject is, or whose run it is. */
export interface AuditEntry {
  readonly at: string;
  readonly actor: string;
  readonly action: Action;
  readonly subject: string;
  readonly video: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A page of the log, the newest first; `next` is what `after` takes for the next one. */
export interface AuditPage {
  readonly items: readonly AuditEntry[];
  readonly next: string | null;
}

/** What became of a wish to upload. Either an upload, begun just now or gone on with, or the video that is here already. */
export interface BegunOut {
  readonly status: "begun" | "resumed" | "known";
  readonly upload: UploadWithParts | null;
  readonly known: KnownVideo | null;
}

/** A run after it was cancelled; `was_open` whether that changed it. */
export interface CancellationOut {
  readonly run_id: string;
  readonly state: string;
  readonly was_open: boolean;
}

/** What changed of a team's videos. `count` is that of all its videos; where it is not what a client expects, a video was erased. Where `complete` is false, too much changed to be told one by one: read the list anew. `next` is `after` of the next time. */
export interface ChangesOut {
  readonly videos: readonly VideoOut[];
  readonly count: number;
  readonly complete: boolean;
  readonly next: string;
}

/** One thing that was checked. */
export interface CheckOut {
  readonly what: string;
  readonly good: boolean;
  readonly found: string;
}

/** The video that an upload became. `problem` says why it has no run. */
export interface CompletedOut {
  readonly video_id: string;
  readonly state: VideoState;
  readonly run_id: string | null;
  readonly problem: string;
}

/** The name of the video that is to be erased for good. */
export interface Confirmation {
  readonly confirm: string;
}

/** Deliveries, the newest first; `next` is `after` of the page that follows. */
export interface Deliveries {
  readonly items: readonly DeliveryOut[];
  readonly next: string | null;
}

/** One end of a run that a webhook was told, or is to be told. `next_at` is when it is tried again; null once it was delivered or given up. `answer` is that of the last attempt. */
export interface DeliveryOut {
  readonly id: string;
  readonly event: string;
  readonly run_id: string;
  readonly video: string;
  readonly created_at: string;
  readonly attempts: number;
  readonly next_at: string | null;
  readonly delivered_at: string | null;
  readonly answer: string | null;
}

/** An erasure. What is not finished goes on by itself. */
export interface ErasureOut {
  readonly erasure_id: string;
  readonly finished: boolean;
}

/** The runs that were meant. */
export interface FoundRuns {
  readonly run_ids: readonly string[];
}

export interface HTTPValidationError {
  readonly detail?: readonly ValidationError[];
}

/** A new invitation, with the link to send: it works once, and is shown this once. */
export interface InvitationMade {
  readonly id: string;
  readonly role: Role;
  readonly email: string | null;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string;
  readonly url: string;
}

/** An invitation that waits. `created_by` is the name of who made it, where it still has an account. */
export interface InvitationOut {
  readonly id: string;
  readonly role: Role;
  readonly email: string | null;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string;
}

/** All invitations of a team that wait, the newest first. */
export interface Invitations {
  readonly items: readonly InvitationOut[];
}

/** A new key with its secret, which is shown this once. */
export interface KeyMade {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly role: Role;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly key: string;
}

/** A key, without its secret. `last_used_at` is exact to the minute. */
export interface KeyOut {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly role: Role;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
}

/** All keys of a team that were not revoked, the newest first. */
export interface Keys {
  readonly items: readonly KeyOut[];
}

/** A video that is here already. `certain`: with the same content; otherwise of the same size and beginning. */
export interface KnownVideo {
  readonly id: string;
  readonly name: string;
  readonly state: VideoState;
  readonly certain: boolean;
}

/** What whoever opens a one-time link may do. */
export type LinkKind = "first_owner" | "invitation" | "sign_in" | "new_password";

/** What a one-time link is for. `team` and `role` are an invitation's. `name` is whose link it is that signs in or sets a password, and `email` the address of the same, or that an invitation was sent to. */
export interface LinkOut {
  readonly kind: LinkKind;
  readonly team: string | null;
  readonly role: Role | null;
  readonly name: string | null;
  readonly email: string | null;
  readonly invited_by: string | null;
  readonly expires_at: string;
}

/** What a link asks for: a password, and for a new account a name and an e-mail address. */
export interface LinkUse {
  readonly name?: string;
  readonly email?: string;
  readonly password?: string;
}

/** Who the caller is. `email` is empty where a key or nobody calls. `provider` names what people can also sign in with. */
export interface Me {
  readonly kind: "nobody" | "account" | "key";
  readonly email: string;
  readonly name: string;
  readonly operator: boolean;
  readonly teams: readonly MyTeam[];
  readonly shared: Shared | null;
  readonly provider: string | null;
}

/** An account in a team. */
export interface MemberOut {
  readonly account_id: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly since: string;
}

/** All members of a team, by name. */
export interface Members {
  readonly items: readonly MemberOut[];
}

/** Frames `[first, stop)` that could not be analysed. */
export interface MissingOut {
  readonly first: number;
  readonly stop: number;
  readonly reason: string;
}

/** A model, as `poseline models --json` has it; more fields have its figures. */
export interface ModelOut {
  readonly name: string;
  readonly for_whom: string | null;
  readonly on_this_machine: boolean;
  readonly fingerprint: string | null;
  readonly keypoints: number;
  readonly keypoint_names: readonly string[];
  readonly skeleton: readonly unknown[];
  readonly licence: string;
}

/** All models. */
export interface Models {
  readonly items: readonly ModelOut[];
}

/** A team of the caller, and its role there. */
export interface MyTeam {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

/** All teams of the caller, by name. */
export interface MyTeams {
  readonly items: readonly MyTeam[];
}

/** Whom to invite; without an e-mail address whoever gets the link. */
export interface NewInvitation {
  readonly role: Role;
  readonly email?: string | null;
}

/** A key to make. Without `expires_in_days` it works until it is revoked. */
export interface NewKey {
  readonly name: string;
  readonly role?: Role;
  readonly expires_in_days?: number | null;
}

/** The role that a member gets. */
export interface NewRole {
  readonly role: Role;
}

/** A link to make. */
export interface NewShare {
  readonly expires_in_days?: number;
}

/** A team to make. */
export interface NewTeam {
  readonly name: string;
}

/** A file that is to be uploaded. `first_sha256` is of its first `part_bytes` bytes, or of all where it has no more; with it, a video that is here already is found before it is sent again. `again` sends it even so. */
export interface NewUpload {
  readonly name: string;
  readonly size_bytes: number;
  readonly modified_ms?: number | null;
  readonly sha256?: string | null;
  readonly first_sha256?: string | null;
  readonly tags?: Readonly<Record<string, string>>;
  readonly model?: string | null;
  readonly again?: boolean;
}

/** An address that is to be told. */
export interface NewWebhook {
  readonly url: string;
}

/** A video's newest run. `frames_done` of `frames` are analysed. */
export interface NewestRunOut {
  readonly run_id: string;
  readonly model: string;
  readonly state: string;
  readonly reason: string | null;
  readonly frames_done: number;
  readonly frames: number | null;
  readonly frames_missing: number | null;
  readonly most_people: number | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly paused: boolean;
}

/** A part that is stored. The first has number 1. */
export interface Part {
  readonly number: number;
  readonly size_bytes: number;
  readonly sha256: string;
}

/** A part that is to be sent to the object store. */
export interface PartToSign {
  readonly sha256: string;
}

/** A new password, and the one so far; where a provider alone signs in, that is to be confirmed with it. With `disconnect` only the new password signs in from then on. */
export interface PasswordChange {
  readonly current?: string;
  readonly new: string;
  readonly disconnect?: boolean;
}

/** A team or lane of which no more work is sent to workers. */
export interface PauseOut {
  readonly kind: string;
  readonly name: string;
  readonly since: string;
}

/** What is paused of the team and of the lanes. */
export interface Pauses {
  readonly items: readonly PauseOut[];
}

/** Runs as they are now, and what blocks the first few that are open. */
export interface PollOut {
  readonly runs: readonly RunOut[];
  readonly has_workers: boolean;
  readonly blocking_reasons: Readonly<Record<string, string>>;
}

/** Where the browser goes to sign in. */
export interface ProviderAddress {
  readonly url: string;
}

/** What is to happen once the provider has said who it is. `link` is the token of a one-time link that is to be used. With `connect` the account that is signed in is connected with the provider; `password` is its own, where it has one. With `confirm` the provider is asked once more who it is, for a change of an account that it alone signs in. */
export interface ProviderBegin {
  readonly link?: string | null;
  readonly connect?: boolean;
  readonly confirm?: boolean;
  readonly password?: string;
}

/** As whom the provider signs an account in: the address that it gave last. */
export interface ProviderOut {
  readonly email: string | null;
  readonly connected_at: string;
}

/** The query with which the provider sent the browser back. */
export interface ProviderReturn {
  readonly state: string;
  readonly code?: string | null;
  readonly iss?: string | null;
  readonly error?: string | null;
}

/** The copy of a video for browsers. `frames_done` counts while it is made; `reason` says why it failed. */
export interface ProxyOut {
  readonly state: ProxyState;
  readonly frames_done: number;
  readonly reason: string | null;
}

/** Where the copy of a video for browsers stands. */
export type ProxyState = "wanted" | "ready" | "failed";

/** A run that was asked for; `existed` where it had been asked for before. */
export interface RequestOut {
  readonly run_id: string;
  readonly existed: boolean;
}

/** What was done to try a run again; `new_run_id` takes its place. */
export interface RetryOut {
  readonly run_id: string;
  readonly video: string;
  readonly action: string;
  readonly new_run_id: string | null;
  readonly chunks: number;
  readonly message: string;
}

/** A role in a team. */
export type Role = "viewer" | "coach" | "owner";

/** What can be uploaded: the largest file, what is left of the team's quota, and the size of parts. A file of more than 9000 times `part_bytes` has larger parts: a 9000th of it, in whole MiB. */
export interface Room {
  readonly max_bytes: number;
  readonly quota_bytes: number | null;
  readonly left_bytes: number | null;
  readonly part_bytes: number;
  readonly short_of: string | null;
}

/** A run with its video's properties, its chunks and what blocks it. */
export interface RunDetailOut {
  readonly run_id: string;
  readonly video_id: string;
  readonly video: string;
  readonly team: string;
  readonly model: string;
  readonly fingerprint: string;
  readonly state: string;
  readonly video_state: string;
  readonly reason: string | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly lane: string;
  readonly deadline: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly is_current: boolean;
  readonly promotion: string;
  readonly paused_since: string | null;
  readonly took_s: number | null;
  readonly frames: number | null;
  readonly frames_done: number;
  readonly video_s: number | null;
  readonly frames_per_second: number | null;
  readonly frames_missing?: number | null;
  readonly frames_with_people?: number | null;
  readonly poses?: number | null;
  readonly most_people?: number | null;
  readonly confidence?: number | null;
  readonly chunks_by_state: Readonly<Record<string, number>>;
  readonly width: number | null;
  readonly height: number | null;
  readonly codec: string | null;
  readonly sha256: string | null;
  readonly time_base: string | null;
  readonly blocking_reason: string | null;
  readonly computed_with: Readonly<Record<string, number>>;
}

/** One analysis of the video by one model. */
export interface RunOfVideo {
  readonly id: string;
  readonly model: string;
  readonly state: RunState;
  readonly reason: string | null;
  readonly is_current: boolean;
  readonly frames_done: number;
  readonly frames_missing: number;
  readonly live: string | null;
  readonly created_at: string;
  readonly finished_at: string | null;
}

/** The analysis of one video by one model. What is only there once it is done is marked so. */
export interface RunOut {
  readonly run_id: string;
  readonly video_id: string;
  readonly video: string;
  readonly team: string;
  readonly model: string;
  readonly fingerprint: string;
  readonly state: string;
  readonly video_state: string;
  readonly reason: string | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly lane: string;
  readonly deadline: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly is_current: boolean;
  readonly promotion: string;
  readonly paused_since: string | null;
  readonly took_s: number | null;
  readonly frames: number | null;
  readonly frames_done: number;
  readonly video_s: number | null;
  readonly frames_per_second: number | null;
  readonly frames_missing?: number | null;
  readonly frames_with_people?: number | null;
  readonly poses?: number | null;
  readonly most_people?: number | null;
  readonly confidence?: number | null;
}

/** Runs, the newest first; `next` is `after` of the page that follows. */
export interface RunPageOut {
  readonly items: readonly RunOut[];
  readonly next: string | null;
}

/** Where the analysis of one video by one model stands. It waits for its video to be ingested, is queued once its chunks are planned, and runs from the moment when a worker takes the first of them. */
export type RunState = "waiting" | "queued" | "running" | "finishing" | "done" | "failed" | "cancelled";

/** Which video is to be analysed, and by which model. */
export interface RunWanted {
  readonly video_id: string;
  readonly model: string;
  readonly lane?: string;
  readonly deadline?: string | null;
}

/** Runs by their ids. */
export interface RunsAsked {
  readonly run_ids: readonly string[];
}

/** A part that the object store has answered for. */
export interface SentPart {
  readonly sha256: string;
  readonly etag: string;
}

/** A browser that is signed in; `client` is what it calls itself. */
export interface SessionOut {
  readonly id: string;
  readonly client: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly this: boolean;
}

/** All sessions of an account, the one used last first. */
export interface Sessions {
  readonly items: readonly SessionOut[];
}

/** A new link, which is shown this once. */
export interface ShareMade {
  readonly id: string;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string;
  readonly url: string;
}

/** A link that works, without its secret. */
export interface ShareOut {
  readonly id: string;
  readonly created_by: string | null;
  readonly created_at: string;
  readonly expires_at: string;
}

/** The video that a share's link opened in this browser. */
export interface Shared {
  readonly team_id: string;
  readonly team: string;
  readonly video_id: string;
  readonly video: string;
}

/** All links to a video that work, the newest first. */
export interface Shares {
  readonly items: readonly ShareOut[];
}

/** What somebody signs in with. */
export interface SignIn {
  readonly email: string;
  readonly password: string;
}

/** Where to PUT a part, with which headers. */
export interface SignedPart {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Frames that follow each other: `frames` of them are there, `missing` of these could not be analysed. */
export interface StretchOut {
  readonly number: number;
  readonly frames: number;
  readonly most_people: number;
  readonly missing: number;
}

/** Tags to set; null removes one. Those that are not named stay. */
export interface TagChanges {
  readonly tags: Readonly<Record<string, string | null>>;
}

/** A video's tags after a change. */
export interface TaggedOut {
  readonly video_id: string;
  readonly video: string;
  readonly team: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A run in stretches of `frames_each` frames; a stretch that is left out has no frames yet. `to_come` are frames `[first, stop)` whose poses are still to come; `not_analysed` those whose poses never come, since the run was cancelled or failed before. */
export interface TimelineOut {
  readonly run_id: string;
  readonly state: RunState;
  readonly frames: number;
  readonly frames_each: number;
  readonly stretches: readonly StretchOut[];
  readonly missing: readonly MissingOut[];
  readonly to_come: readonly (readonly [number, number])[];
  readonly not_analysed: readonly (readonly [number, number])[];
  readonly final: boolean;
}

/** An upload, and the video of the same id that it becomes. `send_to`: parts go to this server, or to the object store itself under URLs that are asked for one by one. */
export interface UploadOut {
  readonly id: string;
  readonly name: string;
  readonly size_bytes: number;
  readonly modified_ms: number | null;
  readonly part_bytes: number;
  readonly parts_total: number;
  readonly parts_stored: number;
  readonly stored_bytes: number;
  readonly begun_by: string;
  readonly begun_at: string;
  readonly last_at: string;
  readonly complete: boolean;
  readonly send_to: "server" | "store";
}

/** An upload and its parts that are stored. */
export interface UploadWithParts {
  readonly id: string;
  readonly name: string;
  readonly size_bytes: number;
  readonly modified_ms: number | null;
  readonly part_bytes: number;
  readonly parts_total: number;
  readonly parts_stored: number;
  readonly stored_bytes: number;
  readonly begun_by: string;
  readonly begun_at: string;
  readonly last_at: string;
  readonly complete: boolean;
  readonly send_to: "server" | "store";
  readonly parts: readonly Part[];
}

/** Uploads that are not complete, the newest first, and what else can be uploaded. */
export interface Uploads {
  readonly items: readonly UploadOut[];
  readonly next: string | null;
  readonly room: Room;
}

export interface ValidationError {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
  readonly input?: unknown;
  readonly ctx?: Readonly<Record<string, unknown>>;
}

/** Whether a run is what its stored video says. */
export interface VerdictOut {
  readonly run_id: string;
  readonly good: boolean;
  readonly checks: readonly CheckOut[];
}

/** A video with all its runs, the newest first. */
export interface VideoDetail {
  readonly video_id: string;
  readonly name: string;
  readonly state: string;
  readonly reason: string | null;
  readonly created_at: string;
  readonly size_bytes: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly codec: string | null;
  readonly frames: number | null;
  readonly video_s: number | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly current_run_id: string | null;
  readonly models: readonly string[];
  readonly run: NewestRunOut | null;
  readonly runs: readonly RunOut[];
}

/** A video. `state` is its own until it can be analysed, then that of its newest run; `ready` where it has none. */
export interface VideoOut {
  readonly video_id: string;
  readonly name: string;
  readonly state: string;
  readonly reason: string | null;
  readonly created_at: string;
  readonly size_bytes: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly codec: string | null;
  readonly frames: number | null;
  readonly video_s: number | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly current_run_id: string | null;
  readonly models: readonly string[];
  readonly run: NewestRunOut | null;
}

/** Videos, the newest first; `next` is `after` of the page that follows. */
export interface VideoPage {
  readonly items: readonly VideoOut[];
  readonly next: string | null;
}

/** A video with its runs: the current one first, then the newest. */
export interface VideoRuns {
  readonly id: string;
  readonly name: string;
  readonly state: VideoState;
  readonly reason: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly frames: number | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly runs: readonly RunOfVideo[];
}

/** Where an uploaded video stands. */
export type VideoState = "uploading" | "stored" | "ready" | "rejected";

/** A new webhook with the secret by which its requests are signed, which is shown this once. */
export interface WebhookMade {
  readonly id: string;
  readonly secret: string;
}

/** A webhook, without its secret. */
export interface WebhookOut {
  readonly id: string;
  readonly url: string;
  readonly created_by: string | null;
  readonly created_at: string;
}

/** All webhooks of a team. */
export interface Webhooks {
  readonly items: readonly WebhookOut[];
}
