/** Asks before a page with work that nobody stored is left. */
import { Button, Group, Modal } from "@mantine/core";
import { useBlocker } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

/** Stands on the page while there is something to lose. */
export function Unsaved({ isUnsaved }: { isUnsaved: boolean }) {
  const { t } = useTranslation("common");
  const { status, proceed, reset } = useBlocker({
    shouldBlockFn: () => isUnsaved,
    enableBeforeUnload: () => isUnsaved,
    withResolver: true,
  });
  if (status !== "blocked") return null;
  return (
    <Modal opened onClose={reset} title={t("unsaved.title")} size="sm" closeButtonProps={{ "aria-label": t("close") }}>
      <p>{t("unsaved.why")}</p>
      <Group gap="xs">
        <Button size="xs" data-autofocus onClick={reset}>
          {t("unsaved.stay")}
        </Button>
        <Button size="xs" variant="default" onClick={proceed}>
          {t("unsaved.leave")}
        </Button>
      </Group>
    </Modal>
  );
}
