import { beforeEach, describe, expect, it, vi } from "vitest";
import { useOrder } from "./order.ts";
import type { Answer, Sending } from "./post.ts";

const asked: [string, unknown][] = [];
let isDown = false;
vi.mock("../api.ts", () => ({
  ask: (path: string, { body }: { body?: unknown } = {}) => {
    asked.push([path, body]);
    if (isDown && path.includes("questions")) return Promise.reject(new Error("down"));
    return Promise.resolve(path.endsWith("/arrival") ? { public_id: `of ${path.split("/")[3]}` } : {});
  },
  listeners: { signedOut: () => undefined },
}));

const onItsWay: { one: Sending; arrive: () => void }[] = [];
vi.mock("./send.ts", () => ({
  send: (one: Sending) =>
    new Promise<Answer>((resolve) => {
      const file = { name: one.name, outcome: "stored", reason: null, message: null, kept: true, study_instance_uid: one.name };
      onItsWay.push({ one, arrive: () => resolve({ status: 200, body: { files: [file] }, retryAfter: null }) });
    }),
}));

const { add, useRound } = await import("./round.ts");

/** A film whose study is named as the file is. */
function film(study: string) {
  const bytes = new Uint8Array(200);
  bytes.set(new TextEncoder().encode("DICM"), 128);
  return { name: study, file: new File([bytes], study) };
}
const questions = () => asked.filter(([path]) => path.includes("questions")).map(([, body]) => body);
const settled = () => new Promise((resolve) => setTimeout(resolve, 10));

async function arrive() {
  for (const { arrive: now } of onItsWay.splice(0)) now();
  await settled();
}

beforeEach(() => {
  asked.length = 0;
  isDown = false;
});

describe("a question", () => {
  it("goes with the files that were added under it, whatever is typed while they are on their way", async () => {
    useOrder.setState({ question: "Nodule?", priority: "stat" });
    await add([film("1.1")], null);
    expect(useOrder.getState()).toEqual({ question: "", history: "", priority: "routine" });
    useOrder.setState({ question: "Fracture?" });
    await add([film("2.2")], null);
    await arrive();
    expect(questions()).toMatchObject([
      { study_instance_uid: "1.1", question: "Nodule?" },
      { study_instance_uid: "2.2", question: "Fracture?" },
    ]);
    expect(asked).toContainEqual(["/api/worklist/of 1.1/priority", { priority: "stat" }]);
    expect(asked.some(([path]) => path === "/api/worklist/of 2.2/priority")).toBe(false);
  });

  it("is sent with the first image of its study, once, while others are still on their way", async () => {
    useOrder.setState({ question: "Nodule?" });
    await add([film("3.3"), film("3.3"), film("4.4")], null);
    onItsWay.shift()?.arrive();
    await settled();
    expect(questions()).toHaveLength(1);
    expect(useRound.getState().ended).toBeNull();
    await arrive();
    expect(questions()).toHaveLength(2);
  });

  it("is tried again at the end, and what still fails is said", async () => {
    isDown = true;
    useOrder.setState({ question: "Nodule?" });
    await add([film("5.5")], null);
    await arrive();
    expect(questions()).toHaveLength(2);
    expect(useRound.getState().ended).toMatchObject({ orderFailed: true });
  });

  it("stays on the form when nothing among the files was an image", async () => {
    useOrder.setState({ question: "Nodule?" });
    await add([{ name: "readme.txt", file: new File(["text"], "readme.txt") }], null);
    expect(useOrder.getState().question).toBe("Nodule?");
  });
});
