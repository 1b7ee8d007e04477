/** The report as each language's reader will see it, from the service. */

import { Modal, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { LANGUAGES as LANGUAGE_NAMES } from "../app/language.ts";
import { refusalWords } from "../app/refusals.ts";
import { ReportText } from "../reports/ReportText.tsx";
import { asks } from "./asks.ts";
import type { Content } from "./report.ts";
import { LANGUAGES, type Language } from "./types.ts";

/** Returns the preview of what is written now. */
export function usePreview(id: string, content: Content | null, isWanted: boolean) {
  return useQuery({
    queryKey: ["preview", id, content],
    queryFn: () => asks.preview(id, content as Content),
    enabled: isWanted && content !== null,
    placeholderData: (before) => before,
    gcTime: 0,
  });
}

interface PreviewProps {
  id: string;
  content: Content | null;
  isOpen: boolean;
  first: Language;
  onClose: () => void;
}

export function PreviewDialog({ id, content, isOpen, first, onClose }: PreviewProps) {
  const { t } = useTranslation("report");
  const { data, error } = usePreview(id, content, isOpen);
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title={t("preview_title")}
      size="lg"
      closeButtonProps={{ "aria-label": t("sign.back") }}
    >
      {error && <p role="alert">{refusalWords(error)}</p>}
      {data && (
        <Tabs defaultValue={first}>
          <Tabs.List>
            {LANGUAGES.map((language) => (
              <Tabs.Tab key={language} value={language} lang={language}>
                {LANGUAGE_NAMES[language]}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {LANGUAGES.map((language) => (
            <Tabs.Panel key={language} value={language} lang={language} data-preview={language}>
              <ReportText composed={data[language]} language={language} />
            </Tabs.Panel>
          ))}
        </Tabs>
      )}
    </Modal>
  );
}
