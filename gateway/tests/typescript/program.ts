// Asks a service, whose address is the argument, through types generated from its description.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Prediction = components["schemas"]["Prediction"];
type Failure = components["schemas"]["Failure"];

declare const process: { argv: string[] };

const baseUrl = process.argv[2] ?? "";
const client = createClient<paths>({ baseUrl });

function expect(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${found} is not ${expected}`);
}

const model = await client.GET("/v1/model");
const labels: string[] = model.data?.labels ?? [];
expect(labels.length, 7);

// The types know no binary bodies, so files go in a form that we fill ourselves.
const image = await (await fetch(`${baseUrl}/page/examples/cricket.jpg`)).blob();
const form = new FormData();
form.append("image", image, "cricket.jpg");
const answer = await client.POST("/v1/predictions", {
  params: { query: { explain: "true" } },
  body: { image: [] },
  bodySerializer: () => form,
});
const first: Prediction | Failure | undefined = answer.data?.predictions[0];
if (!first || "error" in first) throw new Error("no prediction");
const label: string = first.label;
const known: boolean | null = first.known;
expect(label, "cricket");
expect(known, true);
expect(first.heatmap?.length, 8);

const refused = await client.POST("/v1/predictions", { body: { url: "ftp://example.com/image.jpg" } });
const status: number | undefined = refused.error?.status;
expect(status, 422);
