// JupyterLab commands for the panel. JupyterLab runs the command named by an attribute of a clicked
// button, if the button is in a cell's output. In an untrusted notebook it asks the user first.

const POLL = 50; // ms between two checks for the new cell
const MAX_POLLS = 40;
const MAX_POLLS_AFTER_DIALOG = 6; // once the user has answered JupyterLab's question

class JupyterLab {
  constructor(root) {
    this.root = root;
    this.hasCells = document.querySelector(".jp-NotebookPanel") !== null;
  }

  runCommand(name, args) {
    const link = make("button", { type: "button", hidden: true, "data-commandlinker-command": name,
      "data-commandlinker-args": JSON.stringify(args) });
    this.root.append(link);
    link.click();
    link.remove();
  }

  // Keep keys from JupyterLab's shortcuts, except for saving.
  onKeyDown(event) {
    event.stopPropagation();
    if (!this.hasCells || event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.runCommand("docmanager:save", {});
  }

  // Insert a cell below and put the text into it. The user may refuse, or take long to agree, so the
  // text is only written into a cell that is new and empty, never into one of the user's.
  insertCell(text) {
    const active = () => document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell.jp-mod-active");
    const before = new Set(document.querySelectorAll(".jp-Cell")), insertion = this.insertion = {};
    let polls = MAX_POLLS;
    const fill = () => {
      if (this.insertion !== insertion) return null; // a later insertion has replaced this one
      const asking = document.querySelector(".jp-Dialog") !== null;
      if (asking) polls = MAX_POLLS_AFTER_DIALOG;
      const cell = active(), created = cell && !before.has(cell) && !cell.querySelector(".cm-content")?.innerText.trim();
      if (asking || !created) return (polls -= asking ? 0 : 1) && setTimeout(fill, POLL);
      return this.runCommand("notebook:replace-selection", { text: text.replace(/\n$/, "") });
    };
    this.runCommand("notebook:insert-cell-below", {});
    fill();
  }
}
