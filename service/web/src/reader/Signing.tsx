/** Signing: what is about to be signed is read once more, then Enter signs. */

import { Modal } from "@mantine/core";
import type { TFunction } from "i18next";
import { type FormEvent, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { refusalWords } from "../app/refusals.ts";
import { allMissing, type Missing } from "./asks.ts";
import { nameIn, useCatalogue } from "./catalogue.ts";
import { Keyed } from "./Panel.tsx";
import { ReportText } from "../reports/ReportText.tsx";
import { usePreview } from "./Preview.tsx";
import type { Content } from "./report.ts";
import type { Language } from "./types.ts";
import panel from "./Panel.module.css";
import styles from "./ReportPane.module.css";

export type SignStatus = "preliminary" | "final";

interface SignSheetProps {
  id: string;
  content: Content;
  language: Language;
  status: SignStatus | "amended";
  /** Findings of the AI without a judgement: a final report needs one on each. */
  left: number;
  /** Films and series of the study that did not hang: the reader is told, and decides. */
  unseen?: number;
  /** Everything said is stored and stands in the content. */
  isSettled: boolean;
  isBusy: boolean;
  error: string | undefined;
  refusedFor: readonly Missing[];
  onSign: () => void;
  onClose: () => void;
}

export function SignSheet(props: SignSheetProps) {
  const { id, content, language, status, left, unseen = 0, isSettled, isBusy, error, refusedFor, onSign, onClose } = props;
  const { t } = useTranslation("report");
  const catalogue = useCatalogue();
  const { data, error: noPreview, isPlaceholderData, isFetching } = usePreview(id, content, isSettled);
  const isExact = isSettled && data !== undefined && !isPlaceholderData && !isFetching;
  const missing = allMissing(data?.missing ?? [], refusedFor);
  const word = (one: Missing) => {
    const field = fieldText(one.field, content, (code) => nameIn(catalogue?.findings, code), t);
    return t(`missing.${one.message_code}` as "missing.required", { field });
  };
  const canSign = !isBusy && isExact && missing.length === 0 && left === 0;
  const opening = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  // The default button has the focus as soon as it may be pressed, unless the reader went elsewhere.
  const offer = () => {
    const at = document.activeElement;
    if (canSign && (at === opening.current || at === document.body)) button.current?.focus();
  };
  useEffect(offer, [canSign]);

  function sign(event: FormEvent) {
    event.preventDefault();
    if (canSign) onSign();
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title={t(`sign.${status}`)}
      size="md"
      closeButtonProps={{ "aria-label": t("sign.back") }}
    >
      <div ref={opening} tabIndex={-1} data-autofocus className={styles.unframed} onFocus={offer}>
        {data && <ReportText composed={data[language]} language={language} />}
      </div>
      {(missing.length > 0 || left > 0) && (
        <ul className={panel.warn} role="alert" data-testid="missing">
          {left > 0 && <li>{t("missing.verdicts", { count: left })}</li>}
          {missing.map((one) => (
            <li key={`${one.field}/${one.message_code}`}>{word(one)}</li>
          ))}
        </ul>
      )}
      {unseen > 0 && (
        <p className={panel.warn} role="status" data-testid="unseen">
          {t("sign.unseen", { count: unseen })}
        </p>
      )}
      {(error ?? noPreview) && (
        <p role="alert" className={panel.warn}>
          {error ?? refusalWords(noPreview)}
        </p>
      )}
      <form className={panel.row} onSubmit={sign} onKeyDown={(event) => event.repeat && event.preventDefault()}>
        <button
          ref={button}
          type="submit"
          className={panel.keyed}
          data-tone="primary"
          data-command="sign_now"
          disabled={!canSign}
        >
          <span>{t(`sign.do_${status}`)}</span>
          <kbd aria-hidden>↵</kbd>
        </button>
        <Keyed label="Esc" tone="quiet" onClick={onClose}>
          {t("sign.back")}
        </Keyed>
      </form>
    </Modal>
  );
}

/** Names what a message speaks of: a finding by its own name, a part of the report by the word on its field. */
function fieldText(
  field: string,
  content: Content,
  findingName: (code: string) => string,
  t: TFunction<"report">,
): string {
  const index = /^findings\.(\d+)/.exec(field)?.[1];
  const finding = index === undefined ? undefined : content.findings[Number(index)];
  return finding ? findingName(finding.code) : t(`field.${field}` as "field.findings", { defaultValue: field });
}
