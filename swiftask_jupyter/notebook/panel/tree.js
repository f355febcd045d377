// The panel's view. Python holds the conversation; a view is a copy of it, kept up by numbered
// changes. Each node is made here, of a known kind, and each text is a text node: nothing that an
// agent wrote is ever read as HTML, and nothing is fetched.

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";
const words = (text) => new Set(text.split(" "));
const TAGS = words("p h1 h2 h3 h4 h5 h6 blockquote pre code ul ol li table thead tbody tr th td"
  + " em strong s a br hr span");
const MATH = words("math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover"
  + " munderover mtable mtr mtd mstyle mpadded mphantom");
const MATH_ATTRIBUTES = words("display displaystyle mathvariant stretchy fence form linethickness"
  + " width columnalign");
const WITH_DIRECTION = words("p h1 h2 h3 h4 h5 h6 li th td");
const KINDS = words("k s c n f b");
const INLINE = words("em strong s a code span");
const LONG_ONES = words("ul ol table tbody blockquote"); // made child by child
const PART = 32; // blocks of an answer that the browser lays out, or leaves out, together
const PATIENCE = 5000; // ms without a word from the kernel
const QUIET = 18_000; // ms in which nothing is heard of an answer that is to come: is the kernel gone?
const MOST_PATIENCE = 80_000; // ms between two tries to reach it
const AGAIN = "run %load_ext swiftask_jupyter and this cell again; your text stays.";
const SILENT = `No answer from the kernel: it may be busy. If it was restarted, ${AGAIN}`;
// JupyterLab that wasn't told of a restart reaches no widget of the new kernel until it is loaded anew.
const NEVER = `${SILENT} If you have, save, and reload the page.`;
const BESIDE = words("hello agents upload discard source"); // calls that a user has not made as such
const MOST = 30; // exchanges kept while the newest is in sight
const ICONS = {
  copy: "M9 9h10v11H9z M5 15V4h10", retry: "M19 12a7 7 0 1 1-2-5l2 2 M19 4v5h-5",
  edit: "M4 20l1-4L16 5l3 3L8 19z", good: "M7 11v9H4v-9z M7 11l4-7c2 0 2 2 1 5h7l-2 11H7",
  bad: "M7 13V4H4v9z M7 13l4 7c2 0 2-2 1-5h7L17 4H7", insert: "M4 5h16 M4 10h16 M12 14v6 M9 17h6",
  attach: "M8 12l6-6a3 3 0 0 1 4 4l-8 8a5 5 0 0 1-7-7l7-7", close: "M6 6l12 12 M18 6L6 18",
  send: "M12 20V5 M6 11l6-6 6 6", stop: "M7 7h10v10H7z", down: "M12 4v15 M6 13l6 6 6-6",
  check: "M5 13l5 5 9-11",
  save: "M12 4v11 M7 11l5 5 5-5 M5 20h14", comment: "M4 5h16v11H10l-4 4v-4H4z",
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function icon(name) {
  const drawing = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

function button(name, label, onclick, more = {}) {
  const attributes = { type: "button", class: `st-icon st-${name}`, "aria-label": label, title: label };
  return make("button", { ...attributes, onclick, ...more }, icon(name));
}

// ---- an answer's tree ----

function build(node, view) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, ...rest] = node;
  const attributes = rest[0]?.constructor === Object ? rest.shift() : {};
  if (MATH.has(tag)) return fill(mathElement(tag, attributes), rest, view);
  if (!TAGS.has(tag)) return document.createTextNode("");
  const level = /^h(\d)$/.exec(tag); // below the panel's own headings
  const element = document.createElement(level ? `h${Math.min(6, Number(level[1]) + 3)}` : tag);
  if (level) element.className = `st-${tag}`;
  if (WITH_DIRECTION.has(tag)) element.dir = "auto";
  if (tag === "a") linkTo(element, attributes.href);
  if (Number.isInteger(attributes.start)) element.start = attributes.start;
  if (["left", "center", "right"].includes(attributes.align)) element.className = `st-${attributes.align}`;
  if (attributes.class === "task") element.className = "st-task";
  fill(element, rest, view);
  if (tag === "pre") element.tabIndex = 0; // it may scroll
  if (tag === "pre") element.outer = codeBlock(element, view);
  if (tag === "table") element.outer = make("div", { class: "st-table", tabindex: 0, role: "group",
    "aria-label": "table" }, element);
  if (Array.isArray(attributes.runs)) colour(element, attributes.runs);
  return element;
}

function mathElement(tag, attributes) {
  const element = document.createElementNS(MATHML, tag);
  for (const [name, value] of Object.entries(attributes))
    if (MATH_ATTRIBUTES.has(name)) element.setAttribute(name, String(value));
  return element;
}

function linkTo(element, href) {
  if (typeof href !== "string" || !/^(https?:\/\/|mailto:)/i.test(href)) return;
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer nofollow";
}

function fill(element, nodes, view) {
  element.kids ??= [];
  for (const node of nodes) put(element, build(node, view));
  return element;
}

// The blocks of an answer stand in parts, so that one more costs the browser no more in a long one.
function put(element, kid) {
  if (element.inParts && element.kids.length % PART === 0) element.append(make("div", { class: "st-part" }));
  if (element.localName === "li") kid.removeAttribute?.("dir"); // or the item would not go by its text
  (element.inParts ? element.lastChild : element).append(kid.outer ?? kid);
  element.kids.push(kid);
}

function take(kid) {
  const node = kid.outer ?? kid, part = node.parentNode;
  node.remove();
  if (part?.className === "st-part" && !part.firstChild) part.remove();
}

// Does the same as `fill`, in steps: between two of them the page may draw.
function* grow(element, nodes, view) {
  for (const node of nodes) {
    const first = node[1]?.constructor === Object ? 2 : 1, long = LONG_ONES.has(node[0]);
    put(element, build(long ? node.slice(0, first) : node, view));
    if (long) yield* grow(element.kids.at(-1), node.slice(first), view);
    yield;
  }
}

// What a screen reader says of an answer: each block is words of its own. (`innerText` knows that too,
// and has the browser lay out anew, each time, what is out of sight.)
function spoken(answer, most) {
  const nodes = document.createTreeWalker(answer, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  let text = "";
  while (text.length <= most && nodes.nextNode())
    text += nodes.currentNode.data ?? (INLINE.has(nodes.currentNode.localName) ? "" : " ");
  return text.replace(/\s+/g, " ").trim();
}

function codeBlock(pre, view) {
  const copy = button("copy", "Copy code", () => copyText(view, copy, pre.textContent));
  const bar = make("div", { class: "st-code-bar" }, copy);
  const insert = () => view.lab.insertCell(pre.textContent);
  if (view.lab.here) bar.append(button("insert", "Insert as a cell below", insert));
  return make("div", { class: "st-code" }, bar, pre);
}

function colour(code, runs) {
  const text = code.textContent, pieces = [];
  let at = 0;
  for (let i = 0; i < runs.length; i += 3) {
    const [gap, length, kind] = runs.slice(i, i + 3);
    if (gap) pieces.push(text.slice(at, at + gap));
    at += gap + length;
    const style = KINDS.has(kind) ? `st-${kind}` : null;
    pieces.push(make("span", { class: style }, text.slice(at - length, at)));
  }
  code.replaceChildren(...pieces, text.slice(at));
}

function* change(root, [kind, path, ...rest], view) {
  const parent = path.slice(0, -1).reduce((element, i) => element.kids[i], root);
  const last = path.at(-1), node = path.length ? parent.kids[last] : root;
  if (kind === "+") node.appendData(rest[0]);
  else if (kind === "~") {
    node.deleteData(node.length - rest[0], rest[0]);
    node.appendData(rest[1]);
  } else if (kind === "i") yield* grow(node, rest[0], view);
  else if (kind === "d") node.kids.splice(rest[0]).forEach(take);
  else if (kind === "r") {
    parent.kids[last] = build(rest[0], view);
    (node.outer ?? node).replaceWith(parent.kids[last].outer ?? parent.kids[last]);
  } else if (kind === "h") colour(node, rest[0]);
}
