// Shows openapi.json. Relative URLs only: the server may be behind a path of somebody else's.

const METHODS = ["get", "post", "put", "delete"];

const LIMITS = {
  minimum: "from",
  exclusiveMinimum: "above",
  maximum: "to",
  exclusiveMaximum: "below",
  minLength: "at least",
  maxLength: "at most",
  minItems: "at least",
  maxItems: "at most",
};

/** An element with children; strings become text, never markup. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function nameOf(reference) {
  return reference.split("/").pop();
}

/** What a schema accepts, in a few words, as texts and links. */
function typeOf(schema) {
  if (schema.$ref) return [make("a", { href: `#${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  if (schema.anyOf) return schema.anyOf.flatMap((branch, index) => (index ? [" | ", ...typeOf(branch)] : typeOf(branch)));
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {})];
  return [schema.type ?? "any"];
}

/** Limits, of the schema itself or of a branch of it, and its default. */
function limitsOf(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const limits = parts.flatMap((part) =>
    Object.entries(LIMITS).flatMap(([name, word]) => (part[name] === undefined ? [] : [`${word} ${part[name]}`])));
  const plain = schema.default === undefined || schema.default === null;
  return plain ? limits : [...limits, `default ${JSON.stringify(schema.default)}`];
}

function row(...cells) {
  return make("tr", {}, ...cells.map((cell) => make("td", {}, ...[cell].flat())));
}

function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function fieldTable(named, required) {
  const rows = named.map(([name, schema]) => {
    const about = [schema.description, limitsOf(schema).join(", ")].filter(Boolean).join(" · ");
    return row([make("code", {}, name), required.includes(name) ? " *" : ""], typeOf(schema), about);
  });
  return table(["Field", "Type", "About"], rows);
}

function contentOf(content) {
  return Object.entries(content ?? {}).flatMap(([mediaType, { schema }], index) => [
    index ? ", " : "",
    mediaType,
    ...(schema?.$ref ? [" ", ...typeOf(schema)] : []),
  ]);
}

function showOperation(path, method, operation) {
  const { parameters, requestBody, responses } = operation;
  const answers = Object.entries(responses).map(([status, answer]) =>
    row(make("code", {}, status), answer.description, contentOf(answer.content)));
  const named = parameters.map((parameter) => [parameter.name, parameter.schema]);
  const required = parameters.filter((parameter) => parameter.required).map((parameter) => parameter.name);
  return make("details", {},
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), ` ${operation.summary}`),
    make("div", {},
      make("p", {}, operation.description),
      ...(named.length ? [make("h4", {}, "Parameters"), fieldTable(named, required)] : []),
      ...(requestBody ? [make("h4", {}, "Body"), make("p", {}, ...contentOf(requestBody.content))] : []),
      make("h4", {}, "Answers"), table(["Status", "Meaning", "Content"], answers)));
}

function showTag(api, tag) {
  const shown = Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]?.tags.includes(tag)).map((method) => showOperation(path, method, methods[method])));
  return make("section", {}, make("h2", {}, tag), ...shown);
}

function showSchema([name, schema]) {
  const fields = fieldTable(Object.entries(schema.properties ?? {}), schema.required ?? []);
  return make("section", { id: name }, make("h3", {}, name), make("p", {}, schema.description ?? ""), fields);
}

async function show() {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json was answered with ${response.status}`);
  const api = await response.json();
  document.getElementById("operations").replaceChildren(
    ...api.tags.map(({ name }) => showTag(api, name)),
    make("h2", {}, "Bodies and answers"),
    make("p", {}, "A field with * must be sent."),
    ...Object.entries(api.components.schemas).map(showSchema));
}

show().catch((error) => {
  const message = make("p", { role: "alert" }, `This page can't be shown: ${error.message}.`);
  document.getElementById("operations").replaceChildren(message);
});
