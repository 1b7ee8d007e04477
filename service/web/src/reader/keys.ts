/** Every key of the reading room. Digits 1 to 3 only ever give the first impression, so no other digit can store one. */

import { keyCap } from "../app/KeysHelp.tsx";
import { useMe } from "../app/me.ts";

// prettier-ignore
export type Command =
  | "impression_normal" | "impression_abnormal" | "impression_cannot_tell" | "tool_place"
  | "finding_next" | "finding_previous" | "confirm" | "reject" | "uncertain" | "accept" | "add_missed" | "quality"
  | "edit_report" | "preview" | "sign" | "sign_preliminary" | "skip" | "leave" | "cancel"
  | "tool_window" | "tool_pan" | "tool_zoom" | "tool_length" | "tool_magnify" | "delete_last"
  | "preset_4" | "preset_5" | "preset_6" | "preset_7" | "preset_8" | "own_window"
  | "invert" | "turn" | "turn_back" | "mirror" | "reset" | "compare" | "prior_next" | "link"
  | "slice_next" | "slice_previous" | "image_next" | "image_previous"
  | "overlay" | "overlay_weaker" | "overlay_stronger";

export type Group = "impression" | "findings" | "report" | "tools" | "film";

export interface Key {
  command: Command;
  /** As `app/keys.ts` names them; the first one stands on the buttons. */
  keys: readonly string[];
  group: Group;
  /** Holds only until the first impression is stored, or only from then on. */
  when?: "before" | "after";
}

function key(command: Command, group: Group, keys: string, when?: Key["when"]): Key {
  return { command, group, keys: keys === " " ? [" "] : keys.split(" "), ...(when && { when }) };
}

// prettier-ignore
export const KEYS: readonly Key[] = [
  key("impression_normal", "impression", "1", "before"),
  key("impression_abnormal", "impression", "2", "before"),
  key("impression_cannot_tell", "impression", "3", "before"),
  key("tool_place", "tools", "o"),
  key("finding_next", "findings", "j", "after"),
  key("finding_previous", "findings", "k", "after"),
  key("confirm", "findings", "c", "after"),
  key("reject", "findings", "x", "after"),
  key("uncertain", "findings", "v", "after"),
  key("accept", "findings", "Enter", "after"),
  key("add_missed", "findings", "a", "after"),
  key("quality", "findings", "q", "after"),
  key("overlay", "findings", "h", "after"),
  key("overlay_weaker", "findings", "[", "after"),
  key("overlay_stronger", "findings", "]", "after"),
  key("edit_report", "report", "e", "after"),
  key("preview", "report", "y", "after"),
  key("sign", "report", "s", "after"),
  key("sign_preliminary", "report", "Shift+s", "after"),
  key("skip", "report", "Shift+n"),
  key("leave", "report", "Shift+Backspace"),
  key("tool_window", "tools", "w"),
  key("tool_zoom", "tools", "z"),
  key("tool_pan", "tools", "p"),
  key("tool_length", "tools", "d"),
  key("tool_magnify", "tools", "m"),
  key("delete_last", "tools", "Delete"),
  key("cancel", "tools", "Escape"),
  key("own_window", "film", "0"),
  key("preset_4", "film", "4"),
  key("preset_5", "film", "5"),
  key("preset_6", "film", "6"),
  key("preset_7", "film", "7"),
  key("preset_8", "film", "8"),
  key("invert", "film", "i"),
  key("turn", "film", "r"),
  key("turn_back", "film", "Shift+r"),
  key("mirror", "film", "f"),
  key("reset", "film", " "),
  key("compare", "film", "b"),
  key("prior_next", "film", "Shift+b"),
  key("link", "film", "l"),
  key("slice_next", "film", "ArrowDown PageDown"),
  key("slice_previous", "film", "ArrowUp PageUp"),
  key("image_next", "film", "ArrowRight"),
  key("image_previous", "film", "ArrowLeft"),
];

/** Before the first impression, while it is on its way to the service, and from its answer on. */
export type Moment = "before" | "storing" | "after";

/** Returns the keys that hold at a moment of the reading. */
export function keysAt(moment: Moment): Key[] {
  if (moment === "storing") return KEYS.filter(({ when, command }) => when === undefined || command === "accept");
  return KEYS.filter((one) => one.when === undefined || one.when === moment);
}

/** Returns what stands on the key of a command, by the person's own settings. */
export function labelOf(command: Command, own?: Record<string, string>): string {
  const found = KEYS.find((one) => one.command === command);
  return found ? keyCap(own?.[settingOf(command)] ?? found.keys[0] ?? "") : "";
}

/** Returns `labelOf` under the settings of who is signed in. */
export function useLabelOf(): (command: Command) => string {
  const own = useMe().preferences.keys;
  return (command) => labelOf(command, own);
}

/** Names a command in the person's settings. */
export function settingOf(command: Command): string {
  return `reading.${command}`;
}
