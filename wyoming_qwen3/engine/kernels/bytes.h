// Convolutions whose products are of 8 bits: those of a Linear, since the taps of a step are rows one after the other.
#pragma once

#include "linear.h"
#include "panels.h"

namespace {

constexpr int kRowsAtOnce = 64;  // rows that are multiplied with all weights before the next: they stay in the cache

#if defined(__AVX512VNNI__) || defined(__AVX2__) || defined(__SSE4_1__) || defined(__ARM_FEATURE_DOTPROD)
constexpr bool kFastBytes = true;
#else
constexpr bool kFastBytes = false;  // products of 8 bits take twice as long as those of float32
#endif

// Whether a convolution can have 8 bits: without padding.
inline bool fits_bytes(const Convolution& c) {
    return kFastBytes && c.inputs % kGroup == 0 && c.outputs % kBlock == 0 && (c.taps == 1 || c.dilation == 1);
}

inline Linear as_linear(const Convolution& c) {
    const auto* weights = static_cast<const uint8_t*>(c.weights);
    return {weights, c.scales, c.bias, c.outputs, c.taps * c.inputs, 8, c.outputs / kBlock, 0};
}

inline int64_t bytes_of_block(const Convolution& c) { return int64_t(c.taps) * c.inputs * kBlock; }

// Pack filters into the block of a Linear that they belong to, and write their scales.
inline void pack_bytes(const Convolution& c, const Filters& filters, int block, uint8_t* packed, float* scales) {
    const int inputs = c.taps * c.inputs;
    for (int output = 0; output < kBlock; ++output) {
        const float* own = filters.of(c, block * kBlock + output);
        if (!own) continue;
        float largest = 0;
        for (int i = 0; i < inputs; ++i) largest = std::max(largest, std::fabs(own[i]));
        scales[block * kBlock + output] = largest / 127;
        const float factor = largest > 0 ? 127 / largest : 0.0f;
        for (int i = 0; i < inputs; ++i) {
            const float weight = own[int64_t(i % c.inputs) * c.taps + i / c.inputs];
            packed[(i / 4 * kBlock + output) * 4 + i % 4] = uint8_t(128 + std::lrint(weight * factor));
        }
    }
}

// Call put(step, first output, outputs, sums) for `count` steps, whose quantised rows begin with `rows`, and a range of
// blocks.
template <class Store>
inline void convolve_bytes(const Convolution& c, const Rows& rows, int count, Range blocks, const Store& put) {
    const Linear layer = as_linear(c);
    const int groups = rows.width / kGroup;
    for (int begin = 0; begin < count; begin += kRowsAtOnce) {
        const int64_t skipped = int64_t(begin) * groups;
        const Rows now{rows.numbers + int64_t(begin) * rows.width, rows.scales + skipped, rows.sums + skipped,
                       rows.width};
        apply_blocks<8>(layer, now, std::min(kRowsAtOnce, count - begin), blocks,
                        [&](int row, int first, const float* sums) {
                            put(begin + row, first, std::integral_constant<int, kBlock>(), sums);
                        });
    }
}

}  // namespace
