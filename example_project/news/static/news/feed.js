/** The feed: what is announced comes in at the top. */

import { Cuttable, showBar } from "../bar.js";
import { connect } from "../django_fastws/fastws.js";
import { byId, countUnseen, make, timeElement } from "../page.js";

const KEPT = 100; // announcements on the page

const page = byId("content");
const feed = byId("feed");
const form = byId("announce");
const problem = byId("problem");
const countUnseenNews = countUnseen();

const live = connect("/ws/live", { WebSocket: Cuttable });
const news = live.join(page.dataset.liveRoom);

for (const time of feed.querySelectorAll("time")) time.replaceWith(timeElement(time.dateTime, { withDay: true }));

const itemOf = (id) => Array.from(feed.children).find((item) => item.dataset.id === String(id));

// At first, and whenever something may have been missed. What is there already stays as it is.
news.on("state", (newest) => {
  for (const announcement of newest.reverse()) if (!itemOf(announcement.id)) add(announcement);
});

news.on("announced", (announcement) => {
  const known = itemOf(announcement.id);
  if (known && !announcement.again) known.replaceWith(itemElement(announcement));
  else {
    known?.remove();
    add(announcement);
  }
});

function add(announcement) {
  feed.prepend(itemElement(announcement));
  if (feed.childElementCount > KEPT) feed.lastElementChild.remove();
  byId("empty").hidden = true;
  countUnseenNews();
}

function itemElement({ id, text, author, created_at: at, again }) {
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

showBar(live, news);
