/** One film on the screen: pixels below, what is laid over them in the middle, what must always be readable on top. */

import { type MouseEvent, type PointerEvent, useEffect, useRef, useState, type WheelEvent } from "react";
import { useTranslation } from "react-i18next";
import type { Place } from "../reader/types.ts";
import { Badges } from "./Badges.tsx";
import { Film } from "./film.ts";
import type { Look } from "./look.ts";
import type { Stack } from "./hanging.ts";
import { inverted } from "./matrix.ts";
import { Overlay, type OverlayPicture } from "./Overlay.tsx";
import { leadFrom, type PaneNumber, setFilm } from "./panes.ts";
import { useViewer } from "./store.ts";
import styles from "./viewer.module.css";

interface PaneProps {
  pane: PaneNumber;
  stack: Stack | undefined;
  caption: string;
  isPrior?: boolean;
  /** It may be another person's. */
  isDoubtful?: boolean;
  picture?: OverlayPicture | undefined;
  places?: readonly Place[];
  onPlace?: ((place: Place) => void) | undefined;
}

export function Pane(props: PaneProps) {
  const { pane, stack, caption, isPrior = false, isDoubtful = false, picture, places = [], onPlace } = props;
  const { t } = useTranslation("viewer");
  const element = useRef<HTMLDivElement>(null);
  const { look, failed } = useFilm(pane, stack, element);
  const isActive = useViewer((state) => state.columns === 2 && state.activePane === pane);
  const tool = useViewer((state) => state.tool);
  const setActivePane = useViewer((state) => state.setActivePane);

  function place(event: PointerEvent<HTMLDivElement>) {
    setActivePane(pane);
    if (tool !== "place" || !onPlace || !look || event.button !== 0) return;
    const box = event.currentTarget.getBoundingClientRect();
    const at = inverted(look.matrix, [event.clientX - box.left, event.clientY - box.top]);
    if (at && at[0] >= 0 && at[1] >= 0 && at[0] <= look.columns && at[1] <= look.rows) {
      onPlace({ instance: look.sopInstanceUid, x: Math.round(at[0]), y: Math.round(at[1]) });
    }
  }

  return (
    <section
      className={styles.pane}
      data-active={isActive || undefined}
      data-prior={isPrior || undefined}
      data-tool={tool}
      data-ready={look ? "yes" : "no"}
      data-matrix={look?.matrix.join(" ")}
      data-window={look && `${Math.round(look.window.center)} ${Math.round(look.window.width)}`}
      data-rendering={look && (look.isCpu ? "cpu" : "gpu")}
      data-testid={`pane-${pane}`}
      aria-label={caption}
      onPointerDown={place}
      onMouseDownCapture={keepKeys}
      onContextMenu={(event) => event.preventDefault()}
    >
      <div ref={element} className={styles.film} onWheel={(event) => turnWheel(event, pane, stack)} />
      {look && <Overlay look={look} picture={picture} places={places} />}
      {look && stack && <Badges {...{ look, stack, caption, isPrior, isDoubtful }} />}
      {!look && !failed && stack && <p className={styles.waiting}>{t("loading")}</p>}
      {failed && (
        <p className={styles.waiting} role="alert">
          {t("failed")}
        </p>
      )}
    </section>
  );
}

/** The library swallows keys of a focused film: a click leaves text fields, and the focus goes nowhere. */
function keepKeys(event: MouseEvent) {
  event.preventDefault();
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

const films = new Map<PaneNumber, Film>();

function turnWheel(event: WheelEvent, pane: PaneNumber, stack: Stack | undefined) {
  const film = films.get(pane);
  if (!film || !stack || event.ctrlKey) return;
  useViewer.getState().setActivePane(pane);
  if (stack.isStack && !event.shiftKey) film.scroll(event.deltaY > 0 ? 1 : -1);
  else film.zoomBy(event.deltaY > 0 ? -1 : 1);
}

/** Makes the pane's film, hangs what is wanted, and tells how it looks. */
function useFilm(pane: PaneNumber, stack: Stack | undefined, element: { current: HTMLDivElement | null }) {
  const [look, setLook] = useState<Look>();
  const [failed, setFailed] = useState(false);
  const film = useRef<Film>(undefined);

  useEffect(() => {
    if (!element.current) return;
    const made = new Film(`pane-${pane}`, element.current, (seen, isMissing) => {
      setLook(seen);
      setFailed(isMissing);
      if (seen) leadFrom(pane);
    });
    film.current = made;
    films.set(pane, made);
    const watch = new ResizeObserver(() => made.resize());
    watch.observe(element.current);
    return () => {
      watch.disconnect();
      setFilm(pane, null);
      films.delete(pane);
      made.close();
    };
  }, [pane, element]);

  useEffect(() => {
    const hung = film.current;
    if (!hung || !stack) return;
    setFilm(pane, hung, stack.modality);
    void hung.hang(stack);
  }, [pane, stack]);

  const settleFilm = useViewer((state) => state.settleFilm);
  useEffect(() => {
    if (pane === 0 && (look || failed)) settleFilm(look !== undefined);
  }, [pane, look, failed, settleFilm]);

  return { look, failed };
}
