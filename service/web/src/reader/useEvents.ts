/** Tells the service what the reader saw and when: shown heat maps, opening and closing. */

import { useEffect, useRef } from "react";
import { useViewer } from "../viewer/store.ts";
import { asks, type ReadingEvent } from "./asks.ts";

const GATHER_MS = 3000;

/** Records while a case is held; what cannot be sent is let go, never the reader's work. */
export function useEvents(id: string, isHeld: boolean, canSeeAi: boolean): void {
  const overlayOn = useViewer((state) => state.overlayOn) && canSeeAi;
  const before = useRef(false);
  const waiting = useRef<ReadingEvent[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    if (!isHeld) return;
    const send = () => {
      clearTimeout(timer.current);
      timer.current = undefined;
      const events = waiting.current.splice(0);
      if (events.length > 0) void asks.events(id, events).catch(() => undefined);
    };
    waiting.current.push(eventOf("opened"));
    timer.current = setTimeout(send, GATHER_MS);
    return () => {
      waiting.current.push(eventOf("closed"));
      send();
    };
  }, [id, isHeld]);

  useEffect(() => {
    if (!isHeld || overlayOn === before.current) return;
    before.current = overlayOn;
    waiting.current.push(eventOf(overlayOn ? "overlay_on" : "overlay_off"));
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const events = waiting.current.splice(0);
      if (events.length > 0) void asks.events(id, events).catch(() => undefined);
    }, GATHER_MS);
  }, [id, isHeld, overlayOn]);
}

function eventOf(kind: ReadingEvent["kind"]): ReadingEvent {
  return { kind, at: Date.now() / 1000, detail: {} };
}
