// The panel of one cluster. `state` is made by panel.py; what is pressed goes back as {do: …}. Nothing is asked for:
// the kernel sends when something has changed. A timer runs only while something on the picture moves.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640, LANE = 12, DEMAND = 26, LEFT = 34;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = !text;
}

function button(label, press, described) {
  const made = element("button", { type: "button" }, label);
  if (described) made.setAttribute("aria-label", described);
  made.addEventListener("click", () => {
    made.disabled = true;
    press();
    setTimeout(() => { made.disabled = false; }, 3000);
  });
  return made;
}

// --- the timeline ---

function draw(svg, timeline, passed) {
  const lanes = timeline.lanes;
  const height = DEMAND + lanes.length * LANE + 14;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
  const x = (age) => LEFT + (WIDTH - LEFT) * (1 - Math.min(Math.max(age, 0), timeline.window) / timeline.window);
  const drawn = [];
  const most = Math.max(1, ...timeline.demand.map((step) => Math.max(step[1], step[2])));
  const y = (number) => DEMAND - 4 - (DEMAND - 8) * number / most;
  for (const [column, kind] of [[1, "wanted"], [2, "ran"]]) {
    let path = "";
    timeline.demand.forEach((step, index) => {
      const at = x(step[0] + passed);
      path += index ? `H${at.toFixed(1)}V${y(step[column]).toFixed(1)}` : `M${at.toFixed(1)},${y(step[column]).toFixed(1)}`;
    });
    if (path) drawn.push(shape("path", { class: kind, d: `${path}H${WIDTH}` }));
  }
  drawn.push(shape("text", { x: 0, y: 12 }, String(most)));
  lanes.forEach((lane, index) => {
    const top = DEMAND + index * LANE;
    drawn.push(shape("text", { x: 0, y: top + LANE - 3 }, lane.name));
    for (const [begin, end, tasks] of lane.spans) {
      const from = x(begin + passed), to = end === null ? WIDTH : x(end + passed);
      if (to <= LEFT) continue;
      drawn.push(shape("rect", {
        class: tasks ? "busy" : "idle", x: from.toFixed(1), y: top + 1.5, height: LANE - 3,
        width: Math.max(1, to - from).toFixed(1),
      }));
    }
  });
  const foot = `${timeline.window} s ago`;
  drawn.push(shape("text", { x: LEFT, y: height - 2 }, foot));
  drawn.push(shape("text", { x: WIDTH, y: height - 2, "text-anchor": "end" }, timeline.more ? `and ${timeline.more} more; now` : "now"));
  svg.replaceChildren(...drawn);
}

// --- executors that are asked back ---

function reclaimItem(send) {
  const text = element("span"), left = element("strong", { class: "countdown" });
  const item = element("li", {}, text, " ", left, " ");
  item.update = (notice, passed) => {
    write(text, notice.says);
    left.textContent = `${Math.max(0, Math.ceil(notice.seconds - passed))} s left`;
    item.later ??= item.appendChild(button("Keep a little longer", () => send({ do: "later", executor: notice.executor }),
      `Keep executor ${notice.executor} a little longer`));
    item.another ??= item.appendChild(button("Give another", () => send({ do: "another", executor: notice.executor }),
      `Give another executor instead of ${notice.executor}`));
    item.later.hidden = !notice.later;
    item.another.hidden = !notice.another;
  };
  return item;
}

function render({ model, el }) {
  const send = (message) => model.send(message);
  const title = element("strong"), badge = element("span", { class: "badge" });
  const ui = element("a", { target: "_blank", rel: "noopener" }, "Spark's own pages");
  const start = button("Start", () => send({ do: "start" })), stop = button("Stop", () => send({ do: "stop" }));
  const problem = element("p", { role: "alert" }), message = element("p");
  const reclaims = element("ul", { "aria-label": "Executors that are asked back", "aria-live": "polite" });
  const facts = element("dl"), said = element("p", { role: "status" });
  const line = element("div", { class: "line" }), standing = element("p"), reason = element("p"), help = element("p");
  const change = button("", () => send({ do: "change", profile: model.get("state").line.change.profile }));
  const price = element("p", { class: "small" });
  line.append(standing, reason, help, change, price);
  const svg = shape("svg", { role: "img", class: "timeline" });
  const root = element("section", { class: "emberhub-panel", "aria-live": "off" },
    element("header", {}, title, badge, ui, start, stop), problem, message, reclaims, line, facts, svg, said);
  el.appendChild(root);

  const items = new Map();
  let arrived = performance.now(), timer = null;

  function move() {
    const state = model.get("state"), passed = (performance.now() - arrived) / 1000;
    for (const notice of state.reclaims) items.get(notice.executor)?.update(notice, passed);
    draw(svg, state.timeline, passed);
    const newest = Math.min(...state.timeline.lanes.flatMap((lane) => lane.spans.map((span) => span[1] ?? 0)), Infinity);
    const moves = state.reclaims.length || newest + passed < state.timeline.window;
    if (moves && timer === null) timer = setInterval(() => document.hidden || move(), 1000);
    if (!moves && timer !== null) { clearInterval(timer); timer = null; }
  }

  function show() {
    const state = model.get("state");
    if (!state.name) return;
    arrived = performance.now();
    root.setAttribute("aria-label", state.title);
    write(title, state.title);
    write(badge, state.state_text);
    badge.dataset.state = state.state;
    ui.hidden = !state.ui;
    if (state.ui) ui.setAttribute("href", state.ui);
    start.hidden = !state.can.start;
    stop.hidden = !state.can.stop;
    write(problem, state.problem);
    write(message, state.message);
    for (const [name, item] of items) {
      if (!state.reclaims.some((notice) => notice.executor === name)) { item.remove(); items.delete(name); }
    }
    for (const notice of state.reclaims) {
      if (!items.has(notice.executor)) items.set(notice.executor, reclaims.appendChild(reclaimItem(send)));
    }
    reclaims.hidden = !state.reclaims.length;
    line.hidden = !state.line;
    write(standing, state.line?.facts ? `${state.line.facts}.` : "");
    write(reason, state.line?.reason ?? "");
    write(help, state.line?.cheapest ?? "");
    change.hidden = !state.line?.change;
    change.textContent = state.line?.change?.label ?? "";
    write(price, state.line?.change?.says ?? "");
    if (facts.children.length !== state.facts.length) {
      facts.replaceChildren(...state.facts.map(() => element("div", {}, element("dt"), element("dd"), element("dd", { class: "small" }))));
    }
    state.facts.forEach((fact, index) => fact.forEach((text, part) => write(facts.children[index].children[part], text)));
    svg.setAttribute("aria-label", state.summary);
    svg.toggleAttribute("hidden", !state.timeline.lanes.length);
    move();
  }

  const hear = () => write(said, model.get("said"));
  model.on("change:state", show);
  model.on("change:said", hear);
  show();
  hear();
  send({ do: "open" });
  return () => {
    if (timer !== null) clearInterval(timer);
    model.off("change:state", show);
    model.off("change:said", hear);
    send({ do: "close" });
  };
}

export default { render };
