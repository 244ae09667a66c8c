// Renders openapi.json as elements.

import { h } from "./dom.js";

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

function nameOf(pointer) {
  return pointer.split("/").pop();
}

/** Describe the type of a schema, as texts and links. */
function typeOf(schema) {
  if (schema.$ref) return [h("a", { href: `#${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  if (schema.anyOf) return schema.anyOf.flatMap((branch, index) => (index ? [" | ", ...typeOf(branch)] : typeOf(branch)));
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {})];
  return [schema.type ?? "any"];
}

/** List the limits of a schema and its branches, and its default. */
function limitsOf(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const limits = parts.flatMap((part) =>
    Object.entries(LIMITS).flatMap(([name, word]) => (part[name] === undefined ? [] : [`${word} ${part[name]}`])));
  const plain = schema.default === undefined || schema.default === null;
  return plain ? limits : [...limits, `default ${JSON.stringify(schema.default)}`];
}

function row(...cells) {
  return h("tr", {}, ...cells.map((cell) => h("td", {}, ...[cell].flat())));
}

function table(heads, rows) {
  const head = h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows));
}

function fieldTable(named, required) {
  const rows = named.map(([name, schema]) => {
    const about = [schema.description, limitsOf(schema).join(", ")].filter(Boolean).join(" · ");
    return row([h("code", {}, name), required.includes(name) ? " *" : ""], typeOf(schema), about);
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
    row(h("code", {}, status), answer.description, contentOf(answer.content)));
  const named = parameters.map((parameter) => [parameter.name, parameter.schema]);
  const required = parameters.filter((parameter) => parameter.required).map((parameter) => parameter.name);
  return h("details", {},
    h("summary", {}, h("span", { class: "method" }, method.toUpperCase()), h("code", {}, path), ` ${operation.summary}`),
    h("div", {},
      h("p", {}, operation.description),
      ...(named.length ? [h("h4", {}, "Parameters"), fieldTable(named, required)] : []),
      ...(requestBody ? [h("h4", {}, "Body"), h("p", {}, ...contentOf(requestBody.content))] : []),
      h("h4", {}, "Responses"), table(["Status", "Meaning", "Content"], answers)));
}

function showTag(api, tag) {
  const shown = Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]?.tags.includes(tag)).map((method) => showOperation(path, method, methods[method])));
  return h("section", {}, h("h2", {}, tag), ...shown);
}

function showSchema([name, schema]) {
  const fields = fieldTable(Object.entries(schema.properties ?? {}), schema.required ?? []);
  return h("section", { id: name }, h("h3", {}, name), h("p", {}, schema.description ?? ""), fields);
}

/** Return the elements for an OpenAPI document. */
export function reference(api) {
  return [
    ...api.tags.map(({ name }) => showTag(api, name)),
    h("h2", {}, "Request and response bodies"),
    h("p", {}, "Fields with * are required."),
    ...Object.entries(api.components.schemas).map(showSchema),
  ];
}
