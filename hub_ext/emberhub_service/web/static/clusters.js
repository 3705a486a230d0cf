// Tables of clusters: one's own, and those that one looks after.

import { attribute, cell, keyed, make, rowHeader, show, table, text } from "./dom.js";
import { scale, start, stop } from "./actions.js";
import { alive, amount, executors, reclaims, stateOf, wait } from "./words.js";

const MOST_BLOCKS = 24;

/** A table in `place`. `mine` says whether the rows are one's own; `prefix` is the service's path. */
export function clusterTable(place, { caption, mine, prefix }) {
  const columns = [mine ? "Cluster" : "User", "State", "Executors", "Waiting", "Do"];
  const { whole, body } = table(caption, columns);
  place.append(whole);

  function create(row) {
    const parts = {
      name: make("span", { className: "name" }),
      note: make("span", { className: "note" }),
      state: make("span", { className: "state" }),
      message: make("p", { className: "message" }),
      problem: make("p", { className: "problem", role: "alert", hidden: true }),
      blocks: make("span", { className: "blocks", role: "img", "aria-label": "" }),
      counts: make("span", { className: "note" }),
      wait: make("div", { className: "wait" }),
      ui: make("a", { target: "_blank", rel: "noopener" }, "Spark's pages"),
      scale: make("button", { type: "button", className: "quiet" }, "Scale"),
      stop: make("button", { type: "button", className: "danger" }, "Stop"),
      start: make("button", { type: "button" }, "Start"),
    };
    const element = make(
      "tr",
      { role: "row" },
      rowHeader(parts.name, parts.note),
      cell("State", parts.state, parts.message, parts.problem),
      cell("Executors", parts.blocks, parts.counts),
      cell("Waiting", parts.wait),
      cell("Do", make("span", { className: "buttons" }, parts.start, parts.scale, parts.stop, parts.ui)),
    );
    element.parts = parts;
    parts.stop.addEventListener("click", () => stop(element.row, whose(element.row)));
    parts.scale.addEventListener("click", () => scale(element.row, whose(element.row)));
    parts.start.addEventListener("click", () => start(element.row, parts.problem));
    parts.ui.href = `${prefix}clusters/${encodeURIComponent(row.id)}/ui/`;
    return element;
  }

  const whose = (row) => (mine ? row.name : `${row.name} of ${row.user}`);

  function update(element, { row, shown, ui, age }) {
    const { parts } = element;
    element.row = row;
    show(element, shown);
    text(parts.name, mine ? row.name : row.user);
    text(parts.note, mine ? `${row.profile}, ${amount(row.executor)} each` : `${row.name}, ${row.queue}`);
    text(parts.state, stateOf(row));
    attribute(parts.state, "data-state", row.state);
    // Why it waits stands in its own column.
    text(parts.message, row.unmet === null ? row.message : "");
    blocks(parts.blocks, row);
    text(parts.counts, executors(row) + (row.fair === null ? "" : `, fair share ${row.fair}`));
    keyed(
      parts.wait,
      [...wait(row, age), ...reclaims(row, age)].map((line, place) => ({ line, place })),
      (each) => each.place,
      () => make("p"),
      (line, each) => text(line, each.line),
    );
    const running = alive(row);
    show(parts.stop, running);
    show(parts.scale, running);
    show(parts.ui, ui && row.ready);
    show(parts.start, mine && ["stopped", "failed"].includes(row.state));
    for (const [name, button] of Object.entries({ Stop: parts.stop, Scale: parts.scale, Start: parts.start })) {
      attribute(button, "aria-label", `${name} ${whose(row)}`);
    }
    attribute(parts.ui, "aria-label", `Spark's pages of ${whose(row)}, in a new window`);
  }

  /** `items` are `{row, shown, ui, age}`. */
  return (items) => {
    show(whole, items.length > 0);
    keyed(body, items, (item) => item.row.id, create, update);
  };
}

/** A block for each executor: busy, idle, on its way, lacking. */
function blocks(place, row) {
  const lacking = row.unmet === null ? 0 : row.unmet.executors;
  const kinds = [
    ...Array(row.busy).fill("busy"),
    ...Array(Math.max(0, row.running - row.busy)).fill("idle"),
    ...Array(Math.max(0, row.granted - row.running)).fill("coming"),
    ...Array(lacking).fill("lacking"),
  ].slice(0, MOST_BLOCKS);
  keyed(
    place,
    kinds.map((kind, number) => ({ kind, number })),
    (each) => each.number,
    () => make("i"),
    (block, each) => (block.className = each.kind),
  );
  const told = `${row.busy} busy, ${Math.max(0, row.running - row.busy)} idle, ${lacking} lacking`;
  attribute(place, "aria-label", told);
  show(place, kinds.length > 0);
}
