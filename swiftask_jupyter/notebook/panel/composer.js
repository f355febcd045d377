// The area where the user writes: the text, the files to send, an earlier question being edited.

const UPLOAD_CHUNK = 512 * 1024; // bytes
// Drafts of closed views, by conversation (`state.draft_key`). The next view of that conversation
// takes its draft over, for example when the cell is run again. Each view has its own module, so
// the drafts are kept on the page.
const DRAFTS = globalThis[Symbol.for("swiftask.drafts")] ??= new Map();

class Composer {
  constructor(view) {
    Object.assign(this, { view, files: new Map(), edited: null, draft: "", sent: null, sending: false });
    this.buildLayout();
  }

  buildLayout() {
    const { view } = this;
    this.chips = make("ul", { class: "st-files", "aria-label": "Files to send", hidden: true });
    this.editNotice = make("div", { class: "st-edit-notice", hidden: true }, "Asking an earlier message again ",
      make("button", { type: "button", class: "st-text-button", onclick: () => view.keepFocus(() => this.edit(null)) },
        "Cancel"));
    this.text = make("textarea", { rows: 1, dir: "auto", "aria-label": "Message",
      onkeydown: (event) => this.onKeyDown(event), oninput: () => this.resize(),
      onpaste: (event) => this.onPaste(event) });
    this.picker = make("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files",
      onchange: () => this.attach([...this.picker.files]) });
    // On a double click the first click sends, and the button becomes Stop: ignore the second.
    this.sendButton = iconButton("send", "Send",
      ({ detail }) => detail === 2 || (view.state.in_flight ? view.stop() : this.submit()));
    this.parts = [this.editNotice, this.chips, make("div", { class: "st-composer" },
      iconButton("attach", "Attach files", () => this.picker.click()), this.picker, this.text, this.sendButton)];
  }

  // Take over the draft of a closed view of this conversation, unless a text is being written here.
  restoreDraft(draftKey) {
    const { value } = this.text;
    this.text.value = value || (DRAFTS.get(draftKey) ?? "");
    if (!value) DRAFTS.delete(draftKey);
    this.resize();
  }

  close() {
    const text = this.edited ? this.draft : this.text.value;
    if (text.trim() && !this.sending) DRAFTS.set(this.view.state.draft_key, text);
    for (const id of [...this.files.keys()]) this.remove(id); // no other view can send them
  }

  setButton(label) {
    this.sendButton.replaceChildren(icon(label === "Send" ? "send" : "stop"));
    this.sendButton.setAttribute("aria-label", label);
    this.sendButton.title = label;
    this.sendButton.classList.toggle("st-stopping", label.startsWith("Stopping"));
    this.updateButton();
  }

  // Without text the button is marked as disabled, but can be pressed: with files alone, pressing it
  // says that a question is missing.
  updateButton() {
    const empty = this.sendButton.title === "Send" && !this.text.value.trim();
    if (empty) this.sendButton.setAttribute("aria-disabled", "true");
    else this.sendButton.removeAttribute("aria-disabled");
  }

  async submit() {
    const { view } = this, text = this.text.value, files = [...this.files.values()];
    if (!text.trim() && files.length) return void view.warn("Write a question for the files.");
    if (!text.trim() || this.sending) return;
    if (files.some(({ uploaded }) => !uploaded))
      return void view.warn("A file is still being uploaded: wait, or remove it.");
    this.sending = true;
    const { edited } = this, key = view.askedKey = edited?.data.key ?? null;
    const agent = view.agentInput.value.trim(), id = view.newId(), known = new Set(view.exchanges.keys());
    const sent = this.sent = { id, text, files, edited, known };
    const ask = { kind: "ask", text, key, agent, uploads: files.map((file) => file.id) };
    const { error, timedOut } = await view.request(ask, { id });
    this.sending = false;
    if (error && !timedOut) this.sent = null; // the question was refused
    if (error) return;
    this.clear(sent);
    view.showAnswer();
  }

  // The response to `ask` may be lost or late. The new exchange itself also confirms the question.
  onExchange({ key, prompt }) {
    const { sent } = this;
    if (!sent || sent.known.has(key) || prompt.trim() !== sent.text.trim()) return;
    this.view.resolveRequest({ id: sent.id });
    this.clear(sent);
  }

  // Remove the question that Python has received, unless the user has changed it since.
  clear(sent) {
    if (this.sent !== sent) return;
    this.sent = null;
    sent.files.forEach(({ id }) => this.removeChip(id));
    if (this.edited === sent.edited) {
      if (this.text.value === sent.text) this.text.value = "";
      this.edit(null, this.text.value);
    } else if (this.draft === sent.text) this.draft = ""; // the user edits another message by now
    this.resize();
  }

  // Begin to edit an exchange's question, or end that with `null`: then the text becomes `written`
  // or, if that is empty, what was there before the edit.
  edit(exchange, written = "") {
    if (!exchange && !this.edited) return;
    if (!this.edited) this.draft = this.text.value;
    this.text.value = exchange?.data.prompt ?? (written || this.draft);
    this.edited = exchange;
    this.editNotice.hidden = !exchange;
    const withFiles = exchange?.data.files.length ? ", with its files " : " ";
    this.editNotice.firstChild.data = `Asking an earlier message again${withFiles}`;
    this.resize();
    if (exchange) this.text.focus();
  }

  onKeyDown(event) {
    // During input with an input method, Enter chooses a character (keyCode 229 in older browsers).
    const composing = event.isComposing || event.keyCode === 229;
    const plain = !event.shiftKey && !event.altKey, chord = event.ctrlKey || event.metaKey;
    if (event.key === "Escape" && !composing) this.edit(null);
    if (event.key !== "Enter" || composing || !plain || !(chord || this.view.state.enter_sends)) return;
    event.preventDefault();
    if (!this.view.state.in_flight) this.submit();
  }

  onPaste(event) {
    const { files, types } = event.clipboardData;
    const table = types.includes("text/plain") && types.includes("text/html");
    if (!table) this.attach(files, event); // a spreadsheet adds an image of the copied cells: ignore it
  }

  attach(files, event) {
    if (!files.length) return;
    event?.preventDefault();
    for (const file of files) this.upload(file);
    this.picker.value = "";
  }

  async upload(file) {
    const { view } = this, id = view.newId();
    const bar = make("progress", { max: file.size || 1, value: 0, "aria-label": `Uploading ${file.name}` });
    const [unit, name] = file.size < 1e3 ? [1, "bytes"] : file.size < 1e6 ? [1e3, "KB"] : [1e6, "MB"];
    const size = `${(file.size / unit).toFixed(unit > 1e3 ? 1 : 0)} ${name}`;
    const chip = make("li", {}, make("bdi", {}, file.name), ` ${size} `, bar,
      iconButton("close", `Remove ${file.name}`, () => view.keepFocus(() => this.remove(id))));
    this.files.set(id, { id, chip, uploaded: false });
    this.chips.append(chip);
    this.chips.hidden = false;
    for (let offset = 0; offset < file.size || offset === 0; offset += UPLOAD_CHUNK) {
      const bytes = await file.slice(offset, offset + UPLOAD_CHUNK).arrayBuffer().catch(() => null);
      if (!this.files.has(id)) return;
      if (!bytes) {
        this.remove(id);
        return void view.warn(`${file.name} can't be read: it is a folder, or has changed since.`);
      }
      const message = { kind: "upload", upload: id, name: file.name, size: file.size, offset };
      const { error } = await view.request(message, { buffers: [bytes] });
      if (error) this.removeChip(id);
      if (!this.files.has(id)) return;
      bar.value = offset + bytes.byteLength;
    }
    bar.remove();
    this.files.get(id).uploaded = true;
    view.announce(`${file.name} is attached`);
  }

  remove(id) {
    this.removeChip(id);
    this.view.request({ kind: "discard_upload", upload: id });
  }

  removeChip(id) {
    this.files.get(id)?.chip.remove();
    this.files.delete(id);
    this.chips.hidden = this.files.size === 0;
  }

  // Fit the text area to its content.
  resize() {
    this.updateButton();
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 240)}px`;
  }
}
