// Constants and DOM functions for the panel's view. Python holds the conversation; a view is a copy
// that numbered messages keep up to date. Every element is created here from a fixed list of tags,
// and every text becomes a text node: nothing that an agent wrote is parsed as HTML or fetched.

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
// The letters that Python sends for the kinds of highlighted code (see highlight.py).
const CODE_KINDS = { k: "keyword", s: "string", c: "comment", n: "number", f: "name", b: "builtin" };
const INLINE = words("em strong s a code span");
const LONG_ELEMENTS = words("ul ol table tbody blockquote"); // built child by child
const CHUNK_BLOCKS = 32; // blocks of an answer per element that the browser can skip in layout
const TIMEOUT = 5000; // ms to wait for a response of the kernel
const MAX_TIMEOUT = 80_000; // ms; the timeout doubles up to this while the kernel does not respond
const SILENCE = 18_000; // ms without a message while an answer streams; then the view asks
const RECOVER = "run %load_ext swiftask_jupyter and this cell again; your text stays.";
const NO_RESPONSE = `No answer from the kernel: it may be busy. If it was restarted, ${RECOVER}`;
// If JupyterLab missed a kernel restart, it cannot reach the new kernel's widgets until a reload.
const NO_FIRST_RESPONSE = `${NO_RESPONSE} If you have, save, and reload the page.`;
// Requests that the user did not make; their success does not clear a warning.
const BACKGROUND = words("get_snapshot list_agents upload discard_upload get_source");
const MAX_SHOWN = 30; // exchanges kept in the page while the newest is in sight
const ICONS = {
  copy: "M9 9h10v11H9z M5 15V4h10", retry: "M19 12a7 7 0 1 1-2-5l2 2 M19 4v5h-5",
  edit: "M4 20l1-4L16 5l3 3L8 19z", good: "M7 11v9H4v-9z M7 11l4-7c2 0 2 2 1 5h7l-2 11H7",
  bad: "M7 13V4H4v9z M7 13l4 7c2 0 2-2 1-5h7L17 4H7", insert: "M4 5h16 M4 10h16 M12 14v6 M9 17h6",
  attach: "M8 12l6-6a3 3 0 0 1 4 4l-8 8a5 5 0 0 1-7-7l7-7", close: "M6 6l12 12 M18 6L6 18",
  send: "M12 20V5 M6 11l6-6 6 6", stop: "M7 7h10v10H7z", down: "M12 4v15 M6 13l6 6 6-6",
  check: "M5 13l5 5 9-11",
  save: "M12 4v11 M7 11l5 5 5-5 M5 20h14", comment: "M4 5h16v11H10l-4 4v-4H4z",
};

// Create an element. A function value becomes an event listener ("onclick" listens to "click").
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

function iconButton(name, label, onclick, more = {}) {
  const attributes = { type: "button", class: `st-icon-button st-${name}`, "aria-label": label, title: label };
  return make("button", { ...attributes, onclick, ...more }, icon(name));
}

// ---- An answer's tree ----
//
// A node is a string or [tag, attributes (optional), ...children]. Each element keeps its tree
// children in `kids` and, if it has a wrapper element, the wrapper in `outer`, because wrappers and
// chunks make the DOM differ from the tree.

function build(node, view) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, ...rest] = node;
  const attributes = rest[0]?.constructor === Object ? rest.shift() : {};
  if (MATH.has(tag)) return fill(mathElement(tag, attributes), rest, view);
  if (!TAGS.has(tag)) return document.createTextNode("");
  const level = /^h(\d)$/.exec(tag); // an answer's headings go below the panel's own
  const element = document.createElement(level ? `h${Math.min(6, Number(level[1]) + 3)}` : tag);
  if (level) element.className = `st-${tag}`;
  if (WITH_DIRECTION.has(tag)) element.dir = "auto";
  if (tag === "a") setLink(element, attributes.href);
  if (Number.isInteger(attributes.start)) element.start = attributes.start;
  if (["left", "center", "right"].includes(attributes.align)) element.className = `st-${attributes.align}`;
  if (attributes.class === "task") element.className = "st-task";
  fill(element, rest, view);
  if (tag === "pre") element.tabIndex = 0; // reachable by keyboard, because it may scroll
  if (tag === "pre") element.outer = codeBlock(element, view);
  if (tag === "table") element.outer = make("div", { class: "st-table", tabindex: 0, role: "group",
    "aria-label": "table" }, element);
  if (Array.isArray(attributes.runs)) highlightCode(element, attributes.runs);
  return element;
}

function mathElement(tag, attributes) {
  const element = document.createElementNS(MATHML, tag);
  for (const [name, value] of Object.entries(attributes))
    if (MATH_ATTRIBUTES.has(name)) element.setAttribute(name, String(value));
  return element;
}

function setLink(element, href) {
  if (typeof href !== "string" || !/^(https?:\/\/|mailto:)/i.test(href)) return;
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer nofollow";
}

function fill(element, nodes, view) {
  element.kids ??= [];
  for (const node of nodes) appendKid(element, build(node, view));
  return element;
}

// The blocks of an answer go into chunks, so that one more block in a long answer costs the browser
// no more than in a short one.
function appendKid(element, kid) {
  if (element.inChunks && element.kids.length % CHUNK_BLOCKS === 0) element.append(make("div", { class: "st-chunk" }));
  if (element.localName === "li") kid.removeAttribute?.("dir"); // else the item's dir=auto skips this text
  (element.inChunks ? element.lastChild : element).append(kid.outer ?? kid);
  element.kids.push(kid);
}

function removeKid(kid) {
  const node = kid.outer ?? kid, chunk = node.parentNode;
  node.remove();
  if (chunk?.className === "st-chunk" && !chunk.firstChild) chunk.remove();
}

// Like `fill`, but in steps, between which the browser may draw.
function* fillInSteps(element, nodes, view) {
  for (const node of nodes) {
    const first = node[1]?.constructor === Object ? 2 : 1, long = LONG_ELEMENTS.has(node[0]);
    appendKid(element, build(long ? node.slice(0, first) : node, view));
    if (long) yield* fillInSteps(element.kids.at(-1), node.slice(first), view);
    yield;
  }
}

// The text of an answer for a screen reader, with spaces between blocks. (`innerText` does this too,
// but makes the browser lay out everything that is out of sight.)
function spokenText(answer, limit) {
  const nodes = document.createTreeWalker(answer, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  let text = "";
  while (text.length <= limit && nodes.nextNode())
    text += nodes.currentNode.data ?? (INLINE.has(nodes.currentNode.localName) ? "" : " ");
  return text.replace(/\s+/g, " ").trim();
}

function codeBlock(pre, view) {
  const copy = iconButton("copy", "Copy code", () => copyText(view, copy, pre.textContent));
  const toolbar = make("div", { class: "st-code-toolbar" }, copy);
  const insert = () => view.lab.insertCell(pre.textContent);
  if (view.lab.hasCells) toolbar.append(iconButton("insert", "Insert as a cell below", insert));
  return make("div", { class: "st-code" }, toolbar, pre);
}

// Replace a code element's text by spans. `runs` is a flat list: gap, length, kind, gap, …
function highlightCode(code, runs) {
  const text = code.textContent, pieces = [];
  let at = 0;
  for (let i = 0; i < runs.length; i += 3) {
    const [gap, length, kind] = runs.slice(i, i + 3);
    if (gap) pieces.push(text.slice(at, at + gap));
    at += gap + length;
    const style = Object.hasOwn(CODE_KINDS, kind) ? `st-code-${CODE_KINDS[kind]}` : null;
    pieces.push(make("span", { class: style }, text.slice(at - length, at)));
  }
  code.replaceChildren(...pieces, text.slice(at));
}

// Apply one change to an answer's tree, in steps (see patches.py for the operations).
function* applyChange(root, [operation, path, ...rest], view) {
  const parent = path.slice(0, -1).reduce((element, i) => element.kids[i], root);
  const last = path.at(-1), node = path.length ? parent.kids[last] : root;
  if (operation === "+") node.appendData(rest[0]);
  else if (operation === "~") {
    node.deleteData(node.length - rest[0], rest[0]);
    node.appendData(rest[1]);
  } else if (operation === "i") yield* fillInSteps(node, rest[0], view);
  else if (operation === "d") node.kids.splice(rest[0]).forEach(removeKid);
  else if (operation === "r") {
    parent.kids[last] = build(rest[0], view);
    (node.outer ?? node).replaceWith(parent.kids[last].outer ?? parent.kids[last]);
  } else if (operation === "h") highlightCode(node, rest[0]);
}
