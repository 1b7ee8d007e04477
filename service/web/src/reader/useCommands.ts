/** Every key of the desk, joined to what it does. */

import { useTranslation } from "react-i18next";
import { type KeyAction, useKeys } from "../app/keys.ts";
import { runOnFilm } from "../viewer/commands.ts";
import { useViewer } from "../viewer/store.ts";
import { type Command, keysAt, settingOf } from "./keys.ts";
import { nextGraded } from "./quality.ts";
import type { SignStatus } from "./Signing.tsx";
import type { Impression } from "./types.ts";
import type { Hanging } from "./useHanging.ts";
import type { Reading } from "./useReading.ts";

interface Parts {
  reading: Reading;
  hanging: Hanging;
  /** Whether an impression may be given: one of a film that nobody saw says no more than that. */
  canGive: (impression: Impression) => boolean;
  /** There is a report to write and to sign. */
  isReady: boolean;
  /** A dialog is open: its own keys hold. */
  isQuiet: boolean;
  onAdd: () => void;
  onPreview: () => void;
  onEdit: () => void;
  onSign: (status: SignStatus) => void;
  onSkip: () => void;
  onLeave: () => void;
}

/** Listens for the keys and returns what the buttons call. */
export function useCommands(parts: Parts): (command: Command) => void {
  const { t } = useTranslation("reader");
  const run = (command: Command) => {
    const act = actsOf(parts)[command];
    if (act) act();
    else runOnFilm(command);
  };
  const moment = parts.reading.state.impression === null ? "before" : "after";
  const actions: KeyAction[] = keysAt(moment).map(({ command, keys, group }) => ({
    id: settingOf(command),
    keys,
    label: t(`commands.${command}`),
    group: t(`groups.${group}`),
    inFields: command === "cancel",
    repeats: command === "slice_next" || command === "slice_previous",
    run: (event) => {
      if (command === "cancel") leaveField(event);
      else run(command);
    },
  }));
  useKeys(actions, { enabled: !parts.isQuiet });
  return run;
}

function actsOf(parts: Parts): Partial<Record<Command, () => void>> {
  const { reading, hanging, isReady } = parts;
  const { step } = reading;
  const give = (impression: Impression) => () => parts.canGive(impression) && reading.give(impression);
  const whenReady = (act: () => void) => () => isReady && act();
  return {
    impression_normal: give("normal"),
    impression_abnormal: give("abnormal"),
    impression_cannot_tell: give("cannot_tell"),
    finding_next: () => step({ kind: "move", by: 1 }),
    finding_previous: () => step({ kind: "move", by: -1 }),
    confirm: () => step({ kind: "judge", judgement: "confirmed" }),
    reject: () => step({ kind: "judge", judgement: "rejected" }),
    uncertain: () => step({ kind: "judge", judgement: "uncertain" }),
    accept: () => step({ kind: "accept" }),
    add_missed: parts.onAdd,
    quality: () => step({ kind: "quality", quality: nextGraded(reading.state.quality) }),
    edit_report: whenReady(parts.onEdit),
    preview: whenReady(parts.onPreview),
    sign: whenReady(() => parts.onSign("final")),
    sign_preliminary: whenReady(() => parts.onSign("preliminary")),
    delete_last: () => void (reading.unpoint() || runOnFilm("delete_last")),
    skip: parts.onSkip,
    leave: parts.onLeave,
    compare: () => {
      const { columns, setColumns } = useViewer.getState();
      if (columns === 2) setColumns(1);
      else if (hanging.canCompare) setColumns(2);
    },
    prior_next: hanging.hangNext,
    image_next: () => hanging.showBy(1),
    image_previous: () => hanging.showBy(-1),
  };
}

/** Escape leaves a text field, and puts the first tool back in the hand. */
function leaveField(event: KeyboardEvent): void {
  const target = event.target;
  if (target instanceof HTMLElement && target !== document.body && target.matches("input, textarea, select"))
    target.blur();
  else useViewer.getState().setTool("window");
}
