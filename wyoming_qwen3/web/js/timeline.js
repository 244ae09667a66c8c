// Computes the positions of a composition's sounds as the server does.

/** Return the start and end of each track in milliseconds. */
export function spans(tracks, { mode, crossfade }) {
  let end = 0;
  return tracks.map((track, number) => {
    const length = 1000 * track.seconds;
    const overlap = number && !track.offset_ms ? Math.min(crossfade, end, length) : 0;
    const start = mode === "mix" ? track.offset_ms : end + track.offset_ms - overlap;
    end = start + length;
    return { start, end };
  });
}
