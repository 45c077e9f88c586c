/** The prices: of each symbol the newest quote, and the line that leads there. */

import { Cuttable, showBar } from "../bar.js";
import { connect } from "../django_fastws/fastws.js";
import { byId } from "../page.js";

const STALE = 3; // seconds without a quote
const [WIDTH, HEIGHT, MARGIN] = [240, 64, 4]; // of the line, as in the template

const page = byId("content");
const list = byId("quotes");
const template = byId("quote");
const age = byId("age");
const cards = new Map(); // by symbol
let heard = 0;

const live = connect("/ws/live", { WebSocket: Cuttable });
const market = live.join(page.dataset.liveRoom);

// All of them at first and after a cut; then the one that has changed.
market.on("latest", (quotes, changed) => {
  for (const symbol of changed === undefined ? [...quotes.keys()].sort() : [changed]) show(symbol, quotes.get(symbol));
  if (quotes.size) heard = performance.now();
  showAge();
});

function show(symbol, quote) {
  const part = (name) => cardOf(symbol).querySelector(`.${name}`);
  if (!quote) {
    cards.get(symbol)?.remove();
    cards.delete(symbol);
    return;
  }
  const { name, price, recent, ticks } = quote;
  const [first] = recent;
  const change = (price / first - 1) * 100;
  part("symbol").textContent = symbol;
  part("name").textContent = name;
  part("price").textContent = price.toFixed(2);
  part("change").textContent = `${change < 0 ? "▼ −" : "▲ +"}${Math.abs(change).toFixed(2)} %`;
  part("change").dataset.moved = change < 0 ? "down" : "up";
  part("line").dataset.moved = part("change").dataset.moved;
  part("line").setAttribute("aria-label", `From ${first.toFixed(2)} to ${price.toFixed(2)}`);
  part("ticks").textContent = `${ticks.toLocaleString()} ticks from the feed`;
  const points = pointsOf(recent);
  part("stroke").setAttribute("points", points);
  part("area").setAttribute("points", `0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`);
}

function cardOf(symbol) {
  if (!cards.has(symbol)) {
    const card = template.content.firstElementChild.cloneNode(true);
    cards.set(symbol, card);
    list.append(card);
  }
  return cards.get(symbol);
}

/** The points of a line, from the left to the right edge, between the lowest and the highest price. */
function pointsOf(prices) {
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const step = WIDTH / Math.max(1, prices.length - 1);
  const heightOf = (price) => MARGIN + ((high - price) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  return prices.map((price, index) => `${(index * step).toFixed(1)},${heightOf(price).toFixed(1)}`).join(" ");
}

function showAge() {
  if (!heard) return;
  const seconds = (performance.now() - heard) / 1000;
  const isStale = seconds > STALE;
  list.classList.toggle("stale", isStale);
  const text = isStale ? `Nothing was heard for ${Math.round(seconds)} s.` : "Live";
  if (age.textContent !== text) age.textContent = text;
}

setInterval(showAge, 1000);
showBar(live, market);
