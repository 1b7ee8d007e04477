/** Which keys may be changed, and who has a key already: two actions that hold at once never share one. */
import { keysOf, normal } from "../app/keys.ts";
import { KEYS, keysAt, type Moment, settingOf } from "../reader/keys.ts";

export interface Bound {
  /** Those that the pages give their actions. */
  id: string;
  keys: readonly string[];
  /** In the languages. */
  word: string;
  group: string;
  /** Where it holds; actions that share no place may share a key. */
  places: readonly ("worklist" | Moment)[];
  isFixed?: boolean;
}

const LIST = "worklist:title";
const MOMENTS: readonly Moment[] = ["before", "storing", "after"];
/** Their keys mean the same everywhere: leave, and help. */
const FIXED = new Set(["Escape", "?", "Tab"]);
/** These only ever give the first impression, so that no other digit can store one. */
const IMPRESSION_DIGITS = new Set(["1", "2", "3"]);

function ofList(name: string, keys: readonly string[], word: string, isFixed = false): Bound {
  return { id: `worklist.${name}`, keys, word: `worklist:keys.${word}`, group: LIST, places: ["worklist"], isFixed };
}

/** Every action with keys, in the order of the settings. */
export const BOUND: readonly Bound[] = [
  ofList("down", ["j", "ArrowDown"], "down"),
  ofList("up", ["k", "ArrowUp"], "up"),
  ofList("open", ["Enter"], "read", true),
  ofList("next", ["n"], "next"),
  ofList("preview", [" "], "preview"),
  ofList("search", ["/"], "search"),
  ...KEYS.map(({ command, keys, group }) => ({
    id: settingOf(command),
    keys,
    word: `reader:commands.${command}`,
    group: `reader:groups.${group}`,
    places: MOMENTS.filter((moment) => keysAt(moment).some((one) => one.command === command)),
    isFixed: command === "cancel",
  })),
];

/** Returns why an action cannot have a key: the action that has it, or "reserved"; null: it can. */
export function obstacle(action: Bound, key: string, own: Record<string, string>): Bound | "reserved" | null {
  const wanted = normal(key);
  if (FIXED.has(wanted)) return "reserved";
  if (IMPRESSION_DIGITS.has(wanted) && action.group !== "reader:groups.impression") return "reserved";
  const holder = BOUND.find(
    (other) =>
      other.id !== action.id &&
      other.places.some((place) => action.places.includes(place)) &&
      keysOf(other, own).some((one) => normal(one) === wanted),
  );
  return holder ?? null;
}

/** Returns the person's settings with an action on a key; its own default keys need no setting. */
export function withKey(action: Bound, key: string, own: Record<string, string>): Record<string, string> {
  const { [action.id]: _, ...others } = own;
  return normal(action.keys[0] ?? "") === normal(key) ? others : { ...others, [action.id]: key };
}
