/** A chat room. What is written waits for the connection, and is said once. */

import { Cuttable, showBar } from "../bar.js";
import { converse } from "../conversation.js";
import { connect } from "../django_fastws/fastws.js";
import { byId, countUnseen, store } from "../page.js";

const { room: roomName, liveRoom, key, isNamed } = byId("content").dataset;
const recent = store("localStorage", "chat:recent", []);
const countUnseenMessage = countUnseen();

let room; // once one is in

const conversation = converse({
  key,
  name: liveRoom,
  say: (text) => room.call("say", { text }, { once: true, queue: true, timeout: Infinity }),
  badgeOf: ({ is_signed_in: isSignedIn }) => (isSignedIn ? ["✓", "signed in"] : []),
});

function goIn() {
  const live = connect("/ws/live", { WebSocket: Cuttable });
  room = live.join(liveRoom);
  // At first, and whenever something may have been missed: begin with what the server has.
  room.on("state", (state) => conversation.start(state.map((message) => ({ type: "said", ...message }))));
  room.on("said", (message) => {
    if (conversation.add({ type: "said", ...message }) && message.key !== key) countUnseenMessage();
  });
  room.on("came", (person) => conversation.add({ type: "event", words: "came in", ...person }));
  room.on("went", (person) => conversation.add({ type: "event", words: "left", ...person }));
  room.on("error", ({ message }) => conversation.hint(message));
  room.on("left", ({ reason }) => conversation.hint(reason || "You were taken out of this room."));
  showBar(live, room);
}

// ── Who one is ────────────────────────────────────────────────────────────────────────────────────────────────────────

const naming = byId("naming");
if (naming) {
  // Enter and the button post the form, and the page comes again under the new name. Escape leaves all as it is.
  const ask = () => {
    naming.showModal();
    byId("new-name").select();
  };
  byId("rename").addEventListener("click", ask);
  naming.addEventListener("close", () => {
    if (!room) goIn();
    conversation.focus();
  });
  if (isNamed === undefined) ask();
}

// ── Start ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

recent.write([roomName, ...recent.read().filter((other) => other !== roomName)].slice(0, 8));
if (!naming?.open) {
  goIn();
  if (matchMedia("(hover: hover)").matches) conversation.focus(); // on a phone it would bring up the keyboard
}
