/** What narrows the list. `/` goes to the search. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { type RefObject, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useMe } from "../app/me.ts";
import { type Filters, isNarrowed, NO_FILTERS, setFilters, useView } from "./filters.ts";

const STATES = ["arriving", "settled", "scored", "unscored"] as const;
const MODALITIES = ["CR", "DX", "MG", "CT", "MR", "US"];

interface Props {
  counts: Record<string, number>;
  search: RefObject<HTMLInputElement | null>;
}

export function Toolbar({ counts, search }: Props) {
  const { t } = useTranslation("worklist");
  const filters = useView((view) => view.filters);
  const may = useMe().permissions;
  const all = STATES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return (
    <div className="toolbar">
      <div className="states" role="group" aria-label={t("filter.label")}>
        <State state={null} count={all} />
        {STATES.map((state) => (
          <State key={state} state={state} count={counts[state] ?? 0} />
        ))}
        {may.includes("read_cases") && <State state="signed" count={null} />}
      </div>
      <Search search={search} />
      <Choice field="priority" values={["stat", "urgent", "routine"]} words={(value) => t(`common:priority.${value}`)} />
      <Choice field="due" values={["overdue", "4h", "today"]} words={(value) => t(`due.${value}`)} />
      <Choice field="modality" values={MODALITIES} words={(value) => value} />
      <Sites />
      {may.includes("read_cases") && <Choice field="claim" values={["free", "mine"]} words={(value) => t(`claim.only_${value}`)} />}
      <Choice field="sort" values={["due", "received", "patient", "site"]} words={(value) => t(`sort.${value}`)} />
      {isNarrowed(filters) && (
        <Button size="compact-sm" variant="subtle" onClick={() => setFilters({ ...NO_FILTERS, state: filters.state })}>
          {t("filter.clear")}
        </Button>
      )}
    </div>
  );
}

function State({ state, count }: { state: Filters["state"]; count: number | null }) {
  const { t } = useTranslation("worklist");
  const chosen = useView((view) => view.filters.state);
  const words = state === null ? t("filter.all") : state === "signed" ? t("filter.signed") : t(`common:state.${state}`);
  return (
    <button type="button" data-state={state ?? "all"} aria-pressed={chosen === state} onClick={() => setFilters({ state })}>
      {words}
      {count !== null && <b className="numbers">{count.toLocaleString()}</b>}
    </button>
  );
}

interface ChoiceProps<Field extends keyof Filters, Value extends string> {
  field: Field;
  values: readonly Value[];
  words: (value: Value) => string;
}

function Choice<Field extends keyof Filters, Value extends NonNullable<Filters[Field]>>(props: ChoiceProps<Field, Value & string>) {
  const { t } = useTranslation("worklist");
  const value = useView((view) => view.filters[props.field]);
  const label = t(`by.${props.field}` as "by.priority");
  return (
    <NativeSelect
      size="xs"
      aria-label={label}
      data-filter={props.field}
      value={value ?? ""}
      className={value ? "choice chosen" : "choice"}
      data={[{ value: "", label: label }, ...props.values.map((one) => ({ value: one, label: props.words(one) }))]}
      onChange={(event) => setFilters({ [props.field]: event.currentTarget.value || null })}
    />
  );
}

function Sites() {
  const { data } = useQuery({
    queryKey: ["sites"],
    queryFn: () => ask<{ sites: { code: string; name: string }[] }>("/api/sites"),
    staleTime: 60_000,
  });
  const sites = data?.sites ?? [];
  if (sites.length < 2) return null;
  const names = new Map(sites.map((site) => [site.code, site.name]));
  return <Choice field="site" values={[...names.keys()]} words={(code) => names.get(code) ?? code} />;
}

function Search({ search }: { search: RefObject<HTMLInputElement | null> }) {
  const { t } = useTranslation("worklist");
  const kept = useView((view) => view.filters.q);
  const [text, setText] = useState(kept ?? "");
  useEffect(() => setText(kept ?? ""), [kept]);
  const apply = useDebouncedCallback((value: string) => setFilters({ q: value.trim() || null }), 250);
  return (
    <TextInput
      ref={search}
      size="xs"
      className="search"
      type="search"
      aria-label={t("search")}
      placeholder={`${t("search")}  /`}
      maxLength={128}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        apply(event.currentTarget.value);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape" || event.key === "Enter") event.currentTarget.blur();
      }}
    />
  );
}
