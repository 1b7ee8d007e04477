/** When somebody last touched this page: reading a stack of slices may go on for long without a request. */

let touchedAt = 0;

const TOUCHES = ["pointerdown", "pointermove", "wheel", "keydown"] as const;

/** Listens for a hand on the page, from now on. */
export function watchActivity(target: EventTarget = window): void {
  for (const kind of TOUCHES) {
    target.addEventListener(kind, () => (touchedAt = Date.now()), { capture: true, passive: true });
  }
}

/** Returns whether somebody touched the page at that moment (ms since 1970) or later. */
export function touchedSince(moment: number): boolean {
  return touchedAt >= moment;
}
