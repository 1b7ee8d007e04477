/** One part of the panel beside the films, under its heading. */

import type { ReactNode } from "react";
import styles from "./Panel.module.css";

interface PanelProps {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  id?: string;
}

export function Panel({ title, aside, children, id }: PanelProps) {
  return (
    <section className={styles.panel} aria-label={title} data-panel={id}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

interface KeyedProps {
  label: string;
  onClick: () => void;
  children: ReactNode;
  pressed?: boolean | undefined;
  tone?: "primary" | "quiet" | undefined;
  disabled?: boolean | undefined;
  command?: string | undefined;
}

/** A button that shows its key. */
export function Keyed({ label, onClick, children, pressed, tone, disabled, command }: KeyedProps) {
  return (
    <button
      type="button"
      className={styles.keyed}
      data-tone={tone}
      data-command={command}
      aria-pressed={pressed}
      aria-keyshortcuts={label || undefined}
      disabled={disabled}
      onClick={onClick}
    >
      <span>{children}</span>
      {label && <kbd aria-hidden>{label}</kbd>}
    </button>
  );
}
