/** The films of a case: one, or two side by side, under one row of tools. */

import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { onPrefetch } from "../app/nextCase.ts";
import type { Command } from "../reader/keys.ts";
import type { CaseView, Place } from "../reader/types.ts";
import { speak, startEngine, useTool } from "./engine.ts";
import { type Stack, stacksOf } from "./hanging.ts";
import { limitCache, prefetch } from "./images.ts";
import type { OverlayPicture } from "./Overlay.tsx";
import { Pane } from "./Pane.tsx";
import { useViewer } from "./store.ts";
import { Toolbar } from "./Toolbar.tsx";
import styles from "./viewer.module.css";

interface ViewerProps {
  stack: Stack | undefined;
  caption: string;
  /** What hangs beside it: another image of the study or a prior. */
  beside: { stack: Stack; caption: string; isPrior: boolean; isDoubtful: boolean } | undefined;
  canCompare: boolean;
  picture: OverlayPicture | undefined;
  places: readonly Place[];
  onPlace: ((place: Place) => void) | undefined;
  useCpu: boolean;
  run: (command: Command) => void;
}

export function Viewer(props: ViewerProps) {
  const { stack, caption, beside, picture, places, onPlace, run } = props;
  const { t, i18n } = useTranslation("viewer");
  const columns = useViewer((state) => state.columns);
  const tool = useViewer((state) => state.tool);
  const isReady = useEngine(props.useCpu);

  useEffect(() => {
    speak({ language: i18n.language, unit: (unit) => t(`units.${unit}`) });
  }, [i18n.language, t]);
  useEffect(() => {
    if (isReady) useTool(tool);
  }, [tool, isReady]);

  return (
    <div className={styles.viewer}>
      <Toolbar
        modality={stack?.modality ?? ""}
        hasPriors={props.canCompare}
        hasOverlay={picture !== undefined}
        canPlace={onPlace !== undefined}
        run={run}
      />
      <div className={styles.grid}>
        {isReady && (
          <Pane pane={0} stack={stack} caption={caption} picture={picture} places={places} onPlace={onPlace} />
        )}
        {isReady && columns === 2 && beside && (
          <Pane
            pane={1}
            stack={beside.stack}
            caption={beside.caption}
            isPrior={beside.isPrior}
            isDoubtful={beside.isDoubtful}
            picture={picture}
            places={places}
            onPlace={beside.isPrior ? undefined : onPlace}
          />
        )}
      </div>
    </div>
  );
}

function useEngine(useCpu: boolean): boolean {
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    startEngine(useCpu);
    limitCache();
    onPrefetch(fetchAhead);
    setReady(true);
  }, [useCpu]);
  return isReady;
}

/** A film and the one beside it: what a case shows first. */
const FIRST = 2;

async function fetchAhead(view: unknown): Promise<void> {
  for (const stack of stacksOf((view as CaseView).series).slice(0, FIRST)) await prefetch(stack);
}
