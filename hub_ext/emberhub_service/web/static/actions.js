// What people do on the page: stop, scale, start. The service decides whether they may.

import { show, text } from "./dom.js";
import { count } from "./words.js";

const body = document.body.dataset;
const $ = (id) => document.getElementById(id);

/** One request to the API that changes something; returns what went wrong as a sentence, or an empty string. */
export async function ask(method, path, content) {
  try {
    const answer = await fetch(`${body.prefix}api/${path}`, {
      method,
      headers: { "X-XSRFToken": body.xsrf, "Content-Type": "application/json" },
      body: content === undefined ? undefined : JSON.stringify(content),
    });
    if (answer.ok) return "";
    return (await answer.json()).message;
  } catch {
    return "The service does not answer at the moment; try again soon.";
  }
}

/** Do what a dialog asks for: its buttons rest meanwhile, and it closes, or says what went wrong. */
export async function carryOut(dialog, act) {
  const [focused, buttons] = [document.activeElement, dialog.querySelectorAll("button")];
  buttons.forEach((button) => (button.disabled = true));
  const problem = await act();
  buttons.forEach((button) => (button.disabled = false));
  text(dialog.querySelector("[role=alert]"), problem);
  if (problem) focused.focus();
  else dialog.close();
}

let pending = null;

function open(title, words, yes, range, act) {
  const dialog = $("ask");
  text($("ask-title"), title);
  text($("ask-text"), words);
  text($("ask-yes"), yes);
  text($("ask-problem"), "");
  $("ask-range").hidden = range === null;
  $("ask-min").disabled = $("ask-max").disabled = range === null;
  if (range !== null) [$("ask-min").value, $("ask-max").value] = [range.min, range.max];
  pending = act;
  dialog.showModal();
  (range === null ? $("ask-yes") : $("ask-max")).focus();
}

/** Make the dialog work. */
export function prepare() {
  $("ask-no").addEventListener("click", () => $("ask").close());
  $("ask").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    carryOut($("ask"), pending);
  });
}

export function stop(row, whose) {
  const held = row.granted ? ` ${count(row.granted, "executor")} will be free for others.` : "";
  open(`Stop ${whose}?`, `Queries that run are ended.${held}`, "Stop it", null, () => ask("DELETE", `clusters/${row.id}`));
}

export function scale(row, whose) {
  const words = "How many executors it may have. What is set aside as the least, nobody else can use.";
  open(`Executors of ${whose}`, words, "Change", row.executors, () =>
    ask("PATCH", `clusters/${row.id}`, {
      executors: { min: $("ask-min").valueAsNumber || 0, max: $("ask-max").valueAsNumber || 0 },
    }),
  );
}

/** Start one's own cluster again; what goes wrong is shown at `place`. */
export async function start(row, place) {
  const problem = await ask("POST", "clusters", { name: row.name });
  text(place, problem);
  show(place, problem !== "");
}

/** Documents of the API that are only read. Returns null where they cannot be had. */
export async function read(path) {
  try {
    const answer = await fetch(`${body.prefix}api/${path}`, { headers: { "X-XSRFToken": body.xsrf } });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
