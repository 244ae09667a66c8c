// Vercel's AI SDK: generateSpeech, with and without instructions.
import { writeFile } from "node:fs/promises";
import { createOpenAI } from "@ai-sdk/openai";
import { generateSpeech } from "ai";

const text = "The front door is open, and the lights are on.";
const openai = createOpenAI({ baseURL: process.argv[2] });
const warnings = [];
for (const [name, more] of [["plain", {}], ["styled", { instructions: "Speak in a cheerful and positive tone." }]]) {
  const result = await generateSpeech({ model: openai.speech("gpt-4o-mini-tts"), text, ...more });
  await writeFile(`${name}.${result.audio.format}`, result.audio.uint8Array);
  warnings.push(...result.warnings);
}
console.log(JSON.stringify({ warnings }));
