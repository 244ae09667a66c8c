// Sound files that a person chooses: which may be chosen, and a copy that the browser plays of those that it does not.

import { ask, blob } from "./api.js";
import { decoded } from "./sound.js";

/** For an input's `accept`. Some systems know no type for the endings. */
export const SOUNDS = "audio/*,.m4a,.mp4,.webm,.aif,.aiff,.aifc,.au,.snd,.caf,.amr,.awb,.3gp";

/** The file, or where this browser can't decode it, the server's copy of it. Throws ApiError where it is no sound. */
export async function playable(file) {
  try {
    await decoded(file);
    return file;
  } catch {
    const form = new FormData();
    form.append("file", file, file.name);
    const { id } = await ask("POST", "api/clips", undefined, { form });
    const copy = await blob(`api/clips/${id}`);
    await ask("DELETE", `api/clips/${id}`);
    return new File([copy], file.name, { type: copy.type });
  }
}
