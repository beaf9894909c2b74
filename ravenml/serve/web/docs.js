// The page /docs: openapi.json as a table, with nothing loaded from elsewhere.
"use strict";

const byId = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function table(heads, rows) {
  const made = element("table");
  const head = element("tr");
  head.append(...heads.map((text) => element("th", text)));
  made.append(head);
  for (const row of rows) {
    const line = element("tr");
    line.append(...row.map((text) => element("td", text)));
    made.append(line);
  }
  return made;
}

function kind(schema) {
  if (!schema) return "";
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `${kind(schema.items)}, repeatable`;
  const range = schema.minimum === undefined ? "" : ` ${schema.minimum} … ${schema.maximum}`;
  return (schema.format || schema.type || "") + range;
}

function operation(path, verb, described) {
  const section = element("section", undefined, "panel");
  const title = element("h2");
  title.append(element("span", verb.toUpperCase(), "verb"), document.createTextNode(path));
  section.append(title);
  const words = [described.summary, described.description].filter(Boolean).join(". ");
  section.append(element("p", words));
  const parameters = (described.parameters || []).map((one) => [one.name, kind(one.schema), one.description || ""]);
  if (parameters.length) section.append(table(["Parameter", "Values", "Meaning"], parameters));
  if (described.requestBody) {
    const kinds = Object.keys(described.requestBody.content).join(", ");
    section.append(element("p", `Body (${kinds}): ${described.requestBody.description || ""}`));
  }
  const answers = Object.entries(described.responses).map(([status, one]) => [
    status,
    Object.keys(one.content || {}).join(", "),
    one.description || "",
  ]);
  section.append(table(["Status", "Type", "Meaning"], answers));
  return section;
}

const HIDDEN = "••••••••";

async function token() {
  const answer = await fetch("token");
  if (!answer.ok) throw new Error(`The server answered with ${answer.status}.`);
  return (await answer.json()).token || "none: this server was started with --no-token";
}

async function showToken(shown) {
  byId("token").textContent = shown ? await token() : HIDDEN;
  byId("show-token").textContent = shown ? "Hide" : "Show";
  byId("show-token").setAttribute("aria-pressed", shown);
}

async function copyToken() {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(await token());
    byId("copied").textContent = "Copied.";
  } else {
    // Browsers let pages of https and of this machine alone write to the clipboard.
    await showToken(true);
    getSelection().selectAllChildren(byId("token"));
    byId("copied").textContent = "Selected; copy it with Ctrl-C.";
  }
}

function onClick(id, action) {
  byId(id).addEventListener("click", () => action().catch((error) => {
    byId("copied").textContent = error.message;
  }));
}

async function start() {
  onClick("show-token", () => showToken(byId("token").textContent === HIDDEN));
  onClick("copy-token", copyToken);
  const here = location.origin;
  byId("curl").textContent =
    `curl -H "Authorization: Bearer $RAVENML_TOKEN" -F image=@photo.jpg ${here}/predict\n` +
    `curl -H "Authorization: Bearer $RAVENML_TOKEN" -F image=@photo.jpg '${here}/predict?answer=overlay' -o overlay.png`;
  byId("python").textContent =
    `from ravenml.serve import Client\n\nclient = Client("${here}", token="…")  # or RAVENML_TOKEN\n` +
    `annotation = client.predict("photo.jpg")\nmask = client.predict("photo.jpg", answer="mask")`;
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`The server answered with ${answer.status}.`);
    const described = await answer.json();
    byId("name").textContent = described.info.title;
    for (const [path, verbs] of Object.entries(described.paths)) {
      for (const [verb, one] of Object.entries(verbs)) byId("operations").append(operation(path, verb, one));
    }
  } catch (error) {
    byId("status").textContent = error.message;
  }
}

start();
