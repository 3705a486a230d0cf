// The page: what the service tells, kept and shown.

import { prepare } from "./actions.js";
import { clusterTable } from "./clusters.js";
import { show, text } from "./dom.js";
import { eventLog } from "./log.js";
import { poolView } from "./pool.js";
import { prepareQueues } from "./queues.js";
import { connect } from "./socket.js";
import { count, executors, stateOf, troubled } from "./words.js";

const { prefix, xsrf } = document.body.dataset;
const $ = (id) => document.getElementById(id);
const now = () => performance.now() / 1000;

const known = { me: null, rows: new Map(), pool: null };
const tables = {
  mine: clusterTable(document.querySelector("#mine .clusters"), { caption: "My clusters", mine: true, prefix }),
  others: clusterTable(document.querySelector("#others .clusters"), { caption: "Others' clusters", mine: false, prefix }),
};
const showPool = poolView();
const addEvents = eventLog();

function take(update) {
  if (update.whole) known.rows.clear();
  known.me = update.me ?? known.me;
  known.pool = update.pool ?? known.pool;
  for (const row of update.rows ?? []) {
    announce(known.rows.get(row.id)?.row, row);
    known.rows.set(row.id, { row, at: now() });
  }
  for (const id of update.gone ?? []) known.rows.delete(id);
  if (known.me.admin) {
    addEvents(update.events ?? []);
    for (const element of [$("decisions"), document.querySelector("[data-for=decisions]")]) show(element, true);
  }
  draw();
  $("main").setAttribute("aria-busy", "false");
}

/** Tell people who do not see the page what has become of their own clusters. */
function announce(before, row) {
  if (before === undefined || row.user !== known.me.name) return;
  if (before.state !== row.state || before.running !== row.running) {
    text($("said"), `${row.name}: ${stateOf(row)}; ${executors(row)}.`);
  }
}

function draw() {
  const { me, rows, pool } = known;
  const time = now();
  const all = [...rows.values()].map(({ row, at }) => ({ row, age: time - at, shown: true, ui: me.admin }));
  const mine = all.filter(({ row }) => row.user === me.name).map((item) => ({ ...item, ui: true }));
  const others = all.filter(({ row }) => row.user !== me.name);
  const order = (item) => `${item.row.user} ${item.row.name}`;
  for (const list of [mine, others]) list.sort((a, b) => order(a).localeCompare(order(b)));
  tables.mine(mine);
  show(document.querySelector("#mine .nothing"), mine.length === 0);
  drawOthers(me, others);
  if (pool !== null) showPool(pool, totals(me, mine));
}

function totals(me, mine) {
  const sum = (of) => mine.reduce((total, { row }) => total + of(row), 0);
  return { name: me.name, executors: sum((row) => row.running), lacking: sum((row) => row.unmet?.executors ?? 0) };
}

function drawOthers(me, others) {
  const looksAfter = me.admin || me.instructs.length > 0;
  for (const element of [$("others"), document.querySelector("[data-for=others]")]) show(element, looksAfter);
  if (!looksAfter) return;
  const title = me.admin ? "All clusters" : "The class";
  text($("others-title"), title);
  text(document.querySelector("[data-for=others]"), title);
  const only = $("trouble").checked;
  const inState = (...states) => others.filter(({ row }) => states.includes(row.state)).length;
  const waiting = others.filter(({ row }) => row.unmet !== null).length;
  const parts = [
    `${inState("running")} running`,
    `${inState("pending", "starting")} starting`,
    `${waiting} waiting for executors`,
    `${inState("disconnected")} not heard`,
    `${inState("failed")} failed`,
  ];
  text(document.querySelector("#others .summary"), `${count(others.length, "cluster")}: ${parts.join(", ")}.`);
  tables.others(others.map((item) => ({ ...item, shown: !only || troubled(item.row) })));
}

/** Countdowns go on between messages, where there are any. */
function tick() {
  if (document.hidden || known.me === null) return;
  if ([...known.rows.values()].some(({ row }) => row.unmet !== null || row.reclaims.length > 0)) draw();
}

function onLink(state) {
  show($("link"), state !== "open");
  if (state === "lost") text($("link"), "The service does not answer at the moment. What you see may be old; the page tries again.");
  if (state === "many") text($("link"), "You have too many of these pages open: close one, and this one goes on.");
  if (state === "login") {
    text($("link"), "You are not logged in any more. The page asks the hub again.");
    // Once: a hub that lets nobody in must not be asked for ever.
    const last = Number(sessionStorage.getItem("emberhub-login") ?? 0);
    if (Date.now() - last > 30000) {
      sessionStorage.setItem("emberhub-login", String(Date.now()));
      location.reload();
    }
  }
}

prepare();
prepareQueues();
$("trouble").addEventListener("change", draw);
setInterval(tick, 1000);
connect(prefix, xsrf, take, onLink);
