// openai-node: the Realtime API's example, with a voice assistant's instructions.
import { writeFile } from "node:fs/promises";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const text = "The front door is open, and the lights are on.";
const client = new OpenAI({ baseURL: process.argv[2] });
const realtime = await OpenAIRealtimeWS.create(client, { model: "gpt-realtime" });
const types = [], errors = [], audio = [];

realtime.socket.on("open", () => {
  const output = { voice: "marin" };
  realtime.send({
    type: "session.update",
    session: { type: "realtime", instructions: process.argv[3], audio: { output } },
  });
  const content = [{ type: "input_text", text }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create" });
});
realtime.on("error", (error) => errors.push(error.message));
realtime.on("event", (event) => {
  if (types.at(-1) !== event.type) types.push(event.type);
});
realtime.on("response.output_audio.delta", (event) => audio.push(Buffer.from(event.delta, "base64")));
realtime.on("response.done", async ({ response }) => {
  await writeFile("said.pcm", Buffer.concat(audio));
  console.log(JSON.stringify({ types, errors, warnings: response.warnings ?? [], status: response.status }));
  realtime.close();
});
