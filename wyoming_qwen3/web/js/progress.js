// Shows the progress of a long task as a bar with a sentence.

import { bytes, timeLeft } from "./format.js";
import { t } from "./text.js";

/** Show the events of a task in a notice; `total` is the number of parts. Returns what takes the events. */
export function progressOf(notice, total = 0) {
  notice.progress(t("progress.begun"));
  return ({ stage, seconds, model }) => {
    const [name, count] = stage.split(" ");
    if (model?.progress) {
      const { share, text } = downloaded(model.progress);
      const sentence = model.state === "loading" ? `${t("progress.loading", { model: model.id })} · ${text}`
        : t("progress.download", { model: model.id, progress: text });
      notice.progress(sentence, share);
    } else if (model?.kernels) {
      const { share, text } = compiled(model.kernels);
      notice.progress(text, share);
    } else if (count) {
      const left = (seconds / Number(count)) * (total - Number(count));
      notice.progress(`${t("progress.spoken", { spoken: Number(count), total })} · ${timeLeft(left)}`, Number(count) / total);
    } else {
      notice.progress(t(`progress.${name}`, { model: model?.id ?? "" }));
    }
  };
}

/** Describe how many GPU kernels are compiled: their share from 0 to 1, and a text. */
export function compiled({ done, total }) {
  return { share: total ? done / total : null, text: t("progress.kernels", { done, total }) };
}

/** Return what estimates, for the bytes that are sent and all, the seconds left; null in the first second. */
export function paceOf() {
  const began = performance.now();
  return (done, total) => {
    const passed = (performance.now() - began) / 1000;
    return done && passed > 1 ? (passed * (total - done)) / done : null;
  };
}

/** Describe the progress of a download or a load: its share from 0 to 1 or null, and a text with the time left. */
export function downloaded({ done, total, seconds_left: left }) {
  const text = t("models.progress", { done: bytes(done), total: bytes(total) });
  return { share: total ? done / total : null, text: left === null || left === undefined ? text : `${text} · ${timeLeft(left)}` };
}
