// Causal convolutions of the codec in float32, on signals [steps, channels] that arrive in pieces.
//
// The caller keeps the steps before a piece, converted for the product.
#pragma once

#include "bytes.h"
#include "panels.h"
#include "team.h"
#include "winograd.h"

extern "C" {
// A piece of one signal: input [steps, inputs], history [(taps - 1) * dilation, row width], output [steps, outputs].
struct Stream {
    const float* input;
    float *history, *output;
    int32_t steps;
};
}

namespace {

constexpr int kFewSteps = 96;      // up to this number threads divide the panels among them, above it the steps
constexpr int kStepsAtOnce = 512;  // steps that a thread takes at a time

// Aligned, so that a row of a tile touches one cache line and not two.
struct alignas(64) Line {
    float numbers[16];
};

struct Convolver {
    std::vector<Line> joined, between, spread;
    RowMemory quantised;

    static void grow(std::vector<Line>& lines, int64_t floats) {
        lines.resize(std::max<size_t>(lines.size(), (floats + 15) / 16));
    }
};

inline Float snake(Float x, Float frequency, Float gain) {
    const Vector angle = (Vector)x * (Vector)frequency;
    const Vector magic = (Vector)all(12582912.0f);  // adding it rounds to an integer
    const Vector turns = (Vector)fma((Float)angle, all(0.318309886f), (Float)magic) - magic;
    Float r = fma((Float)turns, all(-3.140625f), (Float)angle);
    r = fma((Float)turns, all(-9.67502593994140625e-4f), r);
    r = fma((Float)turns, all(-1.50995799e-7f), r);
    const Float square = (Float)((Vector)r * (Vector)r);
    Float p = all(-2.3889859e-8f);
    for (float c : {2.7525562e-6f, -1.9840874e-4f, 8.3333310e-3f, -1.6666667e-1f}) p = fma(p, square, all(c));
    const Float sine = fma((Float)((Vector)p * (Vector)square), r, r);
    return fma((Float)((Vector)gain * (Vector)sine), sine, x);
}

inline void snake_row(const float* x, const float* frequencies, const float* gains, int count, float* out) {
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) store(out + i, snake(load(x + i), load(frequencies + i), load(gains + i)));
    if (i == count) return;
    float rest[3][kLanes] = {};
    for (int lane = 0; i + lane < count; ++lane) {
        rest[0][lane] = x[i + lane];
        rest[1][lane] = frequencies[i + lane];
        rest[2][lane] = gains[i + lane];
    }
    store(rest[0], snake(load(rest[0]), load(rest[1]), load(rest[2])));
    std::copy(rest[0], rest[0] + (count - i), out + i);
}

// How many bits the packed weights have.
inline int stored_bits(const Convolution& c) {
    if (!kFewerBits || c.bits == 32 || c.outputs == 1 || uses_winograd(c)) return 32;
    return c.bits == 8 && fits_bytes(c) ? 8 : 16;
}

// Call put(step, first output, outputs, sums) for a range of steps of a joined signal and a range of panels. `outputs`
// is a compile-time constant if it is kPanel, as it almost always is.
template <class Weight, class Store>
inline void convolve_panels(const Convolution& c, const float* joined, Range steps, Range panels, const Store& put) {
    const int64_t width = row_width(c);
    const int depth = c.taps * width;
    for (int panel = panels.begin; panel < panels.end; ++panel) {
        const Weight* weights = static_cast<const Weight*>(c.weights) + panel * panel_size(c);
        const int first = panel * kPanel, count = std::min(kPanel, c.outputs - first);
        for (int begin = steps.begin; begin < steps.end; begin += kStretch) {
            const int now = std::min(kStretch, steps.end - begin);
            alignas(64) float sums[kStretch * kPanel];
            for (int k = 0; k < depth; k += kPart)
                multiply(c, weights + int64_t(k) * kPanel, joined + begin * width, {k, std::min(k + kPart, depth)}, now,
                         sums);
            const auto put_all = [&](auto outputs) {
                for (int s = 0; s < now; ++s) {
                    float* own = sums + s * kPanel;
                    if (!std::is_same<Weight, float>::value)
                        for (int i = 0; i < outputs; ++i) own[i] *= c.scales[first + i];
                    if (c.bias)
                        for (int i = 0; i < outputs; ++i) own[i] += c.bias[first + i];
                    put(begin + s, first, outputs, own);
                }
            };
            if (count == kPanel) put_all(std::integral_constant<int, kPanel>());
            else put_all(count);
        }
    }
}

template <class Store>
inline void convolve(const Convolution& c, const float* joined, Range steps, Range panels, const Store& put) {
    if (c.outputs == 1) return;
#if !defined(__AMX_BF16__)
    if (stored_bits(c) == 16) return convolve_panels<int16_t>(c, joined, steps, panels, put);
#endif
    convolve_panels<float>(c, joined, steps, panels, put);
}

// A convolution with one output.
inline float single(const Convolution& c, const float* joined, int step) {
    Float sum = all(0.0f);
    float rest = c.bias ? c.bias[0] : 0.0f;
    for (int tap = 0; tap < c.taps; ++tap) {
        const float* x = joined + (int64_t(step) + tap * c.dilation) * c.inputs;
        const float* w = static_cast<const float*>(c.weights) + int64_t(tap) * c.inputs;
        int i = 0;
        for (; i + kLanes <= c.inputs; i += kLanes) sum = fma(load(x + i), load(w + i), sum);
        for (; i < c.inputs; ++i) rest += x[i] * w[i];
    }
    return rest + sum_of(sum);
}

// Bytes of the packed weights.
inline int64_t packed_size(const Convolution& c) {
    if (c.outputs == 1) return sizeof(float) * c.taps * c.inputs;
    if (stored_bits(c) == 8) return as_linear(c).blocks * bytes_of_block(c);
    return panels_of(c) * (uses_winograd(c) ? winograd_panel_size(c) : panel_size(c)) * stored_bits(c) / 8;
}

#if !defined(__AMX_BF16__)
// Pack filters into a panel of 16 bits, and write their scales.
inline void pack_rounded(const Convolution& c, const Filters& filters, int panel, int16_t* packed, float* scales) {
    float factors[kPanel];
    for (int output = 0; output < kPanel; ++output) {
        const float* own = filters.of(c, panel * kPanel + output);
        if (!own) continue;
        float largest = 0;
        for (int64_t i = 0; i < int64_t(c.inputs) * c.taps; ++i) largest = std::max(largest, std::fabs(own[i]));
        factors[output] = largest > 0 ? kWidest / largest : 0.0f;
        scales[panel * kPanel + output] = largest / kWidest;
    }
    pack(c, filters, panel, packed, [&](float x, int output) { return int16_t(std::lrint(x * factors[output])); });
}
#endif

// A member's share of packing some filters into `packed`, whose other filters are left as they are; padding is zero
// there. `scales` [outputs] are written for 16 and 8 bits.
inline void pack_all(const Convolution& c, const Filters& filters, void* packed, float* scales, Member& member) {
    float* const floats = static_cast<float*>(packed);
    if (c.outputs == 1) {
        for (int tap = member.number; tap < c.taps; tap += member.size)
            for (int i = 0; i < c.inputs; ++i) floats[tap * c.inputs + i] = filters.weights[i * c.taps + tap];
        return;
    }
    const bool in_bytes = stored_bits(c) == 8;
    const int width = in_bytes ? kBlock : kPanel;
    const int begin = filters.first / width, end = (filters.first + filters.count + width - 1) / width;
    const Range own = member.share(end - begin);
    for (int panel = begin + own.begin; panel < begin + own.end; ++panel) {
        if (uses_winograd(c)) pack_winograd(c, filters, panel, floats + panel * winograd_panel_size(c));
        else if (in_bytes)
            pack_bytes(c, filters, panel, static_cast<uint8_t*>(packed) + panel * bytes_of_block(c), scales);
#if defined(__AMX_BF16__)
        else pack(c, filters, panel, floats + panel * panel_size(c));
#else
        else if (stored_bits(c) == 16)
            pack_rounded(c, filters, panel, static_cast<int16_t*>(packed) + panel * panel_size(c), scales);
        else pack(c, filters, panel, floats + panel * panel_size(c), [](float x, int) { return x; });
#endif
    }
}

// All streams of a call, and their positions in a joined buffer.
struct Layout {
    const Stream* streams;
    int count, past, width;
    std::vector<int> starts;  // each stream's first row in the joined buffer, where its past begins
    std::vector<Tile> tiles;  // of all streams, if the convolution uses them
    int steps = 0;

    Layout(const Convolution& c, const Stream* given, int number)
        : streams(given), count(number), past((c.taps - 1) * c.dilation), width(row_width(c)) {
        for (int n = 0, row = 0; n < count; ++n) {
            starts.push_back(row);
            row += past + streams[n].steps;
            steps += streams[n].steps;
            if (uses_winograd(c)) add_tiles(c, n);
        }
    }

    void add_tiles(const Convolution& c, int stream) {
        for (int period = 0; period < streams[stream].steps; period += c.period) {
            const int end = std::min(period + c.period, streams[stream].steps);
            for (int phase = period; phase < std::min(period + c.dilation, end); ++phase)
                for (int step = phase; step < end; step += kTileOutputs * c.dilation) {
                    const int outputs = (end - step + c.dilation - 1) / c.dilation;
                    tiles.push_back({stream, step, std::min(kTileOutputs, outputs)});
                }
        }
    }

    // Rows of the joined buffer.
    int rows() const { return steps + count * past; }

    int64_t size() const { return int64_t(rows() + kSlack) * width; }

    // Split a range over the steps of all streams: call each(stream, range of its own steps).
    template <class Each>
    void within(Range all, const Each& each) const {
        for (int n = 0, first = 0; n < count; first += streams[n++].steps) {
            const Range own{std::max(all.begin - first, 0), std::min(all.end - first, int(streams[n].steps))};
            if (own.begin < own.end) each(n, own);
        }
    }
};

// Write the past and the activated input of each stream to the joined buffer, and update the histories.
inline void join(const Convolution& c, const Layout& layout, float* joined, Member& member) {
    layout.within(member.share(layout.steps), [&](int n, Range own) {
        for (int s = own.begin; s < own.end; ++s) {
            const float* x = layout.streams[n].input + int64_t(s) * c.inputs;
            float* to = joined + (int64_t(layout.starts[n]) + layout.past + s) * layout.width;
            if (c.frequencies) snake_row(x, c.frequencies, c.gains, c.inputs, to);
            else std::copy_n(x, c.inputs, to);
            if (c.outputs > 1) settle(to, c.inputs);
        }
    });
    const int64_t past = int64_t(layout.past) * layout.width;
    for (int n = member.number; n < layout.count && past; n += member.size)
        std::copy_n(layout.streams[n].history, past, joined + int64_t(layout.starts[n]) * layout.width);
    member.wait();
    for (int n = member.number; n < layout.count && past; n += member.size)
        std::copy_n(joined + (int64_t(layout.starts[n]) + layout.streams[n].steps) * layout.width, past,
                    layout.streams[n].history);
}

// A member's share of a convolution of all streams: calls put(stream, step, first output, outputs, sums).
template <class Store>
inline void convolve_all(const Convolution& c, const Layout& layout, const float* joined, RowMemory& quantised,
                         Member& member, const Store& put) {
    const Tiles tiles;
    const bool in_bytes = stored_bits(c) == 8;
    const int panels = in_bytes ? as_linear(c).blocks : panels_of(c);
    const bool few = layout.steps <= kFewSteps && panels >= member.size;
    if (in_bytes) {
        const Range own = member.share(layout.rows());
        for (int row = own.begin; row < own.end; ++row)
            quantised.rows(c.inputs).quantise(row, joined + int64_t(row) * layout.width, c.inputs);
        member.wait();
    }
    const auto multiply_some = [&](Range own_panels, int n, Range own) {
        if (in_bytes)
            return convolve_bytes(
                c, quantised.rows(c.inputs, layout.starts[n] + own.begin), own.end - own.begin, own_panels,
                [&](int s, int first, auto count, const float* sums) { put(n, own.begin + s, first, count, sums); });
        const float* from = joined + int64_t(layout.starts[n]) * layout.width;
        if (c.outputs == 1)
            for (int s = own.begin; s < own.end; ++s) {
                const float sum = single(c, from, s);
                put(n, s, 0, 1, &sum);
            }
        convolve(c, from, own, own_panels,
                 [&](int s, int first, auto count, const float* sums) { put(n, s, first, count, sums); });
    };
    if (few)
        return member.each(panels, [&](int panel) {
            const Range steps{0, layout.steps}, panels{panel, panel + 1};
            layout.within(steps, [&](int n, Range own) { multiply_some(panels, n, own); });
        });
    member.each_piece(layout.steps, kStepsAtOnce, [&](Range steps) {
        layout.within(steps, [&](int n, Range own) { multiply_some({0, panels}, n, own); });
    });
}

// The inputs of some tiles, evaluated at the points: [points, count, inputs]; only the tiles of `own` are written.
inline void spread_tiles(const Convolution& c, const Layout& layout, const float* joined, const Tile* tiles, int count,
                         Range own, float* to) {
    const std::vector<float> zeros(c.inputs);
    for (int t = own.begin; t < own.end; ++t) {
        const float* first = joined + (int64_t(layout.starts[tiles[t].stream]) + tiles[t].step) * c.inputs;
        const float* rows[kTileInputs];
        for (int k = 0; k < kTileInputs; ++k)
            rows[k] =
                k < tiles[t].count + kWinogradTaps - 1 ? first + int64_t(k) * c.dilation * c.inputs : zeros.data();
        spread(rows, c.inputs, int64_t(count) * c.inputs, to + int64_t(t) * c.inputs);
    }
}

// The same as convolve_all, by tiles. Members divide the panels if there are few tiles, else the tiles.
template <class Store>
inline void convolve_tiles(const Convolution& c, const Layout& layout, Convolver& memory, Member& member,
                           const Store& put) {
    const int count = int(layout.tiles.size()), panels = panels_of(c);
    const float* joined = memory.joined.data()->numbers;
    const auto put_tile = [&](const Tile& tile, int k, int first, auto channels, const float* sums) {
        put(tile.stream, tile.step + k * c.dilation, first, channels, sums);
    };
    float* points = memory.spread.data()->numbers;
    if (count <= kTilesAtOnce && panels >= member.size) {
        spread_tiles(c, layout, joined, layout.tiles.data(), count, member.share(count), points);
        member.wait();
        return member.each(panels, [&](int panel) {
            multiply_tiles(c, points, layout.tiles.data(), count, {panel, panel + 1}, put_tile);
        });
    }
    points += int64_t(member.number) * kTileInputs * kTilesAtOnce * c.inputs;
    member.each_piece(count, kTilesAtOnce, [&](Range some) {
        const Tile* tiles = layout.tiles.data() + some.begin;
        const int now = some.end - some.begin;
        spread_tiles(c, layout, joined, tiles, now, {0, now}, points);
        multiply_tiles(c, points, tiles, now, {0, panels}, put_tile);
    });
}

// Make room for what a convolution's members write besides its output.
inline void prepare(const Convolution& c, const Layout& layout, Convolver& memory, int members) {
    Convolver::grow(memory.joined, layout.size());
    if (stored_bits(c) == 8) memory.quantised.prepare_rows(c.inputs, layout.rows());
    if (uses_winograd(c)) Convolver::grow(memory.spread, int64_t(members) * kTileInputs * kTilesAtOnce * c.inputs);
}

// Call put(stream, step, first output, outputs, sums) for a member's share of a convolution of all streams.
template <class Store>
inline void convolve_streams(const Convolution& c, const Layout& layout, Convolver& memory, Member& member,
                             const Store& put) {
    join(c, layout, memory.joined.data()->numbers, member);
    if (uses_winograd(c)) convolve_tiles(c, layout, memory, member, put);
    else convolve_all(c, layout, memory.joined.data()->numbers, memory.quantised, member, put);
}

inline void convolution(const Convolution& c, const Layout& layout, Convolver& memory, Member& member) {
    convolve_streams(c, layout, memory, member, [&](int n, int s, int first, auto count, const float* sums) {
        std::copy_n(sums, count, layout.streams[n].output + int64_t(s) * c.outputs + first);
    });
}

// output += narrow(wide(input)), where the streams' outputs are their inputs. `narrow` has one tap; both activate their
// input.
inline void residual_unit(const Convolution& wide, const Convolution& narrow, const Layout& layout, Convolver& memory,
                          Member& member) {
    float* between = memory.between.data()->numbers;
    std::vector<int> firsts(layout.count);
    for (int n = 1; n < layout.count; ++n) firsts[n] = firsts[n - 1] + layout.streams[n - 1].steps;
    convolve_streams(wide, layout, memory, member, [&](int n, int s, int first, auto count, const float* sums) {
        float* row = between + (int64_t(firsts[n]) + s) * row_width(narrow) + first;
        snake_row(sums, narrow.frequencies + first, narrow.gains + first, count, row);
        settle(row, count);
    });
    member.wait();
    std::vector<Stream> streams(layout.streams, layout.streams + layout.count);
    Layout flat(narrow, streams.data(), layout.count);  // without a past, so the streams are contiguous
    convolve_all(narrow, flat, between, memory.quantised, member,
                 [&](int n, int s, int first, auto count, const float* sums) {
                     float* __restrict out = layout.streams[n].output + int64_t(s) * narrow.outputs + first;
                     for (int i = 0; i < count; ++i) out[i] += sums[i];
                 });
}

}  // namespace
