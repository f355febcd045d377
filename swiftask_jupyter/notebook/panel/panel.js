// The panel itself: what Python says is drawn, what the user does is told to Python.
// `tree.js`, `clipboard.js`, `lab.js`, `exchange.js`, `composer.js` and `pace.js` come before this file,
// in one module.

class View {
  constructor(model, root) {
    const id = [...crypto.getRandomValues(new Uint32Array(2))].join("-");
    Object.assign(this, { model, root, id, calls: 0, rev: -1, now: { busy: false } });
    Object.assign(this, { exchanges: new Map(), waiting: new Map() });
    this.composer = new Composer(this);
    this.pace = new Pace(this);
    this.lab = new Lab(root);
    this.listen = (_, [packed]) => this.hear(JSON.parse(new TextDecoder().decode(packed)));
    this.greet = () => {
      this.greeting = null; // who was asked before will not answer
      this.hello();
    };
    this.leave = () => this.composer.close(); // nobody closes the views of a page that is left
    window.addEventListener("pagehide", this.leave);
    this.draw();
    // What changes the size of the log or of what is in it leaves the end where it was: in sight.
    this.sizes = new ResizeObserver(() => this.jump.hidden && !this.holds && this.toBottom());
    this.sizes.observe(this.log);
    model.on("msg:custom", this.listen);
    model.on("comm_live_update", this.greet); // the kernel was restarted, or is back
    this.greet();
  }

  close() {
    this.model.off("msg:custom", this.listen);
    this.model.off("comm_live_update", this.greet);
    window.removeEventListener("pagehide", this.leave);
    this.pace.clear();
    this.composer.close();
    this.sizes.disconnect();
    clearTimeout(this.silence);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
  }

  draw() {
    const list = `st-agents-${this.id}`;
    this.sessions = make("select", { "aria-label": "Conversation", onchange: () => this.choose(),
      onkeydown: (event) => this.unfold(event) });
    this.agents = make("datalist", { id: list });
    this.agent = make("input", { type: "text", list, "aria-label": "Agent", placeholder: "agent",
      spellcheck: "false", onchange: () => this.chooseAgent(),
      onfocus: () => this.call({ kind: "agents" }) });
    this.log = make("div", { class: "st-log", role: "log", "aria-live": "off",
      "aria-label": "Messages", tabindex: 0, onscroll: () => this.scrolled() });
    this.more = make("button", { type: "button", class: "st-text st-more", hidden: true,
      onclick: () => this.earlier() }, "Show earlier messages");
    this.empty = make("p", { class: "st-empty" });
    this.jump = button("down", "Go to the newest message", () => this.keep(() => this.toBottom()), { hidden: true });
    this.said = make("div", { class: "st-unseen", role: "status" });
    this.banner = make("div", { class: "st-banner", role: "alert", hidden: true });
    this.total = make("div", { class: "st-total" });
    const { root } = this, over = (is) => root.classList.toggle("st-over", is);
    root.classList.add("swiftask-panel");
    root.setAttribute("role", "group");
    root.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes these keys for its own
    for (const [name, then] of [["keydown", (event) => this.lab.shortcut(event)],
      ["dragover", (event) => { event.preventDefault(); over(true); }], ["dragleave", () => over(false)],
      ["drop", (event) => { over(false); this.composer.attach(event.dataTransfer.files, event); }]])
      root.addEventListener(name, then);
    root.replaceChildren(make("div", { class: "st-head" }, this.sessions, this.agent, this.agents,
      button("save", "Export as Markdown", () => this.export())),
    make("div", { class: "st-middle" }, this.log, this.jump), this.banner,
    ...this.composer.parts, this.total, this.said);
  }

  // What Python says.

  hear(message) {
    clearTimeout(this.silence); // while an answer is to come, there is a word every few seconds
    this.silence = setTimeout(() => (this.now.busy || this.runs()) && this.hello(), QUIET);
    if (message.to !== undefined && message.to !== this.id) return;
    const { kind, id, rev } = message, awaited = this.waiting.has(id);
    if (message.to && (awaited || this.rev >= 0)) this.settle(message); // else the kernel's last words
    if (kind === "snapshot" && awaited) this.restore(message);
    if (kind === "snapshot" || rev === undefined || this.rev < 0) return;
    if (rev > this.rev + (kind === "heartbeat" ? 0 : 1)) this.hello(); // a message was lost on the way
    else if (rev === this.rev + 1) {
      this.rev = rev;
      this.pace.add(message);
    }
  }

  restore({ rev, state, exchanges, earlier }) {
    this.pace.clear();
    this.follow(() => {
      Object.assign(this, { rev, frozen: null });
      const known = this.exchanges;
      this.exchanges = new Map();
      this.more.hidden = !earlier;
      this.log.replaceChildren(this.more, this.empty);
      this.put(exchanges, known);
      this.state({ state });
    });
  }

  exchange({ exchange: told, after, gone = [] }) {
    const replaced = gone.map((key) => this.exchanges.get(key)?.element).find(Boolean);
    const place = this.exchanges.get(after)?.element ?? replaced?.previousSibling;
    for (const key of gone) this.remove(key);
    if (place || this.more.hidden) this.put([told], this.exchanges, place); // else it is an earlier one
    if (told.status === "running") this.hold(this.exchanges.get(told.key), gone.includes(this.asked));
  }

  // What is asked again in an earlier place is looked at there while it runs, not at the end; unless
  // a cell does so while the panel's own answer is followed.
  hold(exchange, ours) {
    const last = !exchange?.element.nextSibling;
    if (last || ours || (this.pinned && !this.now.busy)) this.held = last ? null : exchange;
    this.brought = this.held === exchange ? exchange : null;
  }

  // The answer to what was asked is looked at: at the end, unless it is held in an earlier place.
  look() {
    this.pace.all();
    if (!this.held) this.toBottom();
  }

  get holds() {
    return this.held?.told.status === "running" && this.held.element.isConnected;
  }

  // One after another, in their order.
  put(exchanges, known, place = this.empty) {
    for (const told of exchanges) {
      const exchange = known.get(told.key) ?? new Exchange(this); // it may have a comment in it
      exchange.show(told);
      this.exchanges.set(told.key, exchange);
      place.after(exchange.element);
      place = exchange.element;
      this.sizes.observe(place);
      this.composer.arrived(told);
    }
    this.empty.hidden = this.exchanges.size > 0;
  }

  remove(key) {
    const { element } = this.exchanges.get(key) ?? {};
    if (element) this.sizes.unobserve(element);
    element?.remove();
    this.exchanges.delete(key);
  }

  stale() {
    this.hello(); // the order has changed
  }

  * patch({ key, changes, end }) {
    const exchange = this.exchanges.get(key);
    if (!exchange) return; // earlier than what is shown here
    if (this.frozen === key && end) this.hello(); // what came after the stop
    if (this.frozen === key) return;
    for (const each of changes) yield* change(exchange.body, each, this);
    if (!end) return;
    const { status } = exchange.told;
    exchange.end(end);
    if (status !== "running" || end.status === "running") return;
    const text = spoken(exchange.body, 600), rest = text.length > 600 ? " …" : "";
    this.announce(end.error ?? (end.status === "ok" ? `${end.agent}: ${text.slice(0, 600)}${rest}` : end.status));
  }

  state({ state }) {
    if (state.session !== this.now.session) {
      this.composer.edit(null);
      if (this.now.session) this.warn("");
    }
    if (state.place !== this.now.place) this.composer.enter(state.place);
    this.now = state;
    this.enable();
    this.root.setAttribute("aria-label", `Chat: ${state.session}`);
    this.composer.text.placeholder = state.agent ? `Ask ${state.agent}` : "Ask";
    this.empty.replaceChildren(state.agent ? "Nothing has been said yet." : "Name an agent above, and ask.",
      make("span", { class: "st-hint" }, `${state.enter ? "Enter sends, Shift+Enter breaks the line" : "Ctrl+Enter sends"}. Files`
        + " can be dropped here; what cells ask stands here too."));
    this.empty.hidden = this.exchanges.size > 0;
    if (document.activeElement !== this.agent && !this.choosing) this.agent.value = state.agent;
    const option = (value, label) => make("option", { value }, label);
    this.sessions.replaceChildren(...state.sessions.map((name) => option(`=${name}`, name)),
      option("+", "New conversation"));
    this.sessions.value = `=${state.session}`;
    this.agents.replaceChildren(...state.agents.map(({ slug, name }) => option(slug, name)));
    this.total.textContent = state.total;
  }

  runs() {
    return [...this.exchanges.values()].some(({ told }) => told.status === "running");
  }

  // While an answer streams no other can be asked for.
  enable() {
    for (const exchange of this.exchanges.values()) exchange.enable();
    this.composer.label(this.now.busy ? "Stop" : "Send");
  }

  // One in a second at most: its answer holds all that was told before. It may be lost, too.
  async hello(patience = PATIENCE) {
    if (Date.now() - this.greeting?.at < 1000) return;
    const greeting = this.greeting = { at: Date.now() };
    const { late } = await this.call({ kind: "hello" }, { patience });
    if (this.greeting !== greeting) return;
    this.greeting = null;
    if (late) this.hello(Math.min(2 * patience, MOST_PATIENCE));
  }

  name() {
    return `${this.id}.${(this.calls += 1)}`;
  }

  // What the user does. Each call comes to an end, with `error` where nobody answers in time: an
  // answer can be lost. Only a file goes on waiting. Whatever was typed stays until it has arrived.

  call(message, { buffers, patience = PATIENCE, id = this.name() } = {}) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        if (message.kind === "upload") this.warn(SILENT, true);
        else this.settle({ id, error: this.now.session ? SILENT : NEVER, silent: true, late: true });
      }, patience);
      this.waiting.set(id, { timer, resolve, kind: message.kind });
      try {
        this.model.send({ ...message, view: this.id, id }, undefined, buffers);
      } catch {
        this.gone();
      }
    });
  }

  // What it has said is still drawn. What arrives from now on says nothing of how it stands; should
  // the kernel be back, it tells all anew.
  gone() {
    this.rev = -1;
    for (const id of [...this.waiting.keys()])
      this.settle({ id, error: `The kernel was restarted or shut down: ${AGAIN}`, silent: true });
    this.pace.add({ kind: "over" });
  }

  // Nothing more will come of what was running.
  over() {
    for (const each of this.exchanges.values())
      if (each.told.status === "running") each.end({ status: "interrupted", note: "interrupted: the kernel is gone" });
    this.now.busy = null;
    this.enable();
  }

  settle({ id, error, silent = false, ...answer }) {
    const { timer, resolve, kind } = this.waiting.get(id) ?? {}; // it may come too late
    clearTimeout(timer);
    this.waiting.delete(id);
    if (error) this.warn(error, silent);
    else if (this.silent || (kind && !BESIDE.has(kind))) this.warn(""); // what it said is over
    resolve?.({ error, ...answer });
  }

  warn(text, silent = false) {
    this.silent = silent;
    if (text && this.banner.firstChild?.textContent === text) return; // it has been said
    const close = button("close", "Close", () => this.warn(""));
    this.keep(() => {
      this.banner.replaceChildren(make("span", {}, text), close);
      this.banner.hidden = !text;
    });
  }

  announce(text) {
    this.said.textContent = text;
  }

  async stop() {
    this.composer.label(this.now.listens ? "Stopping" : "Stopping: kernel busy");
    if (!this.now.listens) {
      this.frozen = this.now.busy;
      this.warn("Stopping: kernel busy. It hears this when its cell has ended.", true);
    }
    this.announce("stopping");
    const { error } = await this.call({ kind: "stop" });
    if (error) this.enable(); // it can be pressed again
  }

  async chooseAgent() {
    this.choosing = (this.choosing ?? 0) + 1; // until Python has heard of it, it knows another
    await this.call({ kind: "agent", agent: this.agent.value.trim() });
    this.choosing -= 1;
  }

  // While the list is closed, a key would choose at once what it passes: it opens the list instead.
  unfold(event) {
    const { key, ctrlKey, altKey, metaKey } = event, passes = key.length === 1 || /^(Arrow|Page|Home|End)/.test(key);
    if (!passes || ctrlKey || altKey || metaKey) return;
    try {
      this.sessions.showPicker();
      event.preventDefault();
    } catch { /* an older browser, or a frame of another site */ }
  }

  async choose() {
    const { value } = this.sessions;
    const { error } = await this.call({ kind: "session", name: value === "+" ? null : value.slice(1) });
    if (error) this.sessions.value = `=${this.now.session}`;
    if (document.activeElement === this.sessions) this.composer.text.focus(); // else the user is elsewhere
  }

  async earlier() {
    const first = () => this.log.querySelector(".st-exchange")?.told.key, key = first();
    const { exchanges = [], earlier = true } = await this.call({ kind: "earlier", key });
    this.pace.all();
    if (first() !== key) return; // they are there by now, or others are
    const height = this.log.scrollHeight;
    this.put(exchanges, this.exchanges);
    this.keep(() => {
      this.more.hidden = !earlier;
    });
    this.log.scrollTop += this.log.scrollHeight - height;
  }

  copySource(from, { told, body }) {
    const text = this.call({ kind: "source", key: told.key }).then(({ text = body.innerText }) => text);
    copyText(this, from, text);
  }

  async export() {
    const { text, name } = await this.call({ kind: "export" });
    const link = make("a", { href: URL.createObjectURL(new Blob([text ?? ""])), download: name ?? "chat.md" });
    if (text) link.click();
    URL.revokeObjectURL(link.href);
  }

  // The newest message stays in sight, unless the user has scrolled away from it.

  follow(act) {
    const { log, exchanges: { size } } = this, at = log.scrollTop, far = log.scrollHeight - at - log.clientHeight;
    const above = log.clientHeight ? far >= 24 && at < this.top - 4 : !this.jump.hidden; // no size behind another tab
    this.pinned = !this.holds && !above;
    this.keep(act);
    if (this.pinned && this.exchanges.size > size) this.trim();
    if (this.brought) this.bring(this.brought);
    else if (this.pinned) this.toBottom();
    else log.scrollTop = at;
    if (!this.pinned) this.scrolled();
  }

  bring({ element }) {
    const { log } = this;
    this.brought = null;
    this.pinned = false;
    this.top = Infinity; // wherever that is, the end is not what is looked at
    log.scrollTop += element.getBoundingClientRect().top - log.getBoundingClientRect().top - 8;
  }

  // What is drawn anew keeps the keyboard's place, what is taken away leaves it to the text.
  keep(act) {
    const focused = document.activeElement, inside = this.root.contains(focused);
    const key = focused?.closest(".st-exchange")?.told.key, label = focused?.getAttribute("aria-label");
    act();
    const now = document.activeElement, there = (it) => this.root.contains(it) && !it.closest("[hidden]");
    if (!inside || there(now)) return;
    const found = this.exchanges.get(key)?.element.querySelectorAll("[aria-label]") ?? [];
    const same = [...found].find((each) => each.getAttribute("aria-label") === label); // it may have quotes
    (there(focused) ? focused : same ?? this.composer.text).focus({ preventScroll: true });
  }

  trim() {
    if (this.exchanges.size <= MOST) return; // each costs the browser a little with every token
    const shown = [...this.log.querySelectorAll(".st-exchange")];
    for (const { told } of shown.slice(0, -MOST)) this.remove(told.key);
    this.more.hidden = false;
  }

  toBottom() {
    this.held = null;
    this.log.scrollTop = this.log.scrollHeight;
    this.top = this.log.scrollTop;
    this.jump.hidden = true;
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    if (clientHeight) this.jump.hidden = scrollHeight - scrollTop - clientHeight < 24;
  }
}

function render({ model, el }) {
  const view = new View(model, el);
  return () => view.close();
}

export default { render };
