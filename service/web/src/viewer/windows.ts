/** Window presets: what the number keys set, and the window of an image whose sender gave none. */

export interface Window {
  center: number;
  width: number;
}

export interface Preset {
  key: string;
  /** A word of the languages' `viewer.windows`. */
  name: "lung" | "mediastinum" | "bone" | "wide" | "soft_tissue" | "brain" | "liver";
  /** Of Hounsfield units, or null: a share of the image's own window. */
  window: Window | null;
  /** Shift of the center and the width, in shares of the image's own width. */
  shift?: number;
  share?: number;
}

const CT: readonly Preset[] = [
  { key: "4", name: "lung", window: { center: -600, width: 1500 } },
  { key: "5", name: "soft_tissue", window: { center: 40, width: 400 } },
  { key: "6", name: "bone", window: { center: 400, width: 1800 } },
  { key: "7", name: "brain", window: { center: 40, width: 80 } },
  { key: "8", name: "liver", window: { center: 90, width: 150 } },
];

/** A radiograph has no unit of its own: its presets narrow or move the sender's window. */
const RADIOGRAPH: readonly Preset[] = [
  { key: "4", name: "lung", window: null, shift: -0.12, share: 0.7 },
  { key: "5", name: "mediastinum", window: null, shift: 0.15, share: 0.55 },
  { key: "6", name: "bone", window: null, shift: 0.2, share: 0.75 },
  { key: "7", name: "wide", window: null, shift: 0, share: 1.4 },
];

/** Returns the presets of a modality, keys 4 to 8; 1 to 3 are the first impression's and 0 is the sender's window. */
export function presetsOf(modality: string): readonly Preset[] {
  if (modality === "CT") return CT;
  return RADIOGRAPH;
}

/** Returns a preset's window over an image's own. In an inverted image bright is low, so the shift turns. */
export function windowOf(preset: Preset, own: Window, isInverted: boolean): Window {
  if (preset.window) return preset.window;
  const shift = (preset.shift ?? 0) * own.width * (isInverted ? -1 : 1);
  return { center: own.center + shift, width: Math.max(1, own.width * (preset.share ?? 1)) };
}

const LOWEST_SHARE = 0.005;
const HIGHEST_SHARE = 0.995;
const SAMPLES = 40_000;

/** Returns the window of an image without one: what lies between its 0.5 and 99.5 % of values. */
export function windowOfValues(values: ArrayLike<number>): Window {
  const step = Math.max(1, Math.floor(values.length / SAMPLES));
  const sampled: number[] = [];
  for (let index = 0; index < values.length; index += step) sampled.push(values[index] ?? 0);
  sampled.sort((a, b) => a - b);
  const at = (share: number) => sampled[Math.min(sampled.length - 1, Math.round(share * (sampled.length - 1)))] ?? 0;
  const [low, high] = [at(LOWEST_SHARE), at(HIGHEST_SHARE)];
  return { center: (low + high) / 2, width: Math.max(1, high - low) };
}

/** Returns the lowest and highest value that a window shows (PS3.3 C.11.2.1.2, without the half steps). */
export function rangeOf({ center, width }: Window): { lower: number; upper: number } {
  return { lower: center - width / 2, upper: center + width / 2 };
}

/** Returns the window of a range of shown values. */
export function windowOfRange({ lower, upper }: { lower: number; upper: number }): Window {
  return { center: (lower + upper) / 2, width: upper - lower };
}
