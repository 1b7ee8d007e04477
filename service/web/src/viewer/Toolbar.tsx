/** The buttons above the films; each shows its key. */

import { useTranslation } from "react-i18next";
import { type Command, useLabelOf } from "../reader/keys.ts";
import { type ToolName, useViewer } from "./store.ts";
import { presetsOf } from "./windows.ts";
import styles from "./viewer.module.css";

interface ToolbarProps {
  modality: string;
  hasPriors: boolean;
  hasOverlay: boolean;
  canPlace: boolean;
  run: (command: Command) => void;
}

const TOOLS = [
  ["window", "tool_window"],
  ["zoom", "tool_zoom"],
  ["pan", "tool_pan"],
  ["length", "tool_length"],
  ["magnify", "tool_magnify"],
] as const satisfies readonly [ToolName, Command][];
const STANDS = ["own_window", "invert", "turn", "mirror", "reset"] as const satisfies readonly Command[];

export function Toolbar({ modality, hasPriors, hasOverlay, canPlace, run }: ToolbarProps) {
  const { t } = useTranslation("viewer");
  const labelOf = useLabelOf();
  const { tool, columns, isLinked, overlayOn } = useViewer();

  function button(command: Command, name: string, pressed?: boolean, isOff = false) {
    return (
      <button
        key={command}
        type="button"
        data-command={command}
        aria-pressed={pressed}
        aria-keyshortcuts={labelOf(command)}
        disabled={isOff}
        onClick={() => run(command)}
      >
        {name} <kbd aria-hidden>{labelOf(command)}</kbd>
      </button>
    );
  }

  return (
    <div className={styles.toolbar} role="toolbar" aria-label={t("tools")}>
      {TOOLS.map(([name, command]) => button(command, t(`commands.${command}`), tool === name))}
      {canPlace && button("tool_place", t("commands.tool_place"), tool === "place")}
      <i className={styles.gap} />
      {presetsOf(modality).map((preset) => button(`preset_${preset.key}` as Command, t(`windows.${preset.name}`)))}
      {STANDS.map((command) => button(command, t(`commands.${command}`)))}
      <i className={styles.spring} />
      {hasOverlay && button("overlay", t("commands.overlay"), overlayOn)}
      {button("compare", t("commands.compare"), columns === 2, !hasPriors && columns === 1)}
      {columns === 2 && button("link", t("commands.link"), isLinked)}
    </div>
  );
}
