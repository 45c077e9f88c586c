/** The plan: who has which table; and the form, whose submit is a call. */

import { Cuttable, showBar } from "../bar.js";
import { connect } from "../django_fastws/fastws.js";
import { byId, make } from "../page.js";

const page = byId("content");
const form = byId("book");
const result = byId("result");
const places = [...byId("plan").querySelectorAll(".place")];
const bookings = new Map(); // by their number
const NUMBERS = ["table", "guests"]; // of the form

const live = connect("/ws/live", { WebSocket: Cuttable });
const tables = live.join(page.dataset.liveRoom);

// ── The plan ──────────────────────────────────────────────────────────────────────────────────────────────────────────

tables.on("state", (all) => {
  bookings.clear();
  for (const booking of all) bookings.set(booking.id, booking);
  showPlan();
});
tables.on("booked", (booking) => {
  bookings.set(booking.id, booking);
  showPlan();
});
tables.on("cancelled", ({ id }) => {
  bookings.delete(id);
  showPlan();
});

const bookingOf = ({ time, table }) =>
  [...bookings.values()].find((booking) => booking.time === time && booking.table === Number(table));

function showPlan() {
  for (const place of places) {
    const booking = bookingOf(place.dataset);
    const state = !booking ? "free" : booking.key === page.dataset.key ? "mine" : "taken";
    place.dataset.state = state;
    place.disabled = state === "taken";
    place.textContent = { free: "free", mine: "yours", taken: "taken" }[state];
    place.title = { free: "Choose", mine: "Cancel this booking", taken: "" }[state];
    const { time, table } = place.dataset;
    place.setAttribute("aria-label", `Table ${table} at ${time}: ${place.textContent}`);
    const isChosen = state === "free" && form.elements.time.value === time && form.elements.table.value === table;
    place.setAttribute("aria-pressed", String(isChosen));
  }
}

for (const place of places) {
  place.addEventListener("click", async () => {
    const booking = bookingOf(place.dataset);
    if (!booking) {
      form.elements.time.value = place.dataset.time;
      form.elements.table.value = place.dataset.table;
      showPlan();
      form.elements[form.elements.guests.value ? "name" : "guests"].focus();
      return;
    }
    if (!confirm(`Cancel table ${booking.table} at ${booking.time}?`)) return;
    try {
      await tables.call("cancel", { id: booking.id });
      say("done", "Cancelled.");
    } catch (error) {
      say("failed", error.message);
    }
  });
}
form.addEventListener("change", showPlan);

// ── The form ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The values as the server's types want them: numbers as numbers, and nothing for what is empty. */
function wish() {
  const filled = [...new FormData(form)].map(([name, value]) => [name, String(value)]).filter(([, value]) => value.trim());
  return Object.fromEntries(filled.map(([name, value]) => [name, NUMBERS.includes(name) && !isNaN(+value) ? +value : value]));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const submit = form.querySelector("[type=submit]");
  submit.disabled = true;
  showProblems({});
  say("", "");
  try {
    say("done", await tables.call("book", wish(), { once: true })); // it is booked once, even if the connection breaks
    form.reset();
    showPlan();
  } catch (error) {
    showProblems(error.fields ?? {});
    const isOfFields = Object.keys(error.fields ?? {}).some(Boolean);
    say("failed", isOfFields ? "Nothing is booked yet." : error.message);
  } finally {
    submit.disabled = false;
  }
});

/** Put each problem beside its field, and the cursor into the first. */
function showProblems(fields) {
  for (const old of form.querySelectorAll(".problem")) old.remove();
  for (const input of form.querySelectorAll("input, select")) {
    const problems = fields[input.name];
    input.toggleAttribute("aria-invalid", false);
    input.removeAttribute("aria-describedby");
    if (!problems) continue;
    const problem = make("p", "problem", problems.join(" "));
    problem.id = `${input.id}_problem`;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", problem.id);
    input.after(problem);
  }
  form.querySelector("[aria-invalid]")?.focus();
}

function say(state, text) {
  result.dataset.state = state;
  result.textContent = text;
}

showBar(live, tables);
