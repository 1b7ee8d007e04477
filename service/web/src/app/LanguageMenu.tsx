/** The four languages, each by its own name. */
import { NativeSelect } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { changeLanguage, currentLanguage, isLanguage, LANGUAGE_CODES, LANGUAGES } from "./language.ts";

export function LanguageMenu() {
  const { t } = useTranslation();
  return (
    <NativeSelect
      aria-label={t("nav.language")}
      size="sm"
      value={currentLanguage()}
      data={LANGUAGE_CODES.map((code) => ({ value: code, label: LANGUAGES[code] }))}
      onChange={(event) => {
        const code = event.currentTarget.value;
        if (isLanguage(code)) void changeLanguage(code);
      }}
    />
  );
}
