// Has the browser ask before the page is closed or loaded again while something runs that would be lost.

let running = 0;

/** Run such work and return its result. */
export async function unlessLeft(work) {
  running += 1;
  if (running === 1) addEventListener("beforeunload", hold);
  try {
    return await work();
  } finally {
    running -= 1;
    if (!running) removeEventListener("beforeunload", hold);
  }
}

function hold(event) {
  event.preventDefault();
}
