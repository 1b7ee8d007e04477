/** Who has no password proves at the hospital's sign-in who they are: in a new window, so that nothing here is lost. */
import { Button } from "@mantine/core";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { type Me, useMe } from "./me.ts";

const LOOK_MS = 2_000;

/** Tells whether this person can only prove who they are at the hospital's sign-in. */
export function useOnlyProvider(): boolean {
  const me = useMe();
  return !me.has_password && me.sign_in.oidc;
}

/** `onConfirmed` is called once, when the service knows of the fresh proof. */
export function ProviderConfirm({ onConfirmed }: { onConfirmed: () => void }) {
  const { t } = useTranslation("access");
  const hear = useRef(onConfirmed);
  hear.current = onConfirmed;

  useEffect(() => {
    let isOver = false;
    const look = async () => {
      const me = await ask<Me>("/api/me", { background: true }).catch(() => null);
      if (isOver || me?.confirmed_until == null || me.confirmed_until <= me.now) return;
      isOver = true;
      hear.current();
    };
    const timer = window.setInterval(() => void look(), LOOK_MS);
    return () => {
      isOver = true;
      window.clearInterval(timer);
    };
  }, []);

  return (
    <>
      <p className="quiet">{t("confirm.oidc.how")}</p>
      <Button component="a" href="/api/oidc/start?confirm=true" target="_blank" rel="noopener" data-autofocus>
        {t("confirm.oidc")}
      </Button>
    </>
  );
}
