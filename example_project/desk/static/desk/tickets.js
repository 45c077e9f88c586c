/** The list of tickets, which Django has rendered: it goes on from there, and counts what is unread. */

import { byId } from "../page.js";

const list = byId("tickets");
const template = byId("row");
const { liveRoom, since, key, url } = list.dataset;

const rowOf = (id) => list.querySelector(`[data-id="${id}"]`);

/** Join the room of the list. */
export function followTickets(live) {
  const desk = live.join(liveRoom, { since });
  // Only if more was missed than the room's history has.
  desk.on("state", (rows) => {
    list.replaceChildren();
    for (const { ticket, read } of rows.reverse()) show(ticket, read);
  });
  desk.on("changed", (ticket) => show(ticket, ticket.last_key === key ? ticket.count : undefined));
  desk.on("read", (mark) => {
    if (mark.key === key) showUnread(rowOf(mark.id), mark.read);
  });
  return desk;
}

/** A ticket, at the top. Numbers only grow, so it does no harm if an event says what the page has already. */
function show(ticket, read) {
  const row = rowOf(ticket.id) ?? newRow(ticket.id);
  for (const [name, text] of [["subject", ticket.subject], ["last-name", ticket.last_name], ["last-text", ticket.last_text]]) {
    row.querySelector(`.${name}`).textContent = text;
  }
  row.dataset.count = Math.max(row.dataset.count, ticket.count);
  showUnread(row, read);
  if (list.firstElementChild !== row) list.prepend(row);
  byId("no-tickets").hidden = true;
}

function newRow(id) {
  const row = template.content.querySelector("li").cloneNode(true);
  row.dataset.id = id;
  row.dataset.count = row.dataset.read = 0;
  row.querySelector("a").href = url.replace("/0/", `/${id}/`);
  if (row.querySelector("a").pathname === location.pathname) row.querySelector("a").setAttribute("aria-current", "page");
  return row;
}

function showUnread(row, read = 0) {
  if (!row) return;
  row.dataset.read = Math.max(row.dataset.read, read);
  const unread = Math.max(0, row.dataset.count - row.dataset.read);
  const badge = row.querySelector(".unread");
  badge.hidden = unread === 0;
  badge.textContent = unread;
  badge.setAttribute("aria-label", `${unread} unread`);
}

for (const row of list.children) showUnread(row);
