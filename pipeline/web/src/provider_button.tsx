import { post } from "./api.ts";
import { Failure, useAction } from "./parts.tsx";
import type { ProviderAddress, ProviderBegin } from "./schema.ts";
import { me } from "./session.ts";

interface Props {
  /** What stands on the button before the provider's name. */
  readonly does: string;
  readonly begin?: ProviderBegin;
}

/** Goes to the provider to sign in, where one is set; it sends the browser back to the page "/signed-in". */
export function ProviderButton({ does, begin = {} }: Props) {
  const action = useAction();
  const name = me.value?.provider;
  if (!name) {
    return null;
  }
  const go = () =>
    action.run(async () => {
      const { url } = await post<ProviderAddress>("/session/provider", begin);
      window.sessionStorage.setItem(FROM, window.location.pathname + window.location.search);
      window.location.assign(url);
    });
  return (
    <>
      <Failure error={action.error} />
      <button type="button" disabled={action.busy} onClick={() => void go()}>
        {does} {name}
      </button>
    </>
  );
}

/** A way in beside a form: the button, and what separates it. */
export function OrProvider(props: Props) {
  return me.value?.provider ? (
    <div class="stack or">
      <p class="soft">or</p>
      <ProviderButton {...props} />
    </div>
  ) : null;
}

/** The page of ours from which the browser went to the provider. */
export function cameFrom(): string {
  const from = window.sessionStorage.getItem(FROM) ?? "/";
  return /^\/(?![/\\])/.test(from) ? from : "/";
}

const FROM = "poseline.came-from";
