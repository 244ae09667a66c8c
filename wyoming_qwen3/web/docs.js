// Shows openapi.json. Relative URLs only: the server may be behind a path of somebody else's.

const METHODS = ["get", "post", "put", "delete"];

/** An element with children; strings become text, never markup. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function resolve(api, schema) {
  if (schema.$ref) return resolve(api, api.components.schemas[schema.$ref.split("/").pop()]);
  return schema;
}

/** What a schema accepts, in a few words. */
function describeType(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return [...new Set(schema.anyOf.map(describeType))].join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${describeType(schema.items ?? {})}`;
  return schema.type ?? "any";
}

/** Limits, of the schema itself or of a branch of it that is not null. */
function describeLimits(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const named = { minimum: "from", maximum: "to", minLength: "at least", maxLength: "at most", minItems: "at least", maxItems: "at most" };
  const limits = parts.flatMap((part) =>
    Object.entries(named).filter(([name]) => part[name] !== undefined).map(([name, word]) => `${word} ${part[name]}`));
  if (schema.default !== undefined && schema.default !== null) limits.push(`default ${JSON.stringify(schema.default)}`);
  return limits.join(", ");
}

function fieldRow(name, schema, required) {
  const about = [schema.description, describeLimits(schema)].filter(Boolean).join(" · ");
  return make("tr", {}, make("td", {}, make("code", {}, name), required ? " *" : ""), make("td", {}, describeType(schema)), make("td", {}, about));
}

function table(title, rows) {
  const head = make("tr", {}, ...["Field", "Type", "About"].map((text) => make("th", { scope: "col" }, text)));
  return rows.length ? [make("h4", {}, title), make("table", {}, head, ...rows)] : [];
}

function fields(api, title, schema) {
  const { properties = {}, required = [] } = resolve(api, schema);
  return table(title, Object.entries(properties).map(([name, field]) => fieldRow(name, field, required.includes(name))));
}

function showOperation(api, path, method, operation) {
  const body = operation.requestBody?.content["application/json"];
  const answers = Object.entries(operation.responses).map(([status, answer]) =>
    make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, answer.description), make("td", {}, Object.keys(answer.content ?? {}).join(", "))));
  const answerHead = make("tr", {}, ...["Status", "Meaning", "Content"].map((text) => make("th", { scope: "col" }, text)));
  return make("details", {},
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), ` ${operation.summary}`),
    make("div", {},
      make("p", {}, operation.description),
      ...table("Parameters", operation.parameters.map((parameter) => fieldRow(parameter.name, parameter.schema, parameter.required))),
      ...(body ? fields(api, "Body", body.schema) : []),
      make("h4", {}, "Answers"), make("table", {}, answerHead, ...answers)));
}

async function show() {
  const place = document.getElementById("operations");
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json was answered with ${response.status}`);
  const api = await response.json();
  const sections = api.tags.map(({ name }) => {
    const shown = Object.entries(api.paths).flatMap(([path, methods]) =>
      METHODS.filter((method) => methods[method]?.tags.includes(name)).map((method) => showOperation(api, path, method, methods[method])));
    return make("section", {}, make("h2", {}, name), ...shown);
  });
  place.replaceChildren(...sections);
}

show().catch((error) => document.getElementById("operations").replaceChildren(make("p", { role: "alert" }, `This page can't be shown: ${error.message}.`)));
