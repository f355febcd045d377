// What Python says is drawn in order, and never so much at once that the page stands still: between
// two steps of something large the browser may draw, and the user may type.

const TASK = 16; // ms that drawing may take at once, the browser's layout included
const OWN = 3; // ms of it at most for our own work
const REST = 12; // ms before the next, in which messages add up

class Pace {
  constructor(view) {
    Object.assign(this, { view, due: [], steps: null, budget: OWN });
  }

  add(message) {
    this.due.push(message);
    this.timer ??= setTimeout(() => this.go(), REST);
  }

  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { due: [], steps: null, timer: null });
  }

  // How long layout takes beside our own work depends on what is drawn, so it is looked at each time.
  go() {
    const start = performance.now();
    let own = 0;
    this.timer = null;
    this.view.follow(() => {
      this.work(start + this.budget);
      own = performance.now() - start;
    });
    const share = own / (performance.now() - start);
    if (own > 1) this.budget = Math.max(2, Math.min(OWN, TASK * share));
    if (this.steps) this.timer = setTimeout(() => this.go(), REST);
  }

  all() {
    this.view.follow(() => this.work(Infinity));
  }

  work(until) {
    this.steps ??= this.step();
    while (this.steps && performance.now() < until) if (this.steps.next().done) this.steps = null;
  }

  * step() {
    for (let message; (message = this.due.shift());) {
      yield* this.view[message.kind](message) ?? [];
      yield;
    }
  }
}
