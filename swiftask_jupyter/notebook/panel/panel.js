// The panel's view: it draws what Python sends, and sends Python what the user does.
//
// Python concatenates `tree.js`, `clipboard.js`, `jupyterlab.js`, `exchange.js`, `composer.js` and
// `draw_queue.js` before this file into one module. The messages are described in channel.py.

class PanelView {
  constructor(model, root) {
    const id = [...crypto.getRandomValues(new Uint32Array(2))].join("-");
    Object.assign(this, { model, root, id, requestCount: 0, revision: -1, state: { in_flight: false } });
    Object.assign(this, { exchanges: new Map(), pending: new Map() });
    this.composer = new Composer(this);
    this.queue = new DrawQueue(this);
    this.lab = new JupyterLab(root);
    this.onMessage = (_, [packed]) => this.receive(JSON.parse(new TextDecoder().decode(packed)));
    this.connect = () => {
      this.snapshotRequest = null; // an old kernel will not answer it
      this.getSnapshot();
    };
    this.onPageHide = () => this.composer.close(); // no one closes the views of a page that is left
    window.addEventListener("pagehide", this.onPageHide);
    this.buildLayout();
    // When the log or its content changes size, a view that was at the end stays at the end.
    this.resizeObserver = new ResizeObserver(() => this.jumpButton.hidden && !this.isWatching && this.scrollToEnd());
    this.resizeObserver.observe(this.log);
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.connect); // the kernel was restarted, or is connected again
    this.connect();
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.connect);
    window.removeEventListener("pagehide", this.onPageHide);
    this.queue.clear();
    this.composer.close();
    this.resizeObserver.disconnect();
    clearTimeout(this.silenceTimer);
    for (const { timer } of this.pending.values()) clearTimeout(timer);
  }

  buildLayout() {
    const list = `st-agents-${this.id}`;
    this.sessionSelect = make("select", { "aria-label": "Conversation", onchange: () => this.switchSession(),
      onkeydown: (event) => this.openSessionList(event) });
    this.agentOptions = make("datalist", { id: list });
    this.agentInput = make("input", { type: "text", list, "aria-label": "Agent", placeholder: "agent",
      spellcheck: "false", onchange: () => this.chooseAgent(),
      onfocus: () => this.request({ kind: "list_agents" }) });
    this.log = make("div", { class: "st-log", role: "log", "aria-live": "off",
      "aria-label": "Messages", tabindex: 0, onscroll: () => this.onScroll() });
    this.earlierButton = make("button", { type: "button", class: "st-text-button st-load-earlier", hidden: true,
      onclick: () => this.loadEarlier() }, "Show earlier messages");
    this.placeholder = make("p", { class: "st-placeholder" });
    this.jumpButton = iconButton("down", "Go to the newest message", () => this.keepFocus(() => this.scrollToEnd()),
      { hidden: true });
    this.announcer = make("div", { class: "st-visually-hidden", role: "status" });
    this.banner = make("div", { class: "st-banner", role: "alert", hidden: true });
    this.totalLine = make("div", { class: "st-total" });
    const { root } = this, markDropTarget = (is) => root.classList.toggle("st-drop-target", is);
    root.classList.add("swiftask-panel");
    root.setAttribute("role", "group");
    root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab handles the keys as its shortcuts
    for (const [name, listener] of [["keydown", (event) => this.lab.onKeyDown(event)],
      ["dragover", (event) => { event.preventDefault(); markDropTarget(true); }],
      ["dragleave", () => markDropTarget(false)],
      ["drop", (event) => { markDropTarget(false); this.composer.attach(event.dataTransfer.files, event); }]])
      root.addEventListener(name, listener);
    root.replaceChildren(make("div", { class: "st-header" }, this.sessionSelect, this.agentInput, this.agentOptions,
      iconButton("save", "Export as Markdown", () => this.export())),
    make("div", { class: "st-log-area" }, this.log, this.jumpButton), this.banner,
    ...this.composer.parts, this.totalLine, this.announcer);
  }

  // ---- Messages from Python ----

  receive(message) {
    clearTimeout(this.silenceTimer); // while an answer streams, a message comes every few seconds
    this.silenceTimer = setTimeout(() => (this.state.in_flight || this.hasRunning()) && this.getSnapshot(), SILENCE);
    if (message.view !== undefined && message.view !== this.id) return;
    const { kind, id, revision } = message, awaited = this.pending.has(id);
    // A response that nobody awaits, without a snapshot so far, is the last word of a dead kernel.
    if (message.view && (awaited || this.revision >= 0)) this.resolveRequest(message);
    if (kind === "snapshot" && awaited) this.applySnapshot(message);
    if (kind === "snapshot" || revision === undefined || this.revision < 0) return;
    if (revision > this.revision + (kind === "heartbeat" ? 0 : 1)) this.getSnapshot(); // a message was lost
    else if (revision === this.revision + 1) {
      this.revision = revision;
      this.queue.add(message);
    }
  }

  // Draw one message; a method that is a generator draws in steps.
  draw(message) {
    const methods = { state: this.onState, exchange: this.onExchange, patch: this.onPatch,
      reload: () => void this.getSnapshot(), kernel_gone: this.onKernelGone };
    return methods[message.kind].call(this, message);
  }

  applySnapshot({ revision, state, exchanges, earlier_count }) {
    this.queue.clear();
    this.drawAndScroll(() => {
      Object.assign(this, { revision, frozenKey: null });
      const known = this.exchanges;
      this.exchanges = new Map();
      this.earlierButton.hidden = !earlier_count;
      this.log.replaceChildren(this.earlierButton, this.placeholder);
      this.insert(exchanges, known);
      this.onState({ state });
    });
  }

  onExchange({ exchange: data, after, removed = [] }) {
    const replaced = removed.map((key) => this.exchanges.get(key)?.element).find(Boolean);
    const previous = this.exchanges.get(after)?.element ?? replaced?.previousSibling;
    for (const key of removed) this.remove(key);
    // Without a previous element it belongs to earlier exchanges, which are not shown.
    if (previous || this.earlierButton.hidden) this.insert([data], this.exchanges, previous);
    if (data.status === "running") this.watch(this.exchanges.get(data.key), removed.includes(this.askedKey));
  }

  // A question that is asked again in an earlier slot is kept in sight there while it runs, instead
  // of the end of the log; unless a cell asks it while the user follows the panel's own answer.
  watch(exchange, own) {
    const last = !exchange?.element.nextSibling;
    if (last || own || (this.atEnd && !this.state.in_flight)) this.watched = last ? null : exchange;
    this.toReveal = this.watched === exchange ? exchange : null;
  }

  // Show the answer to what was just asked: at the end, unless it is watched in an earlier slot.
  showAnswer() {
    this.queue.drawAll();
    if (!this.watched) this.scrollToEnd();
  }

  get isWatching() {
    return this.watched?.data.status === "running" && this.watched.element.isConnected;
  }

  // Insert exchanges in order after the element `previous`; reuse the objects in `known`.
  insert(exchanges, known, previous = this.placeholder) {
    for (const data of exchanges) {
      const exchange = known.get(data.key) ?? new Exchange(this); // a comment may be open in it
      exchange.show(data);
      this.exchanges.set(data.key, exchange);
      previous.after(exchange.element);
      previous = exchange.element;
      this.resizeObserver.observe(previous);
      this.composer.onExchange(data);
    }
    this.placeholder.hidden = this.exchanges.size > 0;
  }

  remove(key) {
    const { element } = this.exchanges.get(key) ?? {};
    if (element) this.resizeObserver.unobserve(element);
    element?.remove();
    this.exchanges.delete(key);
  }

  * onPatch({ key, changes, meta }) {
    const exchange = this.exchanges.get(key);
    if (!exchange) return; // it is one of the earlier exchanges, which are not shown
    if (this.frozenKey === key && meta) this.getSnapshot(); // shows the text that came after the stop
    if (this.frozenKey === key) return;
    for (const each of changes) yield* applyChange(exchange.body, each, this);
    if (!meta) return;
    const { status } = exchange.data;
    exchange.update(meta);
    if (status !== "running" || meta.status === "running") return;
    const text = spokenText(exchange.body, 600), ellipsis = text.length > 600 ? " …" : "";
    this.announce(meta.error ?? (meta.status === "ok" ? `${meta.agent}: ${text.slice(0, 600)}${ellipsis}` : meta.status));
  }

  onState({ state }) {
    if (state.session !== this.state.session) {
      this.composer.edit(null);
      if (this.state.session) this.warn("");
    }
    if (state.draft_key !== this.state.draft_key) this.composer.restoreDraft(state.draft_key);
    this.state = state;
    this.updateButtons();
    this.root.setAttribute("aria-label", `Chat: ${state.session}`);
    this.composer.text.placeholder = state.agent ? `Ask ${state.agent}` : "Ask";
    this.placeholder.replaceChildren(state.agent ? "No messages yet." : "Name an agent above, and ask.",
      make("span", { class: "st-hint" }, `${state.enter_sends ? "Enter sends, Shift+Enter breaks the line" : "Ctrl+Enter sends"}.`
        + " Files can be dropped here; questions asked in cells appear here too."));
    this.placeholder.hidden = this.exchanges.size > 0;
    if (document.activeElement !== this.agentInput && !this.agentChoices) this.agentInput.value = state.agent;
    const option = (value, label) => make("option", { value }, label);
    this.sessionSelect.replaceChildren(...state.sessions.map((name) => option(`=${name}`, name)),
      option("+", "New conversation"));
    this.sessionSelect.value = `=${state.session}`;
    this.agentOptions.replaceChildren(...state.agents.map(({ slug, name }) => option(slug, name)));
    this.totalLine.textContent = state.total;
  }

  hasRunning() {
    return [...this.exchanges.values()].some(({ data }) => data.status === "running");
  }

  // While an answer is in flight, no other question can be asked.
  updateButtons() {
    for (const exchange of this.exchanges.values()) exchange.updateButtons();
    this.composer.setButton(this.state.in_flight ? "Stop" : "Send");
  }

  // Ask for the whole state, at most once a second: the response covers every message lost before
  // it. It may be lost too, so it is requested again after a timeout that doubles each time.
  async getSnapshot(timeout = TIMEOUT) {
    if (Date.now() - this.snapshotRequest?.at < 1000) return;
    const snapshotRequest = this.snapshotRequest = { at: Date.now() };
    const { timedOut } = await this.request({ kind: "get_snapshot" }, { timeout });
    if (this.snapshotRequest !== snapshotRequest) return;
    this.snapshotRequest = null;
    if (timedOut) this.getSnapshot(Math.min(2 * timeout, MAX_TIMEOUT));
  }

  newId() {
    return `${this.id}.${(this.requestCount += 1)}`;
  }

  // ---- Requests to Python ----
  //
  // A response can be lost, so each request ends after a timeout, with `error`; only an upload keeps
  // waiting. What the user typed stays until Python has received it.

  request(message, { buffers, timeout = TIMEOUT, id = this.newId() } = {}) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const error = this.state.session ? NO_RESPONSE : NO_FIRST_RESPONSE;
        if (message.kind === "upload") this.warn(NO_RESPONSE, true);
        else this.resolveRequest({ id, error, temporary: true, timedOut: true });
      }, timeout);
      this.pending.set(id, { timer, resolve, kind: message.kind });
      try {
        this.model.send({ ...message, view: this.id, id }, undefined, buffers);
      } catch {
        this.loseKernel();
      }
    });
  }

  // The kernel is gone. Messages that it sent before are still drawn, but new ones are ignored until
  // a snapshot comes: if the kernel is back, it sends one.
  loseKernel() {
    this.revision = -1;
    for (const id of [...this.pending.keys()])
      this.resolveRequest({ id, error: `The kernel was restarted or shut down: ${RECOVER}`, temporary: true });
    this.queue.add({ kind: "kernel_gone" });
  }

  // Mark what was running as interrupted: no more text will come.
  onKernelGone() {
    for (const each of this.exchanges.values())
      if (each.data.status === "running") each.update({ status: "interrupted", footer: "interrupted: the kernel is gone" });
    this.state.in_flight = null;
    this.updateButtons();
  }

  resolveRequest({ id, error, temporary = false, ...response }) {
    const { timer, resolve, kind } = this.pending.get(id) ?? {}; // undefined after the timeout
    clearTimeout(timer);
    this.pending.delete(id);
    if (error) this.warn(error, temporary);
    else if (this.temporaryWarning || (kind && !BACKGROUND.has(kind))) this.warn(""); // no longer true
    resolve?.({ error, ...response });
  }

  // Show a warning, or hide it if `text` is empty. The next response hides a temporary one.
  warn(text, temporary = false) {
    this.temporaryWarning = temporary;
    if (text && this.banner.firstChild?.textContent === text) return; // else it would be read out again
    const close = iconButton("close", "Close", () => this.warn(""));
    this.keepFocus(() => {
      this.banner.replaceChildren(make("span", {}, text), close);
      this.banner.hidden = !text;
    });
  }

  // Have a screen reader say a text.
  announce(text) {
    this.announcer.textContent = text;
  }

  async stop() {
    this.composer.setButton(this.state.has_subshells ? "Stopping" : "Stopping: kernel busy");
    if (!this.state.has_subshells) {
      this.frozenKey = this.state.in_flight;
      this.warn("Stopping: kernel busy. It receives this when its cell has ended.", true);
    }
    this.announce("stopping");
    const { error } = await this.request({ kind: "stop" });
    if (error) this.updateButtons(); // so that Stop can be pressed again
  }

  async chooseAgent() {
    this.agentChoices = (this.agentChoices ?? 0) + 1; // until Python knows, its state has the old agent
    await this.request({ kind: "choose_agent", agent: this.agentInput.value.trim() });
    this.agentChoices -= 1;
  }

  // In a closed list, a key would at once switch to the conversation it selects: open the list instead.
  openSessionList(event) {
    const { key, ctrlKey, altKey, metaKey } = event, selects = key.length === 1 || /^(Arrow|Page|Home|End)/.test(key);
    if (!selects || ctrlKey || altKey || metaKey) return;
    try {
      this.sessionSelect.showPicker();
      event.preventDefault();
    } catch { /* an older browser, or a frame of another site */ }
  }

  async switchSession() {
    const { value } = this.sessionSelect;
    const { error } = await this.request({ kind: "switch_session", name: value === "+" ? null : value.slice(1) });
    if (error) this.sessionSelect.value = `=${this.state.session}`;
    if (document.activeElement === this.sessionSelect) this.composer.text.focus(); // else the user has moved on
  }

  async loadEarlier() {
    const firstKey = () => this.log.querySelector(".st-exchange")?.data.key, key = firstKey();
    const { exchanges = [], earlier_count: count = true } = await this.request({ kind: "get_earlier", key });
    this.queue.drawAll();
    if (firstKey() !== key) return; // the page of exchanges was added or replaced meanwhile
    const height = this.log.scrollHeight;
    this.insert(exchanges, this.exchanges);
    this.keepFocus(() => void (this.earlierButton.hidden = !count));
    this.log.scrollTop += this.log.scrollHeight - height;
  }

  async export() {
    const { text, name } = await this.request({ kind: "export" });
    const link = make("a", { href: URL.createObjectURL(new Blob([text ?? ""])), download: name ?? "chat.md" });
    if (text) link.click();
    URL.revokeObjectURL(link.href);
  }

  // ---- Scrolling and focus ----

  // Draw, and keep the newest message in sight, unless the user has scrolled away from it.
  drawAndScroll(draw) {
    const { log, exchanges: { size } } = this, top = log.scrollTop, below = log.scrollHeight - top - log.clientHeight;
    // Behind another tab the log has no size; the button tells then whether the user had scrolled up.
    const scrolledUp = log.clientHeight ? below >= 24 && top < this.endTop - 4 : !this.jumpButton.hidden;
    this.atEnd = !this.isWatching && !scrolledUp;
    this.keepFocus(draw);
    if (this.atEnd && this.exchanges.size > size) this.dropOldest();
    if (this.toReveal) this.reveal(this.toReveal);
    else if (this.atEnd) this.scrollToEnd();
    else log.scrollTop = top;
    if (!this.atEnd) this.onScroll();
  }

  reveal({ element }) {
    const { log } = this;
    this.toReveal = null;
    this.atEnd = false;
    this.endTop = Infinity; // wherever this scrolls to, the view does not follow the end
    log.scrollTop += element.getBoundingClientRect().top - log.getBoundingClientRect().top - 8;
  }

  // Change the page and keep the focus: on the new copy of an element that is drawn again, or on the
  // text area if the element is gone.
  keepFocus(change) {
    const focused = document.activeElement, inside = this.root.contains(focused);
    const key = focused?.closest(".st-exchange")?.data.key, label = focused?.getAttribute("aria-label");
    change();
    const now = document.activeElement, present = (it) => this.root.contains(it) && !it.closest("[hidden]");
    if (!inside || present(now)) return;
    const labelled = this.exchanges.get(key)?.element.querySelectorAll("[aria-label]") ?? [];
    const same = [...labelled].find((each) => each.getAttribute("aria-label") === label); // labels may have quotes
    (present(focused) ? focused : same ?? this.composer.text).focus({ preventScroll: true });
  }

  // Remove the oldest exchanges from the page: each one makes every redraw a little slower.
  dropOldest() {
    if (this.exchanges.size <= MAX_SHOWN) return;
    const shown = [...this.log.querySelectorAll(".st-exchange")];
    for (const { data } of shown.slice(0, -MAX_SHOWN)) this.remove(data.key);
    this.earlierButton.hidden = false;
  }

  scrollToEnd() {
    this.watched = null;
    this.log.scrollTop = this.log.scrollHeight;
    this.endTop = this.log.scrollTop;
    this.jumpButton.hidden = true;
  }

  onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    if (clientHeight) this.jumpButton.hidden = scrollHeight - scrollTop - clientHeight < 24;
  }
}

function render({ model, el }) {
  const view = new PanelView(model, el);
  return () => view.close();
}

export default { render };
