/** The feed: what is announced comes in at the top. */

import { Live } from "../live.js";
import { countUnseen, make, showStatus, timeElement } from "../page.js";

const KEPT = 100; // announcements on the page

const page = document.getElementById("content");
const feed = document.getElementById("feed");
const form = document.getElementById("announce");
const problem = document.getElementById("problem");
const countUnseenNews = countUnseen();

const newest = () => Math.max(0, ...Array.from(feed.children, (item) => Number(item.dataset.id)));
const live = new Live(() => `${page.dataset.socket}?${new URLSearchParams({ since: newest() })}`);

for (const time of feed.querySelectorAll("time")) time.replaceWith(timeElement(time.dateTime, { withDay: true }));

live.addEventListener("message", ({ detail: announcement }) => {
  if (announcement.type !== "announcement") return;
  const known = Array.from(feed.children).find((item) => item.dataset.id === String(announcement.id));
  const item = itemElement(announcement);
  if (known && !announcement.again) known.replaceWith(item);
  else {
    known?.remove();
    feed.prepend(item);
    if (feed.childElementCount > KEPT) feed.lastElementChild.remove();
  }
  document.getElementById("empty").hidden = true;
  countUnseenNews();
});

function itemElement({ id, text, author, at, again }) {
  const item = make("li", "card news fresh");
  item.dataset.id = id;
  const words = make("p", "news-text", text);
  words.dir = "auto";
  const line = make("p", "muted small");
  line.append(make("bdi", "news-author", author), timeElement(at, { withDay: true }));
  if (again) line.append(make("span", "again", "again"));
  item.append(words, line);
  return item;
}

// Without JavaScript the form reloads the page. With it, the page stays, and the announcement comes as to everyone.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const submit = form.querySelector("[type=submit]");
  submit.disabled = true;
  problem.hidden = true;
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (response.ok) form.reset();
    else form.submit(); // shows what the server has to say
  } catch {
    problem.textContent = "The server could not be reached. Nothing was announced; try again.";
    problem.hidden = false;
  } finally {
    submit.disabled = false;
  }
});
form.elements.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

showStatus(live);
live.open();
