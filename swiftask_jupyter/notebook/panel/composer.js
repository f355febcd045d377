// Where the user writes: the text, the files that go along, an earlier message to ask again.

const CHUNK = 512 * 1024;
// What was being written in views that are gone, by the place of their conversation: the next takes
// it, as when the cell is run again. Each view is a module of its own, so this is the page's.
const DRAFTS = globalThis[Symbol.for("swiftask.drafts")] ??= new Map();

class Composer {
  constructor(view) {
    Object.assign(this, { view, files: new Map(), edited: null, draft: "", sent: null, sending: false });
    this.draw();
  }

  draw() {
    const { view } = this;
    this.chips = make("ul", { class: "st-files", "aria-label": "Files to send", hidden: true });
    this.editing = make("div", { class: "st-editing", hidden: true }, "Asking an earlier message again ",
      make("button", { type: "button", class: "st-text", onclick: () => view.keep(() => this.edit(null)) }, "Cancel"));
    this.text = make("textarea", { rows: 1, dir: "auto", "aria-label": "Message",
      onkeydown: (event) => this.key(event), oninput: () => this.fit(),
      onpaste: (event) => this.paste(event) });
    this.picker = make("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files",
      onchange: () => this.attach([...this.picker.files]) });
    // The second click of two is no stop: one has sent, and the button stops by then.
    this.send = button("send", "Send", ({ detail }) => detail === 2 || (view.now.busy ? view.stop() : this.submit()));
    this.parts = [this.editing, this.chips, make("div", { class: "st-composer" },
      button("attach", "Attach files", () => this.picker.click()), this.picker, this.text, this.send)];
  }

  enter(place) {
    const { value } = this.text;
    this.text.value = value || (DRAFTS.get(place) ?? "");
    if (!value) DRAFTS.delete(place);
    this.fit();
  }

  close() {
    const text = this.edited ? this.draft : this.text.value;
    if (text.trim() && !this.sending) DRAFTS.set(this.view.now.place, text);
    for (const id of [...this.files.keys()]) this.remove(id); // nobody else will send them
  }

  label(words) {
    this.send.replaceChildren(icon(words === "Send" ? "send" : "stop"));
    this.send.setAttribute("aria-label", words);
    this.send.title = words;
    this.send.classList.toggle("st-waits", words.startsWith("Stopping"));
    this.ready();
  }

  // It can be pressed all the same: with files alone it says what is missing.
  ready() {
    const nothing = this.send.title === "Send" && !this.text.value.trim();
    if (nothing) this.send.setAttribute("aria-disabled", "true");
    else this.send.removeAttribute("aria-disabled");
  }

  async submit() {
    const { view } = this, text = this.text.value, files = [...this.files.values()];
    if (!text.trim() && files.length) return void view.warn("Write a question for the files.");
    if (!text.trim() || this.sending) return;
    if (files.some(({ done }) => !done)) return void view.warn("A file is still on its way: wait, or remove it.");
    this.sending = true;
    const { edited } = this, key = view.asked = edited?.told.key ?? null;
    const agent = view.agent.value.trim(), id = view.name(), known = new Set(view.exchanges.keys());
    const sent = this.sent = { id, text, files, edited, known };
    const ask = { kind: "ask", text, key, agent, files: files.map((file) => file.id) };
    const { error, late } = await view.call(ask, { id });
    this.sending = false;
    if (error && !late) this.sent = null; // it was refused
    if (error) return;
    this.clear(sent);
    view.look();
  }

  // Where the answer to the call is lost, or late, the exchange itself is one.
  arrived({ key, prompt }) {
    const { sent } = this;
    if (!sent || sent.known.has(key) || prompt.trim() !== sent.text.trim()) return;
    this.view.settle({ id: sent.id });
    this.clear(sent);
  }

  clear(sent) {
    if (this.sent !== sent) return;
    this.sent = null;
    sent.files.forEach(({ id }) => this.drop(id));
    if (this.edited === sent.edited) {
      if (this.text.value === sent.text) this.text.value = "";
      this.edit(null, this.text.value);
    } else if (this.draft === sent.text) this.draft = ""; // another message is edited by now
    this.fit();
  }

  // What was being written comes back when the edit is over; `written` is what is newer than that.
  edit(exchange, written = "") {
    if (!exchange && !this.edited) return;
    if (!this.edited) this.draft = this.text.value;
    this.text.value = exchange?.told.prompt ?? (written || this.draft);
    this.edited = exchange;
    this.editing.hidden = !exchange;
    const also = exchange?.told.files.length ? ", with its files " : " ";
    this.editing.firstChild.data = `Asking an earlier message again${also}`;
    this.fit();
    if (exchange) this.text.focus();
  }

  key(event) {
    const composing = event.isComposing || event.keyCode === 229; // Enter chooses a character
    const plain = !event.shiftKey && !event.altKey, chord = event.ctrlKey || event.metaKey;
    if (event.key === "Escape" && !composing) this.edit(null);
    if (event.key !== "Enter" || composing || !plain || !(chord || this.view.now.enter)) return;
    event.preventDefault();
    if (!this.view.now.busy) this.submit();
  }

  paste(event) {
    const { files, types } = event.clipboardData;
    const table = types.includes("text/plain") && types.includes("text/html");
    if (!table) this.attach(files, event); // a spreadsheet adds a picture of what it copies
  }

  attach(files, event) {
    if (!files.length) return;
    event?.preventDefault();
    for (const file of files) this.upload(file);
    this.picker.value = "";
  }

  async upload(file) {
    const { view } = this, id = view.name();
    const bar = make("progress", { max: file.size || 1, value: 0, "aria-label": `${file.name} on its way` });
    const [unit, name] = file.size < 1e3 ? [1, "bytes"] : file.size < 1e6 ? [1e3, "KB"] : [1e6, "MB"];
    const size = `${(file.size / unit).toFixed(unit > 1e3 ? 1 : 0)} ${name}`;
    const chip = make("li", {}, make("bdi", {}, file.name), ` ${size} `, bar,
      button("close", `Remove ${file.name}`, () => view.keep(() => this.remove(id))));
    this.files.set(id, { id, chip, done: false });
    this.chips.append(chip);
    this.chips.hidden = false;
    for (let at = 0; at < file.size || at === 0; at += CHUNK) {
      const bytes = await file.slice(at, at + CHUNK).arrayBuffer().catch(() => null);
      if (!this.files.has(id)) return;
      if (!bytes) {
        this.remove(id);
        return void view.warn(`${file.name} can't be read: it is a folder, or has changed since.`);
      }
      const told = { kind: "upload", file: id, name: file.name, size: file.size, at };
      const { error } = await view.call(told, { buffers: [bytes] });
      if (error) this.drop(id);
      if (!this.files.has(id)) return;
      bar.value = at + bytes.byteLength;
    }
    bar.remove();
    this.files.get(id).done = true;
    view.announce(`${file.name} is attached`);
  }

  remove(id) {
    this.drop(id);
    this.view.call({ kind: "discard", file: id });
  }

  drop(id) {
    this.files.get(id)?.chip.remove();
    this.files.delete(id);
    this.chips.hidden = this.files.size === 0;
  }

  fit() {
    this.ready();
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 240)}px`;
  }
}
