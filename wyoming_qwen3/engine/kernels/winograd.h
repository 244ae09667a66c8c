// Convolutions of seven taps with fewer products: Toom-Cook's algorithm, also called Winograd's, F(4, 7).
//
// Four outputs of one phase of the dilation are a tile. Its ten inputs, as a polynomial's coefficients, are evaluated
// at ten points, multiplied point by point by weights that were evaluated at load time, and interpolated: 10 products
// instead of 28. With the points 0, +-1/2, +-3/4, +-1, +-2 and infinity the error of a float32 sum is about six times
// that of the direct sum. A tile never spans two periods, and inputs after its outputs count as zeros, so the results
// do not depend on how a signal is split between periods.
// A. Lavin, S. Gray, https://arxiv.org/abs/1509.09308; points: B. Barabasz et al., https://arxiv.org/abs/1803.10986.
#pragma once

#include "panels.h"
#include "team.h"

namespace {

constexpr int kWinogradTaps = 7;
constexpr int kTileOutputs = 4;
constexpr int kTileInputs = 10;
constexpr int kPairs = 4;
constexpr double kRoots[kPairs] = {0.5, 0.75, 1.0, 2.0};  // a pair is the points +root and -root
constexpr int kTilesAtOnce = 48;                          // their inputs and sums stay in the core's own cache

#if defined(__AMX_BF16__)
constexpr bool kWinograd = false;  // bfloat16 products are too coarse, and not what takes the time
#else
constexpr bool kWinograd = true;
#endif

inline bool uses_winograd(const Convolution& c) {
    return kWinograd && c.period > 0 && c.taps == kWinogradTaps && c.inputs % kLanes == 0 && c.outputs > 1;
}

inline int64_t winograd_panel_size(const Convolution& c) { return int64_t(kTileInputs) * c.inputs * kPanel; }

// The outputs step, step + dilation, ... of a stream; `count` of them.
struct Tile {
    int stream, step, count;
};

// The products over the roots' squares other than one's own: coefficients of a polynomial in x squared.
struct Coefficients {
    float others[kPairs][kPairs], all[kPairs + 1];
};

constexpr Coefficients coefficients() {
    Coefficients made{};
    for (int own = 0; own <= kPairs; ++own) {
        double product[kPairs + 1] = {1};
        for (int root = 0, degree = 0; root < kPairs; ++root) {
            if (root == own) continue;
            ++degree;
            for (int i = degree; i >= 0; --i)
                product[i] = (i > 0 ? product[i - 1] : 0) - kRoots[root] * kRoots[root] * product[i];
        }
        for (int i = 0; i < (own < kPairs ? kPairs : kPairs + 1); ++i)
            (own < kPairs ? made.others[own][i] : made.all[i]) = float(product[i]);
    }
    return made;
}

constexpr Coefficients kCoefficients = coefficients();

// Evaluate a filter at the points: 0, +root and -root of each pair, infinity.
inline void evaluate(const float* filter, float* to) {
    double points[kTileInputs - 1] = {};
    for (int pair = 0; pair < kPairs; ++pair) points[1 + 2 * pair] = kRoots[pair], points[2 + 2 * pair] = -kRoots[pair];
    for (int p = 0; p < kTileInputs - 1; ++p) {
        double value = 0, divisor = 1;
        for (int tap = kWinogradTaps - 1; tap >= 0; --tap) value = value * points[p] + filter[tap];
        for (int other = 0; other < kTileInputs - 1; ++other)
            if (other != p) divisor *= points[p] - points[other];
        to[p] = float(value / divisor);
    }
    to[kTileInputs - 1] = filter[kWinogradTaps - 1];
}

// Pack filters into the panel that they belong to: [points, inputs, outputs of the panel].
inline void pack_winograd(const Convolution& c, const Filters& filters, int panel, float* packed) {
    for (int output = 0; output < kPanel; ++output)
        for (int i = 0; i < c.inputs; ++i) {
            const float* own = filters.of(c, panel * kPanel + output);
            if (!own) break;
            float points[kTileInputs];
            evaluate(own + int64_t(i) * kWinogradTaps, points);
            for (int p = 0; p < kTileInputs; ++p) packed[(int64_t(p) * c.inputs + i) * kPanel + output] = points[p];
        }
}

// Evaluate a tile's inputs at the points; those of the next point are `stride` floats further.
inline void spread(const float* const (&rows)[kTileInputs], int inputs, int64_t stride, float* to) {
    for (int i = 0; i < inputs; i += kLanes) {
        Float x[kTileInputs], zero = all(0.0f), infinity = all(0.0f);
        for (int k = 0; k < kTileInputs; ++k) x[k] = load(rows[k] + i);
        for (int k = 0; k <= kPairs; ++k) {
            zero = fma(all(kCoefficients.all[k]), x[2 * k], zero);
            infinity = fma(all(kCoefficients.all[k]), x[2 * k + 1], infinity);
        }
        store(to + i, zero);
        store(to + (kTileInputs - 1) * stride + i, infinity);
        for (int pair = 0; pair < kPairs; ++pair) {
            Float even = all(0.0f), odd = all(0.0f);
            for (int k = 0; k < kPairs; ++k) {
                even = fma(all(kCoefficients.others[pair][k]), x[2 * k + 2], even);
                odd = fma(all(kCoefficients.others[pair][k]), x[2 * k + 1], odd);
            }
            store(to + (1 + 2 * pair) * stride + i, fma(all(float(kRoots[pair])), odd, even));
            store(to + (2 + 2 * pair) * stride + i, fma(all(-float(kRoots[pair])), odd, even));
        }
    }
}

// Interpolate a tile's outputs of one panel; the sums of the next point are `stride` floats further.
inline void gather(const float* sums, int64_t stride, float (&out)[kTileOutputs][kPanel]) {
    for (int i = 0; i < kPanel; i += kLanes) {
        Float y[kTileOutputs] = {load(sums + i), all(0.0f), all(0.0f), load(sums + (kTileInputs - 1) * stride + i)};
        for (int pair = 0; pair < kPairs; ++pair) {
            const Vector plus = (Vector)load(sums + (1 + 2 * pair) * stride + i);
            const Vector minus = (Vector)load(sums + (2 + 2 * pair) * stride + i);
            const float root = float(kRoots[pair]);
            const Float even = (Float)(plus + minus), odd = (Float)(plus - minus);
            y[0] = (Float)((Vector)y[0] + (Vector)even);
            y[1] = fma(all(root), odd, y[1]);
            y[2] = fma(all(root * root), even, y[2]);
            y[3] = fma(all(root * root * root), odd, y[3]);
        }
        for (int k = 0; k < kTileOutputs; ++k) store(out[k] + i, y[k]);
    }
}

// The sums of some tiles, at most kTilesAtOnce, and some panels: calls put(tile, output, first channel, channels,
// sums). `spread_tiles` has the tiles' inputs by point, [points, tiles, inputs].
template <class Store>
inline void multiply_tiles(const Convolution& c, const float* spread_tiles, const Tile* tiles, int count, Range panels,
                           const Store& put) {
    for (int panel = panels.begin; panel < panels.end; ++panel) {
        alignas(64) float sums[kTileInputs * kTilesAtOnce * kPanel], out[kTileOutputs][kPanel];
        const float* weights = static_cast<const float*>(c.weights) + panel * winograd_panel_size(c);
        for (int p = 0; p < kTileInputs; ++p)
            multiply(c, weights + int64_t(p) * c.inputs * kPanel, spread_tiles + int64_t(p) * count * c.inputs,
                     {0, c.inputs}, count, sums + p * count * kPanel);
        const int first = panel * kPanel, channels = std::min(kPanel, c.outputs - first);
        for (int t = 0; t < count; ++t) {
            gather(sums + t * kPanel, int64_t(count) * kPanel, out);
            for (int k = 0; k < tiles[t].count; ++k) {
                if (c.bias)
                    for (int i = 0; i < channels; ++i) out[k][i] += c.bias[first + i];
                if (channels == kPanel) put(tiles[t], k, first, std::integral_constant<int, kPanel>(), out[k]);
                else put(tiles[t], k, first, channels, out[k]);
            }
        }
    }
}

}  // namespace
