// Making and updating elements. Text only ever goes in as text, so that nothing that people have named is markup.

/** An element with properties, and children that are elements or texts. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Set an element's text if it differs: what is read out and what is selected stays as it is otherwise. */
export function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Set an attribute if it differs; null removes it. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Show or hide an element; what has the focus is never hidden. */
export function show(element, visible) {
  const hide = !visible && !element.contains(document.activeElement);
  if (element.hidden !== hide) element.hidden = hide;
}

/**
 * Bring the children of `parent` in line with `items`. Each child belongs to the key of its item for as long as that
 * is there, and is moved only where the order has changed, so that the focus stays where it was.
 */
export function keyed(parent, items, key, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = known.get(name);
    known.delete(name);
    if (child === undefined) {
      child = create(item);
      child.dataset.key = name;
    }
    if (child === before) before = before.nextElementSibling;
    else parent.insertBefore(child, before);
    update(child, item);
  }
  for (const child of known.values()) child.remove();
}

/** A table with a caption for those who cannot see it, and a header for each column. */
export function table(caption, columns) {
  const head = make("tr", { role: "row" }, ...columns.map((each) => make("th", { scope: "col", role: "columnheader" }, each)));
  const body = make("tbody", { role: "rowgroup" });
  const whole = make(
    "table",
    { role: "table" },
    make("caption", { className: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, head),
    body,
  );
  return { whole, body };
}

/** A cell that carries its column's name along, for narrow screens where there are no columns. */
export function cell(label, ...children) {
  return make("td", { role: "cell", "data-label": label }, ...children);
}

/** The cell that names its row. */
export function rowHeader(...children) {
  return make("th", { scope: "row", role: "rowheader" }, ...children);
}
