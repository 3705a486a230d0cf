// How things are said. Pure.

const STATES = {
  pending: "waits to start",
  starting: "starting",
  running: "running",
  disconnected: "not heard",
  stopping: "stopping",
  stopped: "stopped",
  failed: "failed",
};

const GIB = 2 ** 30;

export const stateOf = (row) => STATES[row.state] ?? row.state;

/** Whether a driver exists, or is about to. */
export const alive = (row) => !["stopped", "failed", "stopping"].includes(row.state);

/** Whether somebody should have a look. */
export const troubled = (row) => row.unmet !== null || ["failed", "disconnected"].includes(row.state);

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** A span of time, as one would say it. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return count(whole, "second");
  if (whole < 5400) return count(Math.round(whole / 60), "minute");
  return count(Math.round(whole / 3600), "hour");
}

export function bytes(amount) {
  if (amount >= GIB) return `${+(amount / GIB).toPrecision(3)} GiB`;
  return `${Math.round(amount / 2 ** 20)} MiB`;
}

/** An amount of resources; kinds that are zero are left out. */
export function amount(resources) {
  const parts = [];
  if (resources.millicores) parts.push(count(resources.millicores / 1000, "core"));
  if (resources.memory) parts.push(bytes(resources.memory));
  if (resources.milligpus) parts.push(count(resources.milligpus / 1000, "GPU"));
  if (resources.nvme) parts.push(`${bytes(resources.nvme)} NVMe`);
  return parts.join(", ") || "nothing";
}

/** What an executor count means: running, on their way, wanted. */
export function executors(row) {
  if (!alive(row) && row.running === 0) return "none";
  const coming = Math.max(0, row.granted - row.running);
  const parts = [row.running === 1 ? "1 runs" : `${row.running} run`];
  if (coming) parts.push(`${coming} on ${coming === 1 ? "its" : "their"} way`);
  parts.push(row.wanted ? `${row.wanted} wanted` : "no work");
  return parts.join(", ");
}

/** Why a cluster waits, and for how long still; `age` is the age in seconds of what is known. */
export function wait(row, age) {
  if (row.unmet === null) return [];
  const lines = [row.unmet.reason];
  const details = [];
  if (row.unmet.place > 0) details.push(`number ${row.unmet.place} in line`);
  if (row.waited !== null) details.push(`has waited for ${span(row.waited + age)}`);
  if (row.unmet.estimate !== null) details.push(`the next one in about ${span(row.unmet.estimate - age)}`);
  if (details.length) lines.push(sentence(details.join(", ")));
  if (row.unmet.cheapest) lines.push(row.unmet.cheapest);
  return lines;
}

/** What is about to be taken. */
export function reclaims(row, age) {
  return row.reclaims.map((each) => `Executor ${each.executor} goes in ${span(each.deadline - age)}: ${each.reason}`);
}

export const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
