// @openai/agents-realtime: a session over a WebSocket, with a voice assistant's instructions.
import { writeFile } from "node:fs/promises";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

const text = "The front door is open, and the lights are on.";
const url = `${process.argv[2].replace("http", "ws")}/realtime?model=gpt-realtime`;
const agent = new RealtimeAgent({ name: "Assistant", instructions: process.argv[3] });
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url }) });
const audio = [], errors = [];

session.on("audio", (event) => audio.push(Buffer.from(event.data)));
session.on("error", (event) => errors.push(JSON.stringify(event)));
const stopped = new Promise((resolve) => session.on("audio_stopped", resolve));
const ended = new Promise((resolve) => session.on("agent_end", resolve));
await session.connect({ apiKey: "none" });
session.sendMessage(text);
await Promise.all([stopped, ended]);
await writeFile("said.pcm", Buffer.concat(audio));
console.log(JSON.stringify({ errors, history: session.history.map((item) => item.role) }));
session.close();
