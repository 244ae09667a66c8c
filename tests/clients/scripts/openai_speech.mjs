// openai-node: speech in all formats, streamed, as events, and with instructions.
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import OpenAI from "openai";

const input = "The front door is open, and the lights are on.";
const instructions = "Speak in a cheerful and positive tone.";
const { speech } = new OpenAI({ baseURL: process.argv[2] }).audio;
const model = "gpt-4o-mini-tts";

for (const response_format of ["mp3", "opus", "aac", "flac", "wav", "pcm"]) {
  const answer = await speech.create({ model, voice: "alloy", input, response_format });
  await writeFile(`whole.${response_format}`, Buffer.from(await answer.arrayBuffer()));
}

const streamed = await speech.create({ model, voice: "coral", input, instructions });
await pipeline(Readable.fromWeb(streamed.body), createWriteStream("streamed.mp3"));

const answer = await speech.create({ model, voice: "coral", input, instructions, stream_format: "sse" });
const lines = (await answer.text()).split("\n").filter((line) => line.startsWith("data: "));
const events = lines.map((line) => JSON.parse(line.slice("data: ".length)));
await writeFile("events.mp3", Buffer.concat(events.map((event) => Buffer.from(event.audio ?? "", "base64"))));

console.log(JSON.stringify({ warning: streamed.headers.get("X-Warning") ?? "", last: events.at(-1) }));
