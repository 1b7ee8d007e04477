/** Keys that may be changed: press the button, then the key. */
import { Button, Kbd } from "@mantine/core";
import { type KeyboardEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { keyCap } from "../app/KeysHelp.tsx";
import { nameOf } from "../app/keys.ts";
import { useMe } from "../app/me.ts";
import { keep } from "./SettingsPage.tsx";

/** What is offered for change; the ids are those that the pages give their actions. */
const CHANGEABLE = [
  { id: "worklist.down", key: "j", word: "worklist:keys.down" },
  { id: "worklist.up", key: "k", word: "worklist:keys.up" },
  { id: "worklist.next", key: "n", word: "worklist:keys.next" },
  { id: "worklist.preview", key: " ", word: "worklist:keys.preview" },
  { id: "worklist.search", key: "/", word: "worklist:keys.search" },
] as const;

const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta"]);

export function Keys() {
  const { t } = useTranslation("settings");
  const { preferences } = useMe();
  const own = preferences.keys ?? {};
  const [asking, setAsking] = useState<string | null>(null);
  const set = (keys: Record<string, string>) => keep({ preferences: { ...preferences, keys } });
  const press = (id: string) => (event: KeyboardEvent) => {
    if (asking !== id || MODIFIERS.has(event.key)) return;
    event.preventDefault();
    setAsking(null);
    if (event.key !== "Escape") void set({ ...own, [id]: nameOf(event.nativeEvent) });
  };
  return (
    <section>
      <h2>{t("keys")}</h2>
      <p className="quiet">{t("keys.how")}</p>
      <dl className="settings-keys">
        {CHANGEABLE.map(({ id, key, word }) => (
          <div key={id}>
            <dt>{t(word)}</dt>
            <dd>
              <Button size="compact-sm" variant="default" onClick={() => setAsking(id)} onKeyDown={press(id)} onBlur={() => setAsking(null)}>
                {asking === id ? t("keys.press") : <Kbd size="xs">{keyCap(own[id] ?? key)}</Kbd>}
              </Button>
            </dd>
          </div>
        ))}
      </dl>
      {Object.keys(own).length > 0 && (
        <Button size="compact-sm" variant="subtle" onClick={() => void set({})}>
          {t("keys.reset")}
        </Button>
      )}
    </section>
  );
}
