/** Without a declaration, every room, event and payload is accepted; what is the client's own is typed. */

import { LiveError, connect } from "../../../django_fastws/static/django_fastws/fastws.js";
import type { Presence, Room, RoomOf, Status } from "../../../django_fastws/static/django_fastws/fastws.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : [never]) => {};

same<RoomOf<"tickets/5">, any>();

const live = connect();
connect("/ws/live", { token: async () => "t", protocols: ["fastws.v1.json"], WebSocket });
connect(new URL("wss://example.org/ws/live"), { token: () => undefined });
// @ts-expect-error a token is asked for
connect("/ws/live", { token: "t" });
// @ts-expect-error there is no such option
connect("/ws/live", { retries: 3 });

live.on("status", (status) => {
  same<typeof status, Status>();
  if (status.state === "waiting") same<typeof status.retryIn, number>();
  if (status.state === "closed") same<typeof status.code, number>();
  // @ts-expect-error there is no such state
  if (status.state === "offline") return;
});
const { state, retryIn } = live.status;
same<typeof state, "connecting" | "open" | "waiting" | "closed">();
same<typeof retryIn, number | undefined>();
const end: () => void = live.on("news", (data) => data.anything);
end();
live.answer("confirm", async ({ question }) => question.length > 0);

const name: string = "tickets/5";
const room: Room = live.join(name);
live.join("tickets/5", { since: "e:17" });
live.join("tickets/5", { since: document.body.dataset.since });
live.join("tickets/5", { since: document.body.getAttribute("data-since") });
// @ts-expect-error a position is a string
live.join("tickets/5", { since: 17 });

live.join(room.name, { since: room.at });
same<typeof room.at, string | undefined>();
// @ts-expect-error the client keeps it
room.at = "e:17";

room.on("state", (messages) => messages.anything);
room.on("presence", (people) => same<typeof people, Map<string, Presence<any>>>());
room.on("count", (count) => same<typeof count, number>());
room.on("latest", (latest, key) => {
  same<typeof latest, Map<string, any>>();
  same<typeof key, string | undefined>();
});
room.on("left", ({ code, reason }) => [code.toFixed(), reason.trim()]);
room.on("error", (error) => {
  same<typeof error, LiveError>();
  same<typeof error.retryAfter, number | undefined>();
  same<typeof error.fields, Record<string, string[]>>();
});
room.on("said", ({ who, text }, frame) => [who, text, frame.at, frame.from]);

const answer = await room.call("say", { text: "hello" }, { timeout: 500, once: true, queue: true });
same<typeof answer, any>();
room.call("say", undefined, { signal: new AbortController().signal });
room.call("say");
// @ts-expect-error there is no such option
room.call("say", {}, { retry: true });
for await (const item of room.stream("history", { limit: 5 })) same<typeof item, any>();
// @ts-expect-error a stream cannot be sent again
room.stream("history", {}, { once: true });
room.leave();
live.close();

const error = new LiveError("not_found", "there is none", { fields: { text: ["required"] } });
same<typeof error.code, string>();
