/** Tries the rules in the editor, set or not, on images: which match and why. Headers are read, and nothing is kept. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type DragEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, askWith } from "../api.ts";
import { refusalWords } from "../app/refusals.ts";
import type { DraftTried, ImageFacts, Priority, Tried } from "../shapes.ts";
import { RuleResult } from "./RuleResult.tsx";

const MOST_FILES = 20;
const TRY_AFTER_MS = 400;
const PRIORITIES: Priority[] = ["routine", "urgent", "stat"];

interface Image {
  name: string;
  facts: ImageFacts | null;
  refused: string | null;
}

interface Sent {
  site: string;
  sender: string;
  requested_priority: string;
}

export function RuleTester({ text, isChanged }: { text: string; isChanged: boolean }) {
  const { t } = useTranslation("admin");
  const { data } = useQuery({ queryKey: ["sites"], queryFn: () => ask<{ sites: { code: string; name: string }[] }>("/api/sites") });
  const [chosen, setChosen] = useState<Sent>({ site: "", sender: "", requested_priority: "routine" });
  const [images, setImages] = useState<Image[]>([]);
  const sites = data?.sites ?? [];
  const sent = { ...chosen, site: chosen.site || (sites[0]?.code ?? "") };
  const { tried, isFaulty } = useTried(text, sent, images);
  const take = async (files: readonly File[]) => {
    if (!sent.site) return;
    setImages([]);
    for (const file of files.slice(0, MOST_FILES)) {
      const image = await look(file, sent.site);
      setImages((before) => [...before, image]);
    }
  };
  return (
    <section className="rules-tester" aria-labelledby="rules-tester">
      <h2 id="rules-tester">{t("rules.try")}</h2>
      <p className="quiet">{t("rules.try_how")}</p>
      {isChanged && <p className="rules-unsaved">{t("rules.try_draft")}</p>}
      <div className="admin-bar">
        <NativeSelect
          size="xs" label={t("worklist:by.site")} value={sent.site} data={sites.map((one) => ({ value: one.code, label: one.name }))}
          onChange={(event) => setChosen({ ...chosen, site: event.currentTarget.value })}
        />
        <TextInput size="xs" label={t("rules.sender")} value={chosen.sender} onChange={(event) => setChosen({ ...chosen, sender: event.currentTarget.value })} />
        <NativeSelect
          size="xs" label={t("rules.asked")} value={chosen.requested_priority}
          data={PRIORITIES.map((one) => ({ value: one, label: t(`common:priority.${one}`) }))}
          onChange={(event) => setChosen({ ...chosen, requested_priority: event.currentTarget.value })}
        />
      </div>
      <Drop isOpen={sent.site !== ""} take={(files) => void take(files)} />
      <div role="status">
        {isFaulty && <p className="rules-refused">{t("rules.try_faulty")}</p>}
        {images.map((image, place) => (
          <RuleResult key={place} name={image.name} refused={image.refused} tried={image.facts && (tried.get(image.facts) ?? null)} />
        ))}
      </div>
    </section>
  );
}

/** What the rules in the editor make of the images, a moment after the last change of either. */
function useTried(text: string, sent: Sent, images: readonly Image[]): { tried: ReadonlyMap<ImageFacts, Tried>; isFaulty: boolean } {
  const [found, setFound] = useState({ tried: new Map<ImageFacts, Tried>(), isFaulty: false });
  const { site, sender, requested_priority } = sent;
  useEffect(() => {
    let isWanted = true;
    const facts = images.flatMap((one) => one.facts ?? []);
    const timer = setTimeout(() => {
      if (facts.length === 0) return setFound({ tried: new Map(), isFaulty: false });
      const body = { text, site, sender, requested_priority, images: facts };
      ask<DraftTried>("/api/rules/try", { method: "POST", body }).then(
        ({ faults, tried }) => isWanted && setFound({ tried: new Map(zip(facts, tried)), isFaulty: faults.length > 0 }),
        () => isWanted && setFound({ tried: new Map(), isFaulty: false }),
      );
    }, TRY_AFTER_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [text, site, sender, requested_priority, images]);
  return found;
}

function zip<A, B>(some: readonly A[], others: readonly B[]): [A, B][] {
  return others.map((other, place) => [some[place] as A, other]);
}

async function look(file: File, site: string): Promise<Image> {
  try {
    const { facts } = await askWith<Tried>("/api/rules/test", file, { site });
    return { name: file.name, facts, refused: null };
  } catch (error) {
    return { name: file.name, facts: null, refused: refusalWords(error) };
  }
}

function Drop({ isOpen, take }: { isOpen: boolean; take: (files: readonly File[]) => void }) {
  const { t } = useTranslation("admin");
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const hover = (event: DragEvent, isOver: boolean) => {
    event.preventDefault();
    setOver(isOver);
  };
  const drop = (event: DragEvent) => {
    hover(event, false);
    take([...event.dataTransfer.files]);
  };
  return (
    <div className={over ? "rules-drop over" : "rules-drop"} onDragOver={(event) => hover(event, true)} onDragLeave={(event) => hover(event, false)} onDrop={drop}>
      <p>{t("rules.drop")}</p>
      <Button size="xs" variant="default" onClick={() => input.current?.click()} disabled={!isOpen}>
        {t("rules.pick")}
      </Button>
      <input
        ref={input} id="rules-files" type="file" multiple hidden disabled={!isOpen} aria-label={t("rules.pick")}
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = ""; // the same file may be picked again
          take(files);
        }}
      />
    </div>
  );
}
