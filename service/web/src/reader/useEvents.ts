/** Tells the service what the reader saw and when: shown heat maps, opening and closing. */

import { useEffect, useRef } from "react";
import { useViewer } from "../viewer/store.ts";
import { asks, type ReadingEvent } from "./asks.ts";

/** Records while a case is held; what cannot be sent is let go, never the reader's work. */
export function useEvents(id: string, isHeld: boolean, canSeeAi: boolean): void {
  const overlayOn = useViewer((state) => state.overlayOn) && canSeeAi;
  const wasOn = useRef(false);

  useEffect(() => {
    if (!isHeld) return;
    tell(id, "opened");
    return () => tell(id, "closed");
  }, [id, isHeld]);

  useEffect(() => {
    if (!isHeld || overlayOn === wasOn.current) return;
    wasOn.current = overlayOn;
    tell(id, overlayOn ? "overlay_on" : "overlay_off");
  }, [id, isHeld, overlayOn]);
}

function tell(id: string, kind: ReadingEvent["kind"]): void {
  void asks.events(id, [{ kind, at: Date.now() / 1000, detail: {} }]).catch(() => undefined);
}
