/** A field for the reader's own words; it grows with them. */

import { Textarea } from "@mantine/core";
import type { RefObject } from "react";

/** What the service takes of one text. */
const MOST_LETTERS = 8000;

interface OwnWordsProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  field?: RefObject<HTMLTextAreaElement | null>;
  className?: string | undefined;
}

export function OwnWords({ label, value, onChange, field, className }: OwnWordsProps) {
  return (
    <Textarea
      ref={field ?? null}
      className={className ?? ""}
      size="xs"
      autosize
      minRows={1}
      maxRows={8}
      maxLength={MOST_LETTERS}
      label={label}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
