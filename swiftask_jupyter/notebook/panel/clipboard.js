// Copy a text to the clipboard. `text` may be a promise, for text that Python still has to send;
// `from` is the button that shows a check mark on success.

async function copyText(view, from, text) {
  try {
    const blob = Promise.resolve(text).then((ready) => new Blob([ready], { type: "text/plain" }));
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  } catch {
    const area = make("textarea", { class: "st-visually-hidden" });
    area.value = await text;
    view.root.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    from.focus({ preventScroll: true });
    if (!copied) return void view.warn("The browser refused to copy: select the text, and copy it by hand.");
  }
  view.announce("copied");
  clearTimeout(from.checkTimer);
  from.ownIcon ??= from.firstChild;
  from.replaceChildren(icon("check"));
  from.checkTimer = setTimeout(() => from.replaceChildren(from.ownIcon), 1500);
}
