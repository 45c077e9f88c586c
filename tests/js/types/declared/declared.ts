/** With a declaration, what is not in it, or is not like it, is an error. */

import { connect } from "../../../../django_fastws/static/django_fastws/fastws.js";
import type { Frame, Presence } from "../../../../django_fastws/static/django_fastws/fastws.js";
import type { Said } from "./rooms.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : [never]) => {};

const live = connect();

// Rooms are found by the pattern of their names.
const ticket = live.join("tickets/5");
declare const pk: number;
const other = live.join(`tickets/${pk}`, { since: "e:17" });
same<typeof ticket, typeof other>();
live.join("tickets/5", { since: document.body.dataset.since });
live.join("prices", {});
// @ts-expect-error it has no history
live.join("prices", { since: "e:17" });
// @ts-expect-error a position is a string
live.join("tickets/5", { since: 17 });

// Events
ticket.on("said", (said, frame) => {
  same<typeof said, Said>();
  same<typeof frame, Frame<Said>>();
});
ticket.on("closed", ({ at }) => at.trim());
// @ts-expect-error no such event
ticket.on("typing", () => {});
// @ts-expect-error no such field
ticket.on("said", ({ whom }) => whom);
ticket.on("state", (state) => same<typeof state, Said[]>());
ticket.on("presence", (people) => same<typeof people, Map<string, Presence<{ name: string }>>>());
live.join("hall").on("count", (count) => same<typeof count, number>());
// @ts-expect-error it says who, not how many
ticket.on("count", () => {});
// @ts-expect-error it says how many, not who
live.join("hall").on("presence", () => {});
// @ts-expect-error it has no presence
live.join("prices").on("presence", () => {});
ticket.on("left", ({ code }) => code.toFixed());

// Calls
same<Awaited<ReturnType<typeof say>>, number>();
const say = () => ticket.call("say", { text: "hello" });
ticket.call("say", { text: "hello", urgent: true }, { once: true });
ticket.call("close");
ticket.call("close", { reason: "done" });
ticket.call("close", undefined, { timeout: 500 });
ticket.call("ping");
// @ts-expect-error no such event
ticket.call("shout", { text: "hello" });
// @ts-expect-error a wrong type
ticket.call("say", { text: 1 });
// @ts-expect-error a field is missing
ticket.call("say", {});
// @ts-expect-error the payload is missing
ticket.call("say");
// @ts-expect-error no such field
ticket.call("say", { text: "hello", loud: true });
// @ts-expect-error a broadcast cannot be called
ticket.call("closed");
// @ts-expect-error the answer is a number
const wrong: Promise<string> = ticket.call("say", { text: "hello" });

// Streams
for await (const item of ticket.stream("history", { limit: 5 })) same<typeof item, Said>();
for await (const item of ticket.stream("everything")) same<typeof item, Said>();
// @ts-expect-error a wrong type
ticket.stream("history", { limit: "5" });
// @ts-expect-error it has items, no answer
ticket.call("history", { limit: 5 });
// @ts-expect-error it has an answer, no items
ticket.stream("say", { text: "hello" });

// A room with values has nothing else.
const prices = live.join("prices");
prices.on("latest", (latest) => same<typeof latest, Map<string, number>>());
// @ts-expect-error it declares no events
prices.on("said", () => {});
// @ts-expect-error it declares no calls
prices.call("say");

// Of two patterns that match, the more special one counts.
live.join("chat/lobby").on("said", (said) => same<typeof said, Said>());
live.join("chat/lobby/typing").on("typing", ({ who }) => who.trim());
// @ts-expect-error that is the other room
live.join("chat/lobby/typing").on("said", () => {});

// What is not declared is not checked: the name may be made at run time.
const unknown: string = "tickets/5";
live.join(unknown).call("anything", 1);
live.join("something/else").call("anything", 1);
live.join("something/else", { since: "e:17" });
live.join(unknown, { since: "e:17" });

// Events and asks of the connection
live.on("notice", ({ text }) => text.trim());
live.on("status", ({ state }) => state);
live.answer("confirm", ({ question }) => question.length > 0);
live.answer("confirm", async () => true);
// @ts-expect-error no such event
live.on("news", () => {});
// @ts-expect-error no such ask
live.answer("delete", () => true);
// @ts-expect-error a wrong answer
live.answer("confirm", () => "yes");
