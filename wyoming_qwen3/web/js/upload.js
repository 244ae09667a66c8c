// Audio files that the user chooses: accepted types, and conversion of files that the browser can't play.

import { ask, blob } from "./api.js";
import { decoded } from "./sound.js";

/** For an input's `accept`. Extensions are listed because some systems know no type for them. */
export const SOUNDS = "audio/*,.m4a,.mp4,.webm,.aif,.aiff,.aifc,.au,.snd,.caf,.amr,.awb,.3gp";

/** Store a file on the server for a day, and return the clip. Throws ApiError, which names the file. */
export async function sendClip(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  try {
    return await ask("POST", "api/clips", undefined, { form });
  } catch (error) {
    if (error.status) error.message = `${file.name}: ${error.message}`;
    throw error;
  }
}

/** Return the file, or the server's conversion if the browser can't decode it. Throws ApiError if it is not audio. */
export async function playable(file) {
  try {
    await decoded(file);
    return file;
  } catch {
    const { id } = await sendClip(file);
    const copy = await blob(`api/clips/${id}`);
    await ask("DELETE", `api/clips/${id}`);
    return new File([copy], file.name, { type: copy.type });
  }
}
