// Changing a queue's settings, for admins. The service checks them by the rules of its configuration file.

import { ask, carryOut } from "./actions.js";
import { make, show, text } from "./dom.js";
import { amount } from "./words.js";

const KINDS = { cores: "millicores", memory: "memory", gpus: "milligpus", nvme: "nvme" };
const LABELS = { cores: "Cores", memory: "Memory", gpus: "GPUs", nvme: "NVMe" };
const POLICIES = { "user-fair": "users share equally", fair: "clusters share equally", fifo: "first come, first served" };
const $ = (id) => document.getElementById(id);

let shown = null;

/** An amount as one writes it in the configuration file: cores and GPUs as numbers, bytes with a unit. */
function written(kind, value) {
  if (kind === "cores" || kind === "gpus") return String(value / 1000);
  for (const [unit, size] of [["G", 2 ** 30], ["M", 2 ** 20]]) if (value % size === 0) return `${value / size}${unit}`;
  return String(value);
}

/** The fields of one fieldset, filled; kinds that are nowhere to be had are not asked for. */
function fill(fieldset, resources, capacity) {
  fieldset.querySelectorAll("label").forEach((label) => label.remove());
  for (const [kind, field] of Object.entries(KINDS)) {
    if (!capacity[field] && !resources[field]) continue;
    const example = kind === "memory" || kind === "nvme" ? "4G" : "2";
    const input = make("input", { type: "text", name: kind, placeholder: `as ${example}`, autocomplete: "off", spellcheck: false });
    input.value = input.defaultValue = field in resources ? written(kind, resources[field]) : "";
    fieldset.append(make("label", {}, `${LABELS[kind]} `, input));
  }
}

/** What a fieldset says now; undefined where nothing was changed in it. */
function amounts(fieldset) {
  const inputs = [...fieldset.querySelectorAll("input")];
  if (inputs.every((input) => input.value === input.defaultValue)) return undefined;
  const given = inputs.filter((input) => input.value.trim() !== "");
  return Object.fromEntries(
    given.map((input) => [input.name, Number.isFinite(Number(input.value)) ? Number(input.value) : input.value.trim()]),
  );
}

/** What was changed in the dialog. */
function changes() {
  const { policy, weight, borrows } = shown;
  const found = { name: shown.name, guaranteed: amounts($("queue-guaranteed")), max: amounts($("queue-max")) };
  if ($("queue-policy").value !== policy) found.policy = $("queue-policy").value;
  if ($("queue-weight").valueAsNumber !== weight) found.weight = $("queue-weight").valueAsNumber || 0;
  if ($("queue-borrows").checked !== borrows) found.borrows = $("queue-borrows").checked;
  return found;
}

const send = (content) => carryOut($("queue"), () => ask("PATCH", "queues", content));

/** Make the dialog work. */
export function prepareQueues() {
  for (const [policy, words] of Object.entries(POLICIES)) {
    $("queue-policy").append(make("option", { value: policy }, `${words} (${policy})`));
  }
  $("queue-no").addEventListener("click", () => $("queue").close());
  $("queue-file").addEventListener("click", () =>
    send({ name: shown.name, ...Object.fromEntries(shown.changed.map((kind) => [kind, null])) }),
  );
  $("queue").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(changes());
  });
}

/** Ask what is to be changed of a queue; `capacity` is all that there is. */
export function changeQueue(settings, capacity) {
  shown = settings;
  text($("queue-title"), `Queue ${settings.name}`);
  $("queue-policy").value = settings.policy;
  $("queue-weight").value = settings.weight;
  fill($("queue-guaranteed"), settings.guaranteed, capacity);
  fill($("queue-max"), settings.max, capacity);
  $("queue-borrows").checked = settings.borrows;
  text($("queue-problem"), "");
  show($("queue-file"), settings.changed.length > 0);
  $("queue").showModal();
  $("queue-policy").focus();
}

/** A queue's settings as a line, for those who may change them. Above other queues, these share, not people. */
export function described(settings, above) {
  const parts = [above && settings.policy !== "fifo" ? "queues share by weight" : POLICIES[settings.policy]];
  if (settings.weight !== 1) parts.push(`weight ${settings.weight}`);
  if (Object.keys(settings.max).length) parts.push(`at most ${amount(settings.max)}`);
  if (!settings.borrows) parts.push("borrows nothing");
  if (settings.changed.length) parts.push(`changed here: ${settings.changed.join(", ")}`);
  return parts.join("; ");
}
