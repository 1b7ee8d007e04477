/** What is laid over a film: the AI's heat map, the box of a finding, and places that the reader pointed at. */

import type { Place } from "../reader/types.ts";
import type { Look } from "./look.ts";
import { applied, css, type Point } from "./matrix.ts";
import { useViewer } from "./store.ts";
import styles from "./viewer.module.css";

export interface OverlayPicture {
  /** Of the image that it covers exactly; on any other it never shows. */
  instance: string;
  url: string | null;
  box: readonly number[] | null;
  name: string;
}

interface OverlayProps {
  look: Look;
  picture: OverlayPicture | undefined;
  places: readonly Place[];
}

export function Overlay({ look, picture, places }: OverlayProps) {
  const isOn = useViewer((state) => state.overlayOn);
  const opacity = useViewer((state) => state.overlayOpacity);
  const shown = isOn && picture?.instance === look.sopInstanceUid ? picture : undefined;
  return (
    <div className={styles.overlay} data-testid="overlay" data-shown={shown ? "yes" : "no"}>
      {shown?.url && (
        <img
          src={shown.url}
          alt={shown.name}
          width={look.columns}
          height={look.rows}
          style={{ transform: css(look.matrix), opacity }}
        />
      )}
      <svg aria-hidden>
        {shown?.box && <polygon className={styles.box} points={cornersOf(shown.box, look)} />}
        {places
          .filter((place) => place.instance === look.sopInstanceUid)
          .map((place, index) => (
            <Mark key={`${place.x}/${place.y}`} at={applied(look.matrix, [place.x, place.y])} number={index + 1} />
          ))}
      </svg>
    </div>
  );
}

function Mark({ at: [x, y], number }: { at: Point; number: number }) {
  return (
    <g className={styles.mark} transform={`translate(${x} ${y})`}>
      <circle r={13} />
      <text x={18} y={5}>
        {number}
      </text>
    </g>
  );
}

function cornersOf(box: readonly number[], look: Look): string {
  const [left = 0, top = 0, right = 0, bottom = 0] = box;
  const corners: Point[] = [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ];
  return corners.map((corner) => applied(look.matrix, corner).join(",")).join(" ");
}
