/** The prices: each tick fills the table. */

import { connect } from "../django_fastws/fastws.js";
import { make, showStatus } from "../page.js";

const STALE = 3; // seconds without a tick

const page = document.getElementById("content");
const body = document.getElementById("prices");
const age = document.getElementById("age");
const rows = new Map();
const live = connect();
const market = live.join(page.dataset.liveRoom);
let heard = 0;

market.on("tick", ({ prices }) => {
  heard = performance.now();
  for (const [name, price] of Object.entries(prices)) show(name, price);
  showAge();
});

function show(name, price) {
  let row = rows.get(name);
  if (!row) {
    const line = make("tr");
    row = { first: price, last: price, price: make("td"), change: make("td") };
    const title = make("th", "", name);
    title.scope = "row";
    line.append(title, row.price, row.change);
    body.append(line);
    rows.set(name, row);
  }
  const change = (price / row.first - 1) * 100;
  row.price.textContent = price.toFixed(2);
  row.price.dataset.moved = price > row.last ? "up" : price < row.last ? "down" : "";
  row.change.textContent = `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} %`;
  row.last = price;
}

function showAge() {
  if (!heard) return;
  const seconds = (performance.now() - heard) / 1000;
  const stale = seconds > STALE;
  body.closest("table").classList.toggle("stale", stale);
  const text = stale ? `The feed has been silent for ${Math.round(seconds)} s.` : "Live";
  if (age.textContent !== text) age.textContent = text;
}

setInterval(showAge, 1000);
showStatus(live);
