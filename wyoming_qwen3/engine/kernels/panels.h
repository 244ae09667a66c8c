// A convolution's weights in panels of outputs, and their products with the rows of a signal.
//
// The memory layout of both depends on the processor. A row takes `row_width` floats, before and after it is converted
// for the product. A step's sums run over taps, then inputs, and do not depend on the steps beside it.
//   Vectors: a panel has the inputs of one tap after another, and for each input the panel's outputs. Rows are floats.
//   Weights are floats, or integers of 16 bits with a scale for each output, which are half as many bytes to read; the
//   products are float32 in both cases. Those of 8 bits are in bytes.h.
//   Tiles (AMX): a number is the sum of two bfloat16: the rounded number and the remainder. A product of two numbers
//   would be four products; the smallest, below 2^-16 of the whole, is left out. Sums are float32. For each 32 inputs
//   of a tap, a panel has four tiles of 16 pairs of inputs times 16 outputs: two of remainders, then two of rounded
//   numbers. For each 32 inputs, a row has the rounded numbers and then the remainders.
#pragma once

#include <algorithm>

#include "simd.h"

extern "C" {
// The weights are packed in `bits` bits, 32, 16 or 8, or more; see `stored_bits` of convolution.h. `scales` [outputs]
// belong to 16 and 8 bits. The bias may be null. With frequencies, x + gains * sin(frequencies * x)**2 is applied to
// the input first. `period`: signals arrive in pieces of a multiple of so many steps, and fewer products may be used;
// 0: in any pieces.
struct Convolution {
    const void* weights;
    const float *scales, *bias, *frequencies, *gains;
    int32_t inputs, outputs, taps, dilation, period, bits;
};
}

namespace {

// How many floats a row of `count` numbers takes.
inline int settled_width(int count);

inline int row_width(const Convolution& c) { return c.outputs == 1 ? c.inputs : settled_width(c.inputs); }

// A part of a panel: rows [begin, end) of its weights, counted over all taps.
struct Part {
    int begin, end;
};

// Weights [count, inputs, taps] of the outputs from `first` on, as they are published.
struct Filters {
    const float* weights;
    int first, count;

    // Those of one output [inputs, taps]; null if it is not among them.
    const float* of(const Convolution& c, int output) const {
        if (output < first || output >= first + count) return nullptr;
        return weights + int64_t(output - first) * c.inputs * c.taps;
    }
};

constexpr float kWidest = 32767;  // of 16 bits

#if defined(__AMX_BF16__)
constexpr bool kFewerBits = false;  // tiles need bfloat16
constexpr int kPanel = 32;
constexpr int kDepth = 32;       // inputs that are multiplied at once
constexpr int kSlack = 31;       // rows that are read beyond the last one
constexpr int kPart = 8192;      // rows of a panel that are multiplied at once: they fit into the core's L2 cache
constexpr int kStretch = 128;    // steps that are multiplied with a part before the next part is read
constexpr int kTilesAhead = 16;  // how far ahead weights are prefetched, in tiles
constexpr int kTileFloats = 256;

// Configures the thread's eight tiles as 16 rows of 64 bytes for as long as the object exists.
class Tiles {
   public:
    Tiles() {
        alignas(64) uint8_t shape[64] = {1};
        for (int tile = 0; tile < 8; ++tile) {
            shape[16 + 2 * tile] = 64;
            shape[48 + tile] = 16;
        }
        asm volatile("ldtilecfg %0" ::"m"(shape));
    }
    ~Tiles() { _tile_release(); }
};

inline int settled_width(int count) { return (count + kDepth - 1) / kDepth * kDepth; }

// Split 32 floats into 32 rounded bfloat16 and 32 remainders; `to` may be `x`.
inline void split(const float* x, float* to) {
    const __m512 low = load(x), high = load(x + 16);
    const __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    const auto rest = [](__m512 value, __m256i half) {
        return _mm512_sub_ps(value, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)));
    };
    const __m512 low_rest = rest(low, _mm512_castsi512_si256(rounded));
    const __m512 high_rest = rest(high, _mm512_extracti64x4_epi64(rounded, 1));
    _mm512_storeu_si512(to, rounded);
    _mm512_storeu_si512(to + 16, (__m512i)_mm512_cvtne2ps_pbh(high_rest, low_rest));
}

// Convert `count` numbers of a row for the product, in place. `row` begins at a multiple of kDepth; padding is zeroed.
inline void settle(float* row, int count) {
    std::fill(row + count, row + settled_width(count), 0.0f);
    for (int i = 0; i < count; i += kDepth) split(row + i, row + i);
}

// Pack filters into the panel that they belong to.
inline void pack(const Convolution& c, const Filters& filters, int panel, float* packed) {
    for (int tap = 0; tap < c.taps; ++tap)
        for (int first = 0; first < c.inputs; first += kDepth, packed += 4 * kTileFloats)
            for (int output = 0; output < kPanel; ++output) {
                const float* own = filters.of(c, panel * kPanel + output);
                if (!own) continue;
                float column[kDepth] = {};
                for (int i = 0; i < std::min(kDepth, c.inputs - first); ++i)
                    column[i] = own[int64_t(first + i) * c.taps + tap];
                split(column, column);
                float* to = packed + output / 16 * kTileFloats + output % 16;
                for (int pair = 0; pair < 16; ++pair) {
                    to[pair * 16] = column[16 + pair];
                    to[2 * kTileFloats + pair * 16] = column[pair];
                }
            }
}

// `asks`: whether this block prefetches the weights; the first of the blocks that read a part does.
template <bool kTwo>
inline void multiply_block(const Convolution& c, const float* w, const float* rows, Part part, bool asks, float* sums) {
    const int64_t width = row_width(c), stride = 4 * width;
    if (part.begin == 0) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 4 * kPanel);
        _tile_loadd(1, sums + 16, 4 * kPanel);
        if (kTwo) _tile_loadd(2, sums + 16 * kPanel, 4 * kPanel);
        if (kTwo) _tile_loadd(3, sums + 16 * kPanel + 16, 4 * kPanel);
    }
    const auto all_products = [] {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (kTwo) _tile_dpbf16ps(2, 5, 6);
        if (kTwo) _tile_dpbf16ps(3, 5, 7);
    };
    const auto load_rows = [&](const float* x) {
        _tile_loadd(4, x, stride);
        if (kTwo) _tile_loadd(5, x + 16 * width, stride);
    };
    const auto load_weights = [&](const float* tiles) {
        _tile_loadd(6, tiles, 64);
        _tile_loadd(7, tiles + kTileFloats, 64);
    };
    for (int k = part.begin; k < part.end; k += kDepth, w += 4 * kTileFloats) {
        const float* x = rows + int64_t(k / width) * c.dilation * width + k % width;
        if (asks)
            for (int line = 0; line < 64; ++line) __builtin_prefetch(w + kTilesAhead * kTileFloats + 16 * line, 0, 2);
        load_rows(x);
        load_weights(w);
        all_products();
        load_weights(w + 2 * kTileFloats);
        all_products();
        load_rows(x + kDepth / 2);
        all_products();
    }
    _tile_stored(0, sums, 4 * kPanel);
    _tile_stored(1, sums + 16, 4 * kPanel);
    if (kTwo) _tile_stored(2, sums + 16 * kPanel, 4 * kPanel);
    if (kTwo) _tile_stored(3, sums + 16 * kPanel + 16, 4 * kPanel);
}

// Add a part of a panel's products with `steps` steps to their sums [kStretch][kPanel]; the first part sets the sums.
inline void multiply(const Convolution& c, const float* weights, const float* rows, Part part, int steps, float* sums) {
    const int64_t width = row_width(c);
    const int blocks = (steps + 31) / 32;
    for (int block = 0; block < blocks; ++block, rows += 32 * width, sums += 32 * kPanel)
        if (steps - 32 * block > 16) multiply_block<true>(c, weights, rows, part, block == 0, sums);
        else multiply_block<false>(c, weights, rows, part, block == 0, sums);
}

#else
constexpr bool kFewerBits = true;
#if defined(__x86_64__) && !defined(__AVX512VNNI__)  // 16 registers of vectors
constexpr int kPanelVectors = 2;
constexpr int kSteps = 6;
#else
constexpr int kPanelVectors = 3;
constexpr int kSteps = 8;
#endif
constexpr int kPanel = kPanelVectors * kLanes;
constexpr int kDepth = 1;
constexpr int kSlack = 0;
constexpr int kPart = 2688;          // rows of a panel that are multiplied at once: they stay in the core's own cache
constexpr int kStretch = 64;         // steps that are multiplied with a part before the next part is read
constexpr int kWeightsAhead = 4096;  // how far ahead weights are prefetched, in bytes

struct Tiles {
    Tiles() {}
};

inline int settled_width(int count) { return count; }

inline void settle(float*, int) {}

// Pack filters into the panel that they belong to, each weight as convert(weight, number of its output in the panel).
template <class Weight, class Convert>
inline void pack(const Convolution& c, const Filters& filters, int panel, Weight* packed, const Convert& convert) {
    for (int tap = 0; tap < c.taps; ++tap)
        for (int i = 0; i < c.inputs; ++i, packed += kPanel)
            for (int output = 0; output < kPanel; ++output)
                if (const float* own = filters.of(c, panel * kPanel + output))
                    packed[output] = convert(own[int64_t(i) * c.taps + tap], output);
}

template <int kCount, class Weight>
inline void multiply_block(const Convolution& c, const Weight* w, const float* rows, Part part, float* sums) {
    Float acc[kCount][kPanelVectors];
    for (int s = 0; s < kCount; ++s)
        for (int v = 0; v < kPanelVectors; ++v)
            acc[s][v] = part.begin == 0 ? all(0.0f) : load(sums + s * kPanel + v * kLanes);
    const int64_t width = c.inputs;
    for (int k = part.begin; k < part.end;) {
        const float* x = rows + k / width * c.dilation * width + k % width;
        for (const int until = std::min<int>(part.end, (k / width + 1) * width); k < until; ++k, ++x, w += kPanel) {
            Float row[kPanelVectors];
            for (int v = 0; v < kPanelVectors; ++v) row[v] = load(w + v * kLanes);
            for (int line = 0; line < int(sizeof(Weight)) * kPanel; line += 64)
                __builtin_prefetch((const char*)w + kWeightsAhead + line);
            for (int s = 0; s < kCount; ++s) {
                const Float one = all(x[s * width]);
                for (int v = 0; v < kPanelVectors; ++v) acc[s][v] = fma(one, row[v], acc[s][v]);
            }
        }
    }
    for (int s = 0; s < kCount; ++s)
        for (int v = 0; v < kPanelVectors; ++v) store(sums + s * kPanel + v * kLanes, acc[s][v]);
}

// Add a part of a panel's products with `steps` steps to their sums [kStretch][kPanel]; the first part sets the sums.
template <class Weight>
inline void multiply(const Convolution& c, const Weight* weights, const float* rows, Part part, int steps,
                     float* sums) {
    int s = 0;
    const auto go = [&](auto many) {
        constexpr int kCount = decltype(many)::value;
        for (; s + kCount <= steps; s += kCount)
            multiply_block<kCount>(c, weights, rows + int64_t(s) * c.inputs, part, sums + s * kPanel);
    };
    go(std::integral_constant<int, kSteps>());
    go(std::integral_constant<int, 4>());
    go(std::integral_constant<int, 2>());
    go(std::integral_constant<int, 1>());
}
#endif

inline int panels_of(const Convolution& c) { return (c.outputs + kPanel - 1) / kPanel; }
inline int64_t panel_size(const Convolution& c) { return int64_t(c.taps) * row_width(c) * kPanel; }

}  // namespace
