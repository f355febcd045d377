// One exchange of the panel: what was asked, and the answer.

const LONG = 2000; // characters of a prompt shown at first

class Exchange {
  constructor(view) {
    Object.assign(this, { view, form: null }); // the comment that is being written
    this.element = make("div", { class: "st-exchange" });
  }

  show(told) {
    this.told = this.element.told = told;
    this.name = make("bdi", {}, told.agent);
    const body = Object.assign(make("div", { class: "st-body" }), { inParts: true });
    this.body = fill(body, told.tree, this.view);
    this.foot = make("div", { class: "st-foot" }, this.form);
    const who = make("div", { class: "st-who" }, this.name);
    const answer = { class: "st-said st-agent", "aria-label": `Answer of ${told.agent}` };
    this.element.replaceChildren(this.question(told),
      make("article", answer, who, this.body, this.foot));
    this.end({});
  }

  question({ prompt, cell, files }) {
    const { view } = this, copy = button("copy", "Copy message", () => copyText(view, copy, prompt));
    const edit = cell ? null : button("edit", "Edit and ask again", () => view.now.busy || view.composer.edit(this));
    const who = make("div", { class: "st-who" }, make("span", {}, "You"),
      cell ? make("span", { class: "st-tag" }, "cell") : null,
      make("div", { class: "st-actions" }, copy, edit));
    const list = make("ul", { class: "st-files", "aria-label": "Files" });
    list.append(...files.map((file) => make("li", {}, make("bdi", {}, file))));
    const said = make("div", { class: "st-body st-prompt", dir: "auto" }, prompt.slice(0, LONG));
    const rest = make("button", { type: "button", class: "st-text", onclick: () => {
      said.textContent = prompt;
      rest.remove();
      view.log.focus({ preventScroll: true });
      view.scrolled(); // the end is out of sight now, and stays there
    } }, `Show all ${prompt.length} characters`);
    return make("article", { class: "st-said st-user", "aria-label": cell ? "Your cell" : "You" },
      who, said, prompt.length > LONG ? rest : null,
      files.length ? list : null);
  }

  end(told) {
    Object.assign(this.told, told);
    const { status, doing, note, error, stale, agent, at, cell } = this.told, running = status === "running";
    this.element.classList.toggle("st-running", running);
    this.name.textContent = agent;
    this.name.title = at;
    const retry = make("button", { type: "button", class: "st-text st-retry", title: "Ask again whom the box above names",
      onclick: () => this.again(this.view.agent.value.trim()) }, "Retry");
    const line = make("div", { class: "st-error" }, make("span", {}, error ?? ""), cell ? null : retry);
    const more = stale ? " · an earlier message has changed since" : "";
    const actions = error && !this.body.firstChild ? null : this.actions(); // there is no answer
    const ended = make("div", {}, actions, make("span", { class: "st-note" }, note + more));
    for (const each of [...this.foot.children]) if (each !== this.form) each.remove();
    this.foot.prepend(...(error ? [line] : []),
      running ? make("span", { class: "st-waiting" }, doing || "…") : ended);
    this.enable();
  }

  enable() {
    for (const each of this.element.querySelectorAll(".st-edit, .st-retry"))
      if (this.view.now.busy) each.setAttribute("aria-disabled", "true");
      else each.removeAttribute("aria-disabled");
  }

  actions() {
    const { view, told: { liked, comment, cell, agent } } = this;
    const copy = button("copy", "Copy answer as Markdown", () => view.copySource(copy, this));
    const rate = (name, label, value) => button(name, label,
      () => this.rate({ liked: liked === value ? null : value }), { "aria-pressed": String(liked === value) });
    return make("div", { class: "st-actions" }, copy,
      cell ? null : button("retry", `Ask ${agent} again`, () => this.again()),
      rate("good", "Good answer", true), rate("bad", "Bad answer", false),
      button("comment", "Comment on this answer", () => this.comment(),
        { "aria-pressed": String(comment !== "") }));
  }

  async again(agent = "") {
    const { view, told: { key } } = this;
    if (view.now.busy || this.asking) return; // until it is heard of, another click may come
    this.asking = true;
    view.asked = key;
    const { error } = await view.call({ kind: "retry", key, agent });
    this.asking = false;
    if (!error) view.look();
  }

  rate(given) {
    return this.view.call({ kind: "rate", key: this.told.key, liked: this.told.liked, ...given });
  }

  comment() {
    if (this.form) return void this.form.querySelector("input").focus();
    const field = make("input", { type: "text", "aria-label": "Your comment", maxlength: 2000,
      value: this.told.comment });
    const send = async (event) => {
      event.preventDefault();
      const { error } = await this.rate({ comment: field.value.trim() });
      if (!error) this.leave(); // else the text stays
    };
    const escape = ({ key, isComposing }) => key === "Escape" && !isComposing && this.leave();
    this.form = make("form", { class: "st-form", onsubmit: send, onkeydown: escape }, field,
      make("button", { type: "submit", class: "st-text" }, "Comment"),
      button("close", "No comment", () => this.leave()));
    this.view.follow(() => this.foot.append(this.form));
    field.focus();
  }

  leave() {
    const inside = this.form?.contains(document.activeElement);
    this.form?.remove();
    this.form = null;
    if (inside) this.foot.querySelector(".st-comment")?.focus();
  }
}
