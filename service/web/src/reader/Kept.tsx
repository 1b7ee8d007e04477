/** Words that were written here and never stored: offered again when their case is open once more. */

import { Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { wordsOf } from "./kept.ts";
import { Keyed, Panel } from "./Panel.tsx";
import styles from "./Panel.module.css";
import type { Content } from "./report.ts";

interface KeptProps {
  content: Content;
  onTake: () => void;
  onDrop: () => void;
}

export function KeptPanel({ content, onTake, onDrop }: KeptProps) {
  const { t } = useTranslation("report");
  return (
    <Panel title={t("kept.title")} id="kept">
      <KeptText content={content} />
      <div className={styles.row}>
        <Keyed label="" tone="primary" command="kept_take" onClick={onTake}>
          {t("kept.take")}
        </Keyed>
        <Keyed label="" tone="quiet" onClick={onDrop}>
          {t("kept.drop")}
        </Keyed>
      </div>
    </Panel>
  );
}

/** To be read and copied; nothing where only codes were chosen. */
export function KeptText({ content }: { content: Content }) {
  const { t } = useTranslation("report");
  const text = wordsOf(content);
  return text ? <Textarea size="xs" autosize minRows={2} maxRows={8} readOnly label={t("kept.words")} value={text} /> : null;
}
