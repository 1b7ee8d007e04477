/** Puts something into the bar at the top of the page. */
import { type ReactNode, useEffect, useState } from "react";
import { createPortal } from "react-dom";

export function Aside({ children }: { children: ReactNode }) {
  const [place, setPlace] = useState<Element | null>(null);
  useEffect(() => setPlace(document.getElementById("shell-aside")), []);
  return place && createPortal(children, place);
}
