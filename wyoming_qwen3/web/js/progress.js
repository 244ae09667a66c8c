// Shows the progress of a long task as a bar with a sentence.

import { bytes } from "./format.js";
import { t } from "./text.js";

/** Show the events of `worked` in a notice; `total` is the number of parts. */
export function progressOf(notice, total = 0) {
  notice.progress(t("progress.begun"));
  return ({ stage, model }) => {
    const [name, count] = stage.split(" ");
    if (model?.progress) {
      const { done, total: all } = model.progress;
      notice.progress(t("progress.download", { model: model.id, done: bytes(done), total: bytes(all) }), all ? done / all : null);
    } else if (count) {
      notice.progress(t("progress.spoken", { count, total }), Number(count) / total);
    } else {
      notice.progress(t(`progress.${name}`, { model: model?.id ?? "" }));
    }
  };
}
