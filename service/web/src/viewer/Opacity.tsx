/** How strongly the heat map is laid over the film. */

import { useTranslation } from "react-i18next";
import { useViewer } from "./store.ts";
import styles from "./viewer.module.css";

export function Opacity() {
  const { t } = useTranslation("viewer");
  const isOn = useViewer((state) => state.overlayOn);
  const opacity = useViewer((state) => state.overlayOpacity);
  if (!isOn) return null;
  return (
    <input
      className={styles.opacity}
      type="range"
      min={10}
      max={100}
      step={10}
      value={Math.round(opacity * 100)}
      aria-label={t("opacity")}
      onChange={(event) => useViewer.setState({ overlayOpacity: Number(event.target.value) / 100 })}
    />
  );
}
