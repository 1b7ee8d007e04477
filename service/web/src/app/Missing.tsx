/** What is shown where there is nothing, or where a page broke. */
import { Button } from "@mantine/core";
import type { ErrorComponentProps } from "@tanstack/react-router";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { Refused } from "../api.ts";

export function Missing() {
  const { t } = useTranslation();
  return (
    <div className="notice-page" role="alert">
      <p>{t("missing")}</p>
      <Link to="/">{t("missing.home")}</Link>
    </div>
  );
}

export function PageFailed({ error, reset }: ErrorComponentProps) {
  const { t } = useTranslation();
  return (
    <div className="notice-page" role="alert">
      <p>{t("failed")}</p>
      <p className="quiet">{error instanceof Refused ? error.message : String(error)}</p>
      <Button variant="default" onClick={reset}>
        {t("failed.again")}
      </Button>
    </div>
  );
}
