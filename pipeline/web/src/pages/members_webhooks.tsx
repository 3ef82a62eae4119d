import { useState } from "preact/hooks";
import { get, teamPath } from "../api.ts";
import { useCollection } from "../collection.ts";
import { onSent, TextField } from "../form.tsx";
import { Failure, Secret, Time, useLoaded } from "../parts.tsx";
import type { DeliveryOut, Deliveries as DeliveryPage, WebhookMade, WebhookOut } from "../schema.ts";
import type { Team } from "../session.ts";

/** Addresses of other programs that are told when a run is done or failed. */
export function Webhooks({ team }: { team: Team }) {
  const path = teamPath(team.id, "webhooks");
  const webhooks = useCollection<WebhookOut>(path);
  const [url, setUrl] = useState("");
  const [secret, setSecret] = useState<string>();
  const add = async () => {
    const made = await webhooks.add<WebhookMade>({ url });
    if (made) {
      setSecret(made.secret);
      setUrl("");
    }
  };
  const drop = (webhook: WebhookOut) => {
    if (window.confirm(`Remove ${webhook.url}? It is told of no run any more.`)) {
      void webhooks.drop(webhook.id);
    }
  };
  return (
    <section aria-labelledby="webhooks">
      <h2 id="webhooks">Webhooks</h2>
      <p class="soft">Each address is told, signed, when a run of the team is done or failed.</p>
      <form class="row" onSubmit={onSent(add)}>
        <TextField
          label="Address"
          type="url"
          required
          placeholder="https://example.org/poses"
          value={url}
          onChange={setUrl}
        />
        <button type="submit" disabled={webhooks.busy}>
          Add a webhook
        </button>
      </form>
      <Failure error={webhooks.error} />
      {secret && (
        <div class="panel" role="status">
          <p>The program at this address checks the signature with this secret. It is shown only now.</p>
          <Secret label="Secret" value={secret} />
        </div>
      )}
      {webhooks.items.map((webhook) => (
        <article key={webhook.id} class="panel" aria-label={webhook.url}>
          <div class="heading">
            <strong>{webhook.url}</strong>
            <button
              type="button"
              class="quiet"
              aria-label={`Remove ${webhook.url}`}
              disabled={webhooks.busy}
              onClick={() => drop(webhook)}
            >
              Remove
            </button>
          </div>
          <p class="soft">
            {webhook.created_by ?? "A program"}, <Time at={webhook.created_at} />
          </p>
          <Deliveries path={`${path}/${webhook.id}/deliveries?limit=20`} />
        </article>
      ))}
    </section>
  );
}

/** The last deliveries of a webhook, with what was answered; loaded when somebody opens them. */
function Deliveries({ path }: { path: string }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Last deliveries</summary>
      {open && <DeliveryTable path={path} />}
    </details>
  );
}

function DeliveryTable({ path }: { path: string }) {
  const deliveries = useLoaded(path, (signal) => get<DeliveryPage>(path, { signal }));
  return (
    <>
      <Failure error={deliveries.error} />
      {deliveries.value?.items.length === 0 && <p>None yet: no run has ended since it was added.</p>}
      {deliveries.value && deliveries.value.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">Video</th>
              <th scope="col">What</th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          <tbody>
            {deliveries.value.items.map((delivery) => (
              <tr key={delivery.id}>
                <td data-label="When">
                  <Time at={delivery.created_at} />
                </td>
                <th scope="row">{delivery.video}</th>
                <td data-label="What">{delivery.event.replace(".", " ")}</td>
                <td data-label="Outcome">
                  <Outcome delivery={delivery} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Outcome({ delivery }: { delivery: DeliveryOut }) {
  const answer = delivery.answer ? ` (${delivery.answer})` : "";
  if (delivery.delivered_at) {
    return <>delivered{answer}</>;
  }
  if (!delivery.next_at) {
    return (
      <>
        given up after {delivery.attempts} attempts{answer}
      </>
    );
  }
  return (
    <>
      {delivery.attempts ? "tried again" : "to be sent"} <Time at={delivery.next_at} />
      {answer}
    </>
  );
}
