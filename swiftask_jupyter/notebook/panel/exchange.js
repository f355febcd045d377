// One exchange in the panel: a question and its answer.

const LONG_PROMPT = 2000; // characters of a prompt that are shown at first

class Exchange {
  constructor(view) {
    Object.assign(this, { view, commentForm: null });
    this.element = make("div", { class: "st-exchange" });
  }

  // Draw the exchange from the data that Python sent (see ExchangeView.as_message).
  show(data) {
    this.data = this.element.data = data;
    this.name = make("bdi", {}, data.agent);
    const body = Object.assign(make("div", { class: "st-body" }), { inChunks: true });
    this.body = fill(body, data.tree, this.view);
    this.footer = make("div", { class: "st-footer" }, this.commentForm);
    const author = make("div", { class: "st-author" }, this.name);
    const answer = { class: "st-message st-answer", "aria-label": `Answer of ${data.agent}` };
    this.element.replaceChildren(this.question(data),
      make("article", answer, author, this.body, this.footer));
    this.update({});
  }

  question({ prompt, from_cell, files }) {
    const { view } = this, copy = iconButton("copy", "Copy message", () => copyText(view, copy, prompt));
    const edit = from_cell ? null
      : iconButton("edit", "Edit and ask again", () => view.state.in_flight || view.composer.edit(this));
    const author = make("div", { class: "st-author" }, make("span", {}, "You"),
      from_cell ? make("span", { class: "st-badge" }, "cell") : null,
      make("div", { class: "st-actions" }, copy, edit));
    const list = make("ul", { class: "st-files", "aria-label": "Files" });
    list.append(...files.map((file) => make("li", {}, make("bdi", {}, file))));
    const text = make("div", { class: "st-body st-prompt", dir: "auto" }, prompt.slice(0, LONG_PROMPT));
    const showAll = make("button", { type: "button", class: "st-text-button", onclick: () => {
      text.textContent = prompt;
      showAll.remove();
      view.log.focus({ preventScroll: true });
      view.onScroll(); // the end is out of sight now, and the view must not scroll to it
    } }, `Show all ${prompt.length} characters`);
    return make("article", { class: "st-message st-question", "aria-label": from_cell ? "Your cell" : "You" },
      author, text, prompt.length > LONG_PROMPT ? showAll : null,
      files.length ? list : null);
  }

  // Update everything but the answer's text: status, footer, error, buttons.
  update(meta) {
    Object.assign(this.data, meta);
    const { status, activity, footer, error, stale, agent, asked_at, from_cell, withheld } = this.data;
    const running = status === "running";
    this.element.classList.toggle("st-running", running);
    this.name.textContent = agent;
    this.name.title = asked_at;
    const retry = make("button", { type: "button", class: "st-text-button st-retry",
      title: "Ask again, with the agent named above",
      onclick: () => this.retry(this.view.agentInput.value.trim()) }, "Retry");
    const errorLine = make("div", { class: "st-error" }, make("span", {}, error ?? ""), from_cell ? null : retry);
    const remark = stale ? " · an earlier message has changed since" : "";
    const actions = error && !this.body.firstChild ? null : this.actions(); // none without an answer
    const share = make("button", { type: "button", class: "st-text-button st-retry",
      title: `Ask again, and send ${agent} what was said at other services too`,
      onclick: () => this.retry("", true) }, withheld === 1 ? "Send it too" : "Send them too");
    const ended = make("div", {}, actions, make("span", { class: "st-footer-text" }, footer + remark),
      withheld && !from_cell ? share : null);
    for (const each of [...this.footer.children]) if (each !== this.commentForm) each.remove();
    this.footer.prepend(...(error ? [errorLine] : []),
      running ? make("span", { class: "st-activity" }, activity || "…") : ended);
    this.updateButtons();
  }

  updateButtons() {
    for (const each of this.element.querySelectorAll(".st-edit, .st-retry"))
      if (this.view.state.in_flight) each.setAttribute("aria-disabled", "true");
      else each.removeAttribute("aria-disabled");
  }

  actions() {
    const { view, data: { liked, comment, from_cell, agent } } = this;
    const copy = iconButton("copy", "Copy answer as Markdown", () => this.copyAnswer(copy));
    const rate = (name, label, value) => iconButton(name, label,
      () => this.rate({ liked: liked === value ? null : value }), { "aria-pressed": String(liked === value) });
    return make("div", { class: "st-actions" }, copy,
      from_cell ? null : iconButton("retry", `Ask ${agent} again`, () => this.retry()),
      rate("good", "Good answer", true), rate("bad", "Bad answer", false),
      iconButton("comment", "Comment on this answer", () => this.openCommentForm(),
        { "aria-pressed": String(comment !== "") }));
  }

  copyAnswer(from) {
    const { view, data: { key }, body } = this;
    const text = view.request({ kind: "get_source", key }).then(({ text = body.innerText }) => text);
    copyText(view, from, text);
  }

  async retry(agent = "", share_history = false) {
    const { view, data: { key } } = this;
    if (view.state.in_flight || this.retrying) return; // a second click before Python's response
    this.retrying = true;
    view.askedKey = key;
    const { error } = await view.request({ kind: "retry", key, agent, share_history });
    this.retrying = false;
    if (!error) view.showAnswer();
  }

  rate(given) {
    return this.view.request({ kind: "rate", key: this.data.key, liked: this.data.liked, ...given });
  }

  openCommentForm() {
    if (this.commentForm) return void this.commentForm.querySelector("input").focus();
    const field = make("input", { type: "text", "aria-label": "Your comment", maxlength: 2000,
      value: this.data.comment });
    const submit = async (event) => {
      event.preventDefault();
      const { error } = await this.rate({ comment: field.value.trim() });
      if (!error) this.closeCommentForm(); // on an error the text stays
    };
    const onKeyDown = ({ key, isComposing }) => key === "Escape" && !isComposing && this.closeCommentForm();
    this.commentForm = make("form", { class: "st-comment-form", onsubmit: submit, onkeydown: onKeyDown }, field,
      make("button", { type: "submit", class: "st-text-button" }, "Comment"),
      iconButton("close", "Cancel comment", () => this.closeCommentForm()));
    this.view.drawAndScroll(() => this.footer.append(this.commentForm));
    field.focus();
  }

  closeCommentForm() {
    const hadFocus = this.commentForm?.contains(document.activeElement);
    this.commentForm?.remove();
    this.commentForm = null;
    if (hadFocus) this.footer.querySelector(".st-comment")?.focus();
  }
}
