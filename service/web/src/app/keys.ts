/** Keys: what each does on this page, changed by the person's own settings, listed under `?`. */
import { useEffect, useMemo, useRef } from "react";
import { create } from "zustand";
import { useMe } from "./me.ts";

export interface KeyAction {
  /** Names the action in settings: `worklist.next`. */
  id: string;
  /** Default keys, as KeyboardEvent.key; a letter is meant in either case. `Shift+N`, `Ctrl+Enter` and `Alt+1` work. */
  keys: readonly string[];
  /** What it does, in the reader's words; shown under `?`. */
  label: string;
  /** Heading under `?`. */
  group?: string;
  /** Acts in text fields as well: only for keys with Ctrl, or Escape. */
  inFields?: boolean;
  /** May be held: it only moves through slices or a list. */
  repeats?: boolean;
  run: (event: KeyboardEvent) => void;
}

interface Shown {
  actions: ReadonlyMap<symbol, readonly KeyAction[]>;
  helpOpen: boolean;
}

/** What the pages on screen listen for; the newest first. */
export const useKeyStore = create<Shown>(() => ({ actions: new Map(), helpOpen: false }));

/** Returns the event's key as settings name it: `n`, `Shift+n`, `Ctrl+Enter`. */
export function nameOf(event: Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const letter = letterOf(event);
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (letter.length > 1 || /[a-z]/.test(letter))) parts.push("Shift");
  return [...parts, letter].join("+");
}

/** A Korean or Russian keyboard gives its own letters; the key's place says which Latin one was meant. */
function letterOf(event: Pick<KeyboardEvent, "key" | "code">): string {
  if (event.key.length === 1 && event.key > "~") {
    const place = /^(?:Key|Digit)(.)$/.exec(event.code ?? "");
    if (place?.[1]) return place[1].toLowerCase();
  }
  if (event.key === "Process" || event.key === "Unidentified") {
    const place = /^(?:Key|Digit)(.)$/.exec(event.code ?? "");
    if (place?.[1]) return place[1].toLowerCase();
  }
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Returns a key's name with its letter in lower case. */
export function normal(key: string): string {
  const parts = key === "+" ? ["+"] : key.split("+");
  const last = parts.at(-1) ?? "";
  return [...parts.slice(0, -1), last.length === 1 ? last.toLowerCase() : last].join("+");
}

/** Returns the keys of an action after the person's own settings. */
export function keysOf(action: Pick<KeyAction, "id" | "keys">, own: Record<string, string> | undefined): readonly string[] {
  const set = own?.[action.id];
  return set ? [set] : action.keys;
}

export function find(actions: Iterable<KeyAction>, event: KeyboardEvent, own: Record<string, string> | undefined): KeyAction | null {
  const name = nameOf(event);
  for (const action of actions) {
    if (keysOf(action, own).some((key) => normal(key) === name)) return action;
  }
  return null;
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** What Enter and Space do themselves when it has the focus. */
const CONTROL =
  "button, a[href], summary, [role=button], [role=link], [role=tab], [role=radio], [role=option], [role=checkbox], [role=switch], [role=menuitem]";

/** The focused control has its own word on this key: a page's key must not do something else. */
export function isControls(event: Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey" | "target">): boolean {
  const name = nameOf(event);
  if (name !== "Enter" && name !== " ") return false;
  const target = event.target as Partial<Element> | null;
  return typeof target?.closest === "function" && target.closest(CONTROL) !== null;
}

/** Listens for these keys while the component is shown; a dialog's own keys win by `enabled: false` beneath it. */
export function useKeys(actions: readonly KeyAction[], { enabled = true }: { enabled?: boolean } = {}): void {
  const own = useMe().preferences.keys;
  const latest = useRef(actions);
  latest.current = actions;
  const signature = useMemo(() => actions.map((one) => `${one.id} ${one.label}`).join("\n"), [actions]);

  useEffect(() => {
    if (!enabled) return undefined;
    const mark = Symbol("keys");
    useKeyStore.setState(({ actions: all }) => ({ actions: new Map(all).set(mark, latest.current) }));
    return () => {
      useKeyStore.setState(({ actions: all }) => {
        const rest = new Map(all);
        rest.delete(mark);
        return { actions: rest };
      });
    };
  }, [enabled, signature]);

  useEffect(() => {
    if (!enabled) return undefined;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || useKeyStore.getState().helpOpen) return;
      const action = find(latest.current, event, own);
      if (!action || isControls(event) || (isField(event.target) && !action.inFields)) return;
      event.preventDefault();
      if (event.repeat && !action.repeats) return; // a key that is held acts once
      action.run(event);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [enabled, own]);
}
