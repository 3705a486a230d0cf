// The pool: what is used of it, who has what, and the tree of queues.

import { attribute, cell, keyed, make, rowHeader, show, table, text } from "./dom.js";
import { changeQueue, described } from "./queues.js";
import { amount, count } from "./words.js";

const KINDS = ["millicores", "memory", "milligpus", "nvme"];

/** Views of the pools in the page's section. Returns what brings them up to date. */
export function poolView() {
  const pools = document.getElementById("pools");
  const problem = document.getElementById("config-error");
  const holders = table("Who has what", ["Who", "Executors", "Cores", "Waits for"]);
  document.getElementById("holders").append(make("h3", {}, "Who has what"), holders.whole);
  const nobody = make("p", { className: "nothing" }, "Nobody holds an executor now.");
  document.getElementById("holders").append(nobody);
  const queues = table("Queues", ["Queue", "Guaranteed", "In use", "Borrowed", "Waits for"]);
  document.getElementById("queues").append(make("h3", {}, "Queues"), queues.whole);

  return (pool, mine) => {
    show(problem, pool.config_error !== "");
    text(problem, pool.config_error && `The changed configuration is not in force: ${pool.config_error}`);
    keyed(pools, pool.pools, (each) => each.name, createPool, updatePool);
    const people = named(pool.holders, mine);
    show(holders.whole, people.length > 0);
    show(nobody, people.length === 0);
    keyed(holders.body, people, (each) => each.key, () => line(4, ["Executors", "Cores", "Waits for"]), updateHolder);
    const capacity = total(pool.pools.map((each) => each.capacity));
    keyed(queues.body, [...flat(pool.queues, 0, capacity)], (each) => each.queue.name, createQueue, updateQueue);
  };
}

function line(columns, labels) {
  const row = make("tr", { role: "row" }, rowHeader(), ...labels.map((label) => cell(label)));
  console.assert(row.children.length === columns);
  return row;
}

function fill(cells, words) {
  words.forEach((word, place) => text(cells[place], word));
}

function createPool() {
  const element = make("div", { className: "pool" });
  element.parts = {
    name: make("h3"),
    bar: make("div", { className: "bar", role: "img", "aria-label": "" }),
    held: make("i", { className: "held" }),
    promised: make("i", { className: "promised" }),
    words: make("p", { className: "note" }),
  };
  element.parts.bar.append(element.parts.held, element.parts.promised);
  element.append(element.parts.name, element.parts.bar, element.parts.words);
  return element;
}

/** The share of whatever resource is scarcest. */
function share(part, other, capacity) {
  return Math.max(0, ...KINDS.map((kind) => (capacity[kind] ? (part[kind] + other[kind]) / capacity[kind] : 0)));
}

const NOTHING = { millicores: 0, memory: 0, milligpus: 0, nvme: 0 };

function updatePool(element, pool) {
  const { name, bar, held, promised, words } = element.parts;
  const used = share(pool.held, NOTHING, pool.capacity);
  const with_promises = share(pool.held, pool.promised, pool.capacity);
  held.style.width = `${100 * Math.min(1, used)}%`;
  promised.style.width = `${100 * Math.max(0, Math.min(1, with_promises) - used)}%`;
  text(name, pool.name);
  const waiting = pool.waiting ? `; ${count(pool.waiting, "cluster")} ${pool.waiting === 1 ? "waits" : "wait"}` : "";
  const told = `${count(pool.executors, "executor")}: ${amount(pool.held)} of ${amount(pool.capacity)} in use${waiting}`;
  text(words, told);
  attribute(bar, "aria-label", `${Math.round(100 * used)} per cent in use`);
}

/** Who holds what; where names are not told, one's own entry is found by what one holds. */
function named(holders, mine) {
  let me = holders.find((each) => each.user === mine.name);
  me ??= holders.find((each) => each.user === "" && each.executors === mine.executors && each.lacking === mine.lacking);
  let others = 0;
  return holders.map((holder) => {
    if (holder === me) return { ...holder, who: "You", key: "me" };
    if (holder.user !== "") return { ...holder, who: holder.user, key: `user ${holder.user}` };
    others += 1;
    return { ...holder, who: "Somebody", key: `somebody ${others}` };
  });
}

function updateHolder(row, holder) {
  fill(row.children, [holder.who, String(holder.executors), String(holder.millicores / 1000), String(holder.lacking || "")]);
}

function total(amounts) {
  return Object.fromEntries(KINDS.map((kind) => [kind, amounts.reduce((sum, each) => sum + (each[kind] ?? 0), 0)]));
}

function* flat(queue, depth, capacity) {
  yield { queue, depth, capacity };
  for (const child of queue.children) yield* flat(child, depth + 1, capacity);
}

function createQueue() {
  const row = line(5, ["Guaranteed", "In use", "Borrowed", "Waits for"]);
  const change = make("button", { type: "button", className: "quiet" }, "Change");
  row.parts = { name: make("span", { className: "name" }), note: make("span", { className: "note" }), change };
  row.firstElementChild.append(row.parts.name, row.parts.note, change);
  change.addEventListener("click", () => changeQueue(row.item.queue.settings, row.item.capacity));
  return row;
}

function updateQueue(row, item) {
  const { queue, depth } = item;
  const { name, note, change } = row.parts;
  row.item = item;
  row.className = `depth-${Math.min(depth, 6)}`;
  const some = (resources) => KINDS.some((kind) => resources[kind]);
  text(name, queue.name);
  for (const element of [note, change]) show(element, queue.settings !== null);
  text(note, queue.settings && described(queue.settings, queue.children.length > 0));
  attribute(change, "aria-label", `Change queue ${queue.name}`);
  fill([...row.children].slice(1), [
    some(queue.guaranteed) ? amount(queue.guaranteed) : "",
    queue.executors || some(queue.used) ? amount(queue.used) : "",
    some(queue.guaranteed) && some(queue.borrowed) ? amount(queue.borrowed) : "",
    String(queue.lacking || ""),
  ]);
}
