// A queue of messages from Python. They are drawn in order and in short steps, so that the browser can
// paint, and the user can type, while something large is drawn.

const TASK = 16; // ms that one drawing task may take, including the browser's layout
const MAX_OWN = 3; // ms of a task at most for our own code
const PAUSE = 12; // ms between two tasks, in which messages collect

class DrawQueue {
  constructor(view) {
    Object.assign(this, { view, messages: [], steps: null, budget: MAX_OWN });
  }

  add(message) {
    this.messages.push(message);
    this.timer ??= setTimeout(() => this.runTask(), PAUSE);
  }

  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { messages: [], steps: null, timer: null });
  }

  // Layout time depends on what is drawn, so each task measures it and adjusts the budget of the next.
  runTask() {
    const start = performance.now();
    let own = 0;
    this.timer = null;
    this.view.drawAndScroll(() => {
      this.drawUntil(start + this.budget);
      own = performance.now() - start;
    });
    const share = own / (performance.now() - start);
    if (own > 1) this.budget = Math.max(2, Math.min(MAX_OWN, TASK * share));
    if (this.steps) this.timer = setTimeout(() => this.runTask(), PAUSE);
  }

  // Draw all waiting messages at once.
  drawAll() {
    this.view.drawAndScroll(() => this.drawUntil(Infinity));
  }

  drawUntil(deadline) {
    this.steps ??= this.drawInSteps();
    while (this.steps && performance.now() < deadline) if (this.steps.next().done) this.steps = null;
  }

  * drawInSteps() {
    for (let message; (message = this.messages.shift());) {
      yield* this.view.draw(message) ?? [];
      yield;
    }
  }
}
