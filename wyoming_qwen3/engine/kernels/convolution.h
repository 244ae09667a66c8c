// Causal convolutions of the codec in float32, on signals [steps, channels] that come in pieces.
//
// The steps before a piece are kept by the caller, as they were put into the product. Weights lie in panels of kPanel
// outputs; in a panel, one tap's inputs follow the other's, and the panel's outputs lie together. Sums run over taps,
// then inputs, one after the other, whatever the pieces, the streams beside and the threads are.
#pragma once

#include <algorithm>

#include "simd.h"
#include "team.h"

extern "C" {
// With frequencies the input is first put through x + gains * sin(frequencies * x)**2.
struct Convolution {
    const float *weights, *bias, *frequencies, *gains;  // bias may be null
    int32_t inputs, outputs, taps, dilation;
};

// One signal's piece: input [steps, inputs], history [(taps - 1) * dilation, inputs], output [steps, outputs].
struct Stream {
    const float* input;
    float *history, *output;
    int32_t steps;
};
}

namespace {

#if defined(__AVX2__) && !defined(__AVX512VNNI__)
constexpr int kPanelVectors = 2;
constexpr int kSteps = 6;
#else
constexpr int kPanelVectors = 3;
constexpr int kSteps = 8;
#endif
constexpr int kPanel = kPanelVectors * kLanes;
constexpr int kStretch = 64;         // steps that go through a part of a panel before the next part is read
constexpr int kPanelRows = 2688;     // of a panel at a time: what stays in a core's own cache
constexpr int kFewSteps = 96;        // up to so many, threads share the weights, and beyond it the steps

struct Convolver {
    std::vector<float> joined, between;
};

inline Float snake(Float x, Float frequency, Float gain) {
    const Vector angle = (Vector)x * (Vector)frequency;
    const Vector magic = (Vector)all(12582912.0f);  // adding it rounds to a whole number
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
    for (; i + kLanes <= count; i += kLanes)
        store(out + i, snake(load(x + i), load(frequencies + i), load(gains + i)));
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

// Adds taps [from, to) of some steps to their sums [steps][kPanel].
template <int kCount>
inline void multiply_taps(const Convolution& c, const float* panel, const float* joined, int from, int to, float* sums) {
    Float acc[kCount][kPanelVectors];
    for (int s = 0; s < kCount; ++s)
        for (int v = 0; v < kPanelVectors; ++v) acc[s][v] = load(sums + s * kPanel + v * kLanes);
    const int64_t width = c.inputs;
    for (int tap = from; tap < to; ++tap) {
        const float* x = joined + int64_t(tap) * c.dilation * width;
        const float* w = panel + int64_t(tap) * width * kPanel;
        for (int64_t i = 0; i < width; ++i, w += kPanel) {
            Float row[kPanelVectors];
            for (int v = 0; v < kPanelVectors; ++v) row[v] = load(w + v * kLanes);
            for (int s = 0; s < kCount; ++s) {
                const Float one = all(x[s * width + i]);
                for (int v = 0; v < kPanelVectors; ++v) acc[s][v] = fma(one, row[v], acc[s][v]);
            }
        }
    }
    for (int s = 0; s < kCount; ++s)
        for (int v = 0; v < kPanelVectors; ++v) store(sums + s * kPanel + v * kLanes, acc[s][v]);
}

// Calls put(step, first output, outputs, sums) for steps [begin, end) of a joined signal and panels of a range.
template <class Store>
inline void convolve(const Convolution& c, const float* joined, Range steps, Range panels, const Store& put) {
    if (c.outputs == 1) return;
    const int taps_at_once = std::max(1, kPanelRows / c.inputs);
    for (int panel = panels.begin; panel < panels.end; ++panel) {
        const float* weights = c.weights + int64_t(panel) * c.taps * c.inputs * kPanel;
        const int first = panel * kPanel, count = std::min(kPanel, c.outputs - first);
        for (int begin = steps.begin; begin < steps.end; begin += kStretch) {
            const int end = std::min(begin + kStretch, steps.end);
            float sums[kStretch * kPanel];
            for (int s = 0; s < end - begin; ++s)
                for (int i = 0; i < kPanel; ++i) sums[s * kPanel + i] = c.bias && i < count ? c.bias[first + i] : 0.0f;
            for (int tap = 0; tap < c.taps; tap += taps_at_once) {
                const int to = std::min(tap + taps_at_once, c.taps);
                int s = begin;
                const auto go = [&](auto many) {
                    constexpr int kCount = decltype(many)::value;
                    for (; s + kCount <= end; s += kCount)
                        multiply_taps<kCount>(c, weights, joined + int64_t(s) * c.inputs, tap, to,
                                              sums + (s - begin) * kPanel);
                };
                go(std::integral_constant<int, kSteps>());
                go(std::integral_constant<int, 4>());
                go(std::integral_constant<int, 2>());
                go(std::integral_constant<int, 1>());
            }
            for (int s = begin; s < end; ++s) put(s, first, count, sums + (s - begin) * kPanel);
        }
    }
}

// One output: the window of a step is one stretch of memory.
inline float single(const Convolution& c, const float* joined, int step) {
    Float sum = all(0.0f);
    float rest = c.bias ? c.bias[0] : 0.0f;
    for (int tap = 0; tap < c.taps; ++tap) {
        const float* x = joined + (int64_t(step) + tap * c.dilation) * c.inputs;
        const float* w = c.weights + int64_t(tap) * c.inputs;
        int i = 0;
        for (; i + kLanes <= c.inputs; i += kLanes) sum = fma(load(x + i), load(w + i), sum);
        for (; i < c.inputs; ++i) rest += x[i] * w[i];
    }
    return rest + sum_of(sum);
}

// All streams of a call: where each lies in a joined buffer, and which part of the work is a member's.
struct Layout {
    const Stream* streams;
    int count, past, inputs;
    std::vector<int> starts;  // rows of the joined buffer, past included
    int steps = 0;

    Layout(const Convolution& c, const Stream* given, int number)
        : streams(given), count(number), past((c.taps - 1) * c.dilation), inputs(c.inputs) {
        for (int n = 0, row = 0; n < count; ++n) {
            starts.push_back(row);
            row += past + streams[n].steps;
            steps += streams[n].steps;
        }
    }

    int64_t size() const { return int64_t(steps + count * past) * inputs; }

    // Calls each(stream, its own range of steps) for a range over the steps of all streams.
    template <class Each>
    void within(Range all, const Each& each) const {
        for (int n = 0, first = 0; n < count; first += streams[n++].steps) {
            const Range own{std::max(all.begin - first, 0), std::min(all.end - first, int(streams[n].steps))};
            if (own.begin < own.end) each(n, own);
        }
    }
};

// Past and activated input of all streams side by side; histories move on.
inline void join(const Convolution& c, const Layout& layout, float* joined, const Member& member) {
    layout.within(member.share(layout.steps), [&](int n, Range own) {
        for (int s = own.begin; s < own.end; ++s) {
            const float* x = layout.streams[n].input + int64_t(s) * c.inputs;
            float* to = joined + (int64_t(layout.starts[n]) + layout.past + s) * c.inputs;
            if (c.frequencies) snake_row(x, c.frequencies, c.gains, c.inputs, to);
            else std::copy_n(x, c.inputs, to);
        }
    });
    for (int n = member.number; n < layout.count && layout.past; n += member.size)
        std::copy_n(layout.streams[n].history, int64_t(layout.past) * c.inputs,
                    joined + int64_t(layout.starts[n]) * c.inputs);
    member.wait();
    for (int n = member.number; n < layout.count && layout.past; n += member.size)
        std::copy_n(joined + (int64_t(layout.starts[n]) + layout.streams[n].steps) * c.inputs,
                    int64_t(layout.past) * c.inputs, layout.streams[n].history);
}

// What a member does of a convolution of all streams: put(stream, step, first output, outputs, sums).
template <class Store>
inline void convolve_all(const Convolution& c, const Layout& layout, const float* joined, const Member& member,
                         const Store& put) {
    const int panels = (c.outputs + kPanel - 1) / kPanel;
    const bool few = layout.steps <= kFewSteps && panels >= member.size;
    const Range own_panels = few ? member.share(panels) : Range{0, panels};
    layout.within(few ? Range{0, layout.steps} : member.share(layout.steps), [&](int n, Range own) {
        const float* from = joined + int64_t(layout.starts[n]) * c.inputs;
        if (c.outputs == 1)
            for (int s = own.begin; s < own.end; ++s) {
                const float sum = single(c, from, s);
                put(n, s, 0, 1, &sum);
            }
        convolve(c, from, own, own_panels,
                 [&](int s, int first, int count, const float* sums) { put(n, s, first, count, sums); });
    });
}

inline void convolution(const Convolution& c, const Layout& layout, Convolver& memory, const Member& member) {
    join(c, layout, memory.joined.data(), member);
    convolve_all(c, layout, memory.joined.data(), member, [&](int n, int s, int first, int count, const float* sums) {
        std::copy_n(sums, count, layout.streams[n].output + int64_t(s) * c.outputs + first);
    });
}

// output = input + narrow(wide(input)), where wide sees the past and narrow has one tap; both activate their input.
inline void residual_unit(const Convolution& wide, const Convolution& narrow, const Layout& layout, Convolver& memory,
                          const Member& member) {
    float* between = memory.between.data();
    join(wide, layout, memory.joined.data(), member);
    std::vector<int> firsts(layout.count);
    for (int n = 1; n < layout.count; ++n) firsts[n] = firsts[n - 1] + layout.streams[n - 1].steps;
    convolve_all(wide, layout, memory.joined.data(), member, [&](int n, int s, int first, int count, const float* sums) {
        snake_row(sums, narrow.frequencies + first, narrow.gains + first, count,
                  between + (int64_t(firsts[n]) + s) * wide.outputs + first);
    });
    member.wait();
    std::vector<Stream> streams(layout.streams, layout.streams + layout.count);
    Layout flat(narrow, streams.data(), layout.count);  // no past: streams lie one behind the other
    convolve_all(narrow, flat, between, member, [&](int n, int s, int first, int count, const float* sums) {
        const float* x = layout.streams[n].input + int64_t(s) * narrow.outputs + first;
        float* out = layout.streams[n].output + int64_t(s) * narrow.outputs + first;
        for (int i = 0; i < count; ++i) out[i] = x[i] + sums[i];
    });
}

}  // namespace
