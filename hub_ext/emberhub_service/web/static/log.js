// What was decided and done, the latest first.

import { read } from "./actions.js";
import { cell, keyed, make, rowHeader, show, table, text } from "./dom.js";

const MOST = 2000;

/** The log in the page's section. Returns what adds events. */
export function eventLog() {
  const events = new Map();
  const { whole, body } = table("Decisions", ["When", "What", "Whose", "By", "Why"]);
  document.getElementById("log").append(whole);
  const older = document.getElementById("older");

  older.addEventListener("click", async () => {
    const before = Math.min(...events.keys());
    const found = await read(`events?before=${before}&most=100`);
    if (found === null) return;
    if (found.events.length === 0) text(older, "There are no older ones");
    add(found.events);
  });

  function add(more) {
    for (const event of more) events.set(event.id, event);
    const latest = [...events.values()].sort((a, b) => b.id - a.id).slice(0, MOST);
    if (latest.length < events.size) for (const id of events.keys()) if (id < latest.at(-1).id) events.delete(id);
    show(older, latest.length > 0 && latest.length < MOST);
    keyed(body, latest, (event) => event.id, create, () => {});
  }
  return add;
}

function create(event) {
  const when = new Date(event.at * 1000);
  const time = make("time", { dateTime: when.toISOString(), title: when.toLocaleString() }, when.toLocaleTimeString());
  return make(
    "tr",
    { role: "row" },
    rowHeader(time),
    cell("What", event.rule ? `${event.kind} (rule ${event.rule})` : event.kind),
    cell("Whose", event.user ? `${event.name} of ${event.user}` : ""),
    cell("By", event.actor || "Emberhub"),
    cell("Why", event.text),
  );
}
