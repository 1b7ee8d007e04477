/** Holds a case while its page is open, and says when it is held no longer. */

import { useEffect, useState } from "react";
import { Refused } from "../api.ts";
import { touchedSince } from "../app/activity.ts";
import { isGivenBack, takeHanded } from "../app/claims.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks, releaseClaim } from "./asks.ts";

export type Held =
  | { state: "asking" }
  | { state: "held"; token: number }
  | { state: "taken"; message: string }
  | { state: "lost"; message: string }
  | { state: "failed"; message: string };

/** Claims the case, keeps the lease alive, and releases it when the page goes. `attempt` asks anew. */
export function useClaim(id: string, attempt: number): Held {
  const [held, setHeld] = useState<Held>({ state: "asking" });

  useEffect(() => {
    const lease = new Lease(id, setHeld);
    void lease.start();
    const release = () => lease.release();
    window.addEventListener("pagehide", release);
    return () => {
      window.removeEventListener("pagehide", release);
      release();
    };
  }, [id, attempt]);

  return held;
}

class Lease {
  private token: number | undefined;
  private timer: number | undefined;
  private beatAt = Date.now();
  private isOver = false;

  constructor(
    private readonly id: string,
    private readonly tell: (held: Held) => void,
  ) {}

  async start(): Promise<void> {
    this.tell({ state: "asking" });
    try {
      const claim = takeHanded(this.id) ?? (await asks.claim(this.id));
      if (this.isOver) return releaseClaim(this.id, claim.token);
      this.token = claim.token;
      this.timer = window.setInterval(() => void this.beat(), claim.heartbeat_s * 1000);
      this.tell({ state: "held", token: claim.token });
    } catch (error) {
      if (!this.isOver) this.tell(refusalOf(error));
    }
  }

  release(): void {
    this.isOver = true;
    window.clearInterval(this.timer);
    if (this.token !== undefined && !isGivenBack(this.id, this.token)) releaseClaim(this.id, this.token);
    this.token = undefined;
  }

  /** A link that fails for a while is borne: only the service's word ends the claim. */
  private async beat(): Promise<void> {
    if (this.token === undefined) return;
    const isTouched = touchedSince(this.beatAt);
    this.beatAt = Date.now();
    try {
      await asks.heartbeat(this.id, this.token, isTouched);
    } catch (error) {
      if (this.isOver || !(error instanceof Refused) || error.status !== 409) return;
      window.clearInterval(this.timer);
      this.token = undefined;
      this.tell({ state: "lost", message: refusalWords(error) });
    }
  }
}

function refusalOf(error: unknown): Held {
  const isTaken = error instanceof Refused && error.code === "claimed";
  return { state: isTaken ? "taken" : "failed", message: refusalWords(error) };
}
