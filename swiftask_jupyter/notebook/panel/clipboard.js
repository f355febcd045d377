// Copies a text, which may still be on its way from Python; `from` is the button that says so.

async function copyText(view, from, text) {
  try {
    const blob = Promise.resolve(text).then((ready) => new Blob([ready], { type: "text/plain" }));
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  } catch {
    const area = make("textarea", { class: "st-unseen" });
    area.value = await text;
    view.root.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    from.focus({ preventScroll: true });
    if (!copied) return void view.warn("The browser did not let it be copied: select it, and copy it by hand.");
  }
  view.announce("copied");
  clearTimeout(from.shown);
  from.drawn ??= from.firstChild;
  from.replaceChildren(icon("check"));
  from.shown = setTimeout(() => from.replaceChildren(from.drawn), 1500);
}
