/** A conversation: what was said, what is on its way, and the place where one writes. For pages with `_conversation.html`. */

import { byId, dayOf, hueOf, make, store, timeElement } from "./page.js";

const KEPT = 300; // entries on the page
const TOGETHER = 5 * 60_000; // milliseconds between messages that show the name once

/** @type {(entry: any) => boolean} */
const NEVER = () => false;

/** @type {(entry: any) => string[]} */
const NO_BADGE = () => [];

/**
 * Entries are `{type: "said", id, key, name, text, at}`, or `{type: "event", name, words, at}`.
 *
 * @param key that of the one who reads
 * @param name of the conversation, under which the draft is kept
 * @param say sends a text, and resolves when it is said
 * @param badgeOf the sign behind the name of who has said something, and what it means
 */
export function converse({ key, name, say, badgeOf = NO_BADGE }) {
  const [scroll, log, outbox] = ["scroll", "log", "outbox"].map((id) => byId(id));
  const [empty, latest, hint] = ["empty", "latest", "hint"].map((id) => byId(id));
  const [composer, text] = ["composer", "text"].map((id) => byId(id));
  const draft = store("sessionStorage", `draft:${name}`, "");
  const known = new Set(); // of the messages, their ids

  let last; // entry of the log
  let missed = 0;
  let isFollowing = true; // the end of the conversation

  // ── What happened ───────────────────────────────────────────────────────────────────────────────────────────────────

  const isMine = (entry) => entry.type === "said" && entry.key === key;

  function entryElement(entry, before) {
    if (entry.type !== "said") {
      const item = make("li", "event");
      item.append(make("bdi", "", entry.name), ` ${entry.words} · `, timeElement(entry.at));
      return item;
    }
    const isFirst =
      before?.type !== "said" ||
      before.key !== entry.key ||
      before.name !== entry.name ||
      Date.parse(entry.at) - Date.parse(before.at) > TOGETHER;
    const item = make("li", isMine(entry) ? "said mine" : "said");
    if (isFirst) {
      item.classList.add("first");
      item.append(nameElement(entry));
    }
    item.append(bubbleElement(entry.text, timeElement(entry.at)));
    return item;
  }

  function nameElement(entry) {
    const line = make("p", "by");
    const label = make("bdi", "", entry.name);
    label.style.setProperty("--hue", hueOf(entry.name));
    line.append(label);
    const [sign, meaning] = badgeOf(entry);
    if (sign) {
      const badge = make("span", "badge", sign);
      badge.title = meaning;
      badge.setAttribute("role", "img");
      badge.setAttribute("aria-label", meaning);
      line.append(badge);
    }
    return line;
  }

  function bubbleElement(words, ...more) {
    const bubble = make("div", "bubble");
    const content = make("p", "text", words);
    content.dir = "auto";
    bubble.append(content, ...more);
    return bubble;
  }

  function show(entry) {
    if (entry.type === "said") known.add(entry.id);
    if (!last || dayOf(last.at) !== dayOf(entry.at)) log.append(make("li", "day", dayOf(entry.at)));
    log.append(entryElement(entry, last));
    last = entry;
    while (log.childElementCount > KEPT) log.firstElementChild.remove();
  }

  function showEmpty() {
    empty.hidden = log.childElementCount + outbox.childElementCount > 0;
  }

  // ── Where one reads ─────────────────────────────────────────────────────────────────────────────────────────────────

  function toEnd() {
    scroll.scrollTop = scroll.scrollHeight;
    isFollowing = true;
    missed = 0;
    showLatest();
  }

  function showLatest() {
    latest.hidden = missed === 0;
    latest.textContent = missed === 1 ? "1 new message ↓" : `${missed} new messages ↓`;
  }

  latest.addEventListener("click", () => {
    toEnd();
    text.focus();
  });
  scroll.addEventListener("scroll", () => {
    isFollowing = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    if (isFollowing && missed) toEnd();
  });
  new ResizeObserver(() => isFollowing && toEnd()).observe(scroll); // a keyboard that comes up hides nothing

  // ── What is on its way ──────────────────────────────────────────────────────────────────────────────────────────────

  async function send(words) {
    const item = make("li", "said mine pending");
    item.append(bubbleElement(words, make("span", "time", "sending")));
    outbox.append(item);
    showEmpty();
    toEnd();
    try {
      await say(words);
      item.remove();
    } catch (error) {
      item.className = "said mine failed";
      item.querySelector(".time").textContent = "not sent";
      item.append(problemElement(item, words, error));
      toEnd();
    }
    showEmpty();
  }

  function problemElement(item, words, error) {
    const problem = make("p", "problem", error.fields?.text?.join(" ") ?? error.message);
    const discard = () => {
      item.remove();
      showEmpty();
    };
    const edit = () => {
      discard();
      write([words, text.value].filter(Boolean).join("\n"));
      text.focus();
    };
    problem.append(" ", button("Edit", edit), " ", button("Discard", discard));
    return problem;
  }

  function button(label, action) {
    const element = make("button", "link", label);
    element.type = "button";
    element.addEventListener("click", action);
    return element;
  }

  // ── What one writes ─────────────────────────────────────────────────────────────────────────────────────────────────

  function write(words) {
    text.value = words;
    wrote();
  }

  function wrote() {
    draft.write(text.value);
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  text.addEventListener("input", wrote);
  text.addEventListener("keydown", (event) => {
    // Enter also picks a word of an input method.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      composer.requestSubmit();
    }
  });
  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words) return;
    write("");
    text.focus();
    send(words);
  });
  write(draft.read());

  return {
    /** Begin anew with these entries; a line is drawn between what is read and what is not. */
    start(entries, isUnread = NEVER) {
      log.replaceChildren();
      known.clear();
      last = undefined;
      let hasLine = false;
      for (const entry of entries) {
        if (!hasLine && isUnread(entry)) {
          if (last) log.append(make("li", "day unread-line", "New")); // unless all is new
          hasLine = true;
        }
        show(entry);
      }
      showEmpty();
      if (isFollowing) toEnd();
    },

    /** Add an entry, unless it is there; returns whether it was not. */
    add(entry) {
      if (known.has(entry.id)) return false;
      show(entry);
      showEmpty();
      if (isFollowing || isMine(entry)) {
        toEnd();
      } else if (entry.type === "said") {
        missed += 1;
        showLatest();
      }
      return true;
    },

    /** Say something beside the place where one writes, such as why nothing can be sent. */
    hint(...words) {
      hint.replaceChildren(...words);
    },

    focus() {
      text.focus();
    },
  };
}
