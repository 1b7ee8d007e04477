/** `?` shows what every key does on this page. */
import { Kbd, Modal } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { type KeyAction, keysOf, useKeyStore } from "./keys.ts";
import { useMe } from "./me.ts";

export function KeysHelp() {
  const { t } = useTranslation();
  const own = useMe().preferences.keys;
  const { actions, helpOpen } = useKeyStore();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const inField = event.target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key !== "?" || inField || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      useKeyStore.setState({ helpOpen: !useKeyStore.getState().helpOpen });
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const groups = grouped([...actions.values()].flat());
  return (
    <Modal opened={helpOpen} onClose={() => useKeyStore.setState({ helpOpen: false })} title={t("keys.title")} size="lg" closeButtonProps={{ "aria-label": t("close") }}>
      {groups.length === 0 && <p className="quiet">{t("keys.none")}</p>}
      <div className="keys-help">
        {groups.map(([group, list]) => (
          <section key={group}>
            {group && <h3>{group}</h3>}
            <dl>
              {list.map((action) => (
                <div key={action.id}>
                  <dt>
                    {keysOf(action, own).map((key) => (
                      <Kbd key={key} size="xs">
                        {keyCap(key)}
                      </Kbd>
                    ))}
                  </dt>
                  <dd>{action.label}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}

function grouped(actions: readonly KeyAction[]): [string, KeyAction[]][] {
  const groups = new Map<string, Map<string, KeyAction>>();
  for (const action of actions) {
    const group = groups.get(action.group ?? "") ?? new Map<string, KeyAction>();
    group.set(action.id, action);
    groups.set(action.group ?? "", group);
  }
  return [...groups].map(([name, list]) => [name, [...list.values()]]);
}

/** How a key is written on the cap. */
export function keyCap(key: string): string {
  const names: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", " ": "Space", Escape: "Esc" };
  const parts = key === "+" ? ["+"] : key.split("+");
  return parts.map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join("+");
}
