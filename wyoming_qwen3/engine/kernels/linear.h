// Linear layers with packed weights; input rows are quantised in each call.
//
// Weights are stored in blocks of 32 outputs. A block has one group of 32 inputs after another, and a group is 8 times
// 128 bytes: four inputs of each of the 32 outputs. So a thread reads one stream of memory from start to end, and no
// sum is taken across lanes. A row is quantised to 8 bits with one scale for each group of 32 inputs.
// There is a float32 scale for each output.
//   8 bits: a byte is 128 + weight.
//   4 bits: a group begins with 32 scales and 32 zero points of one byte each, followed by 4 times 128 bytes. Low
//   nibbles are the first four inputs, high nibbles the next four. A weight is scale * (nibble - zero point); the zero
//   point is in sixteenths, and the scale's byte has 3 bits of exponent and 5 of mantissa: 1 to 1.97 * 2^-7 up to 1
//   to 1.97.
// A row's outputs do not depend on the rows beside it, to the last bit.
#pragma once

#include <algorithm>
#include <vector>

#include "simd.h"
#include "team.h"

namespace {

constexpr int kBlock = 32;
constexpr int kGroup = 32;
constexpr int kVectors = kBlock / kLanes;
constexpr int kNibbleGroup = 2 * kBlock + kBlock * kGroup / 2;  // bytes of a group in 4 bits
constexpr float kZeroSteps = 16;
constexpr int kScaleShift = 18, kScaleBits = 0x3c000000;  // where a scale's byte is in a float32, and the rest of it

inline int padded(int n) { return (n + kGroup - 1) / kGroup * kGroup; }

}  // namespace

extern "C" {
// Filled by the caller; see structures.py.
struct Linear {
    const uint8_t* weights;
    const float* scales;  // [outputs]
    const float* bias;    // [outputs] or null
    int32_t outputs, inputs, bits, blocks;
    int32_t ahead;  // how far ahead weights are prefetched, in bytes; 0: left to the processor
};
}

namespace {

// Quantised rows.
struct Rows {
    int8_t* numbers;  // [rows][width]
    float* scales;    // [rows][width / 32]
    float* sums;      // of each group's numbers, negated; corrects for what is added to the weights
    int width;        // of the buffers: at least the padded inputs

    // Quantise inputs [inputs]; the last group is filled up with zeros.
    void quantise(int row, const float* x, int inputs) const {
        int8_t* q = numbers + int64_t(row) * width;
        const int64_t first = int64_t(row) * (width / kGroup);
        for (int group = 0; group * kGroup < inputs; ++group) {
            const float* part = x + group * kGroup;
            float rest[kGroup] = {};
            if (inputs - group * kGroup < kGroup) {
                std::copy(part, x + inputs, rest);
                part = rest;
            }
            Vector widest = magnitude((Vector)load(part));
            for (int v = 1; v < kVectors; ++v) {
                const Vector other = magnitude((Vector)load(part + kLanes * v));
                widest = widest < other ? other : widest;
            }
            const float largest = largest_of((Float)widest);
            const Vector factor = (Vector)all(largest > 0 ? 127.0f / largest : 0.0f);
            const Vector magic = (Vector)all(12582912.0f);  // adding it rounds to an integer
            Whole total = {};
            for (int v = 0; v < kVectors; ++v) {
                const Vector rounded = ((Vector)load(part + kLanes * v) * factor + magic) - magic;
                const Whole whole = __builtin_convertvector(rounded, Whole);
                const Bytes bytes = __builtin_convertvector(whole, Bytes);
                std::memcpy(q + group * kGroup + kLanes * v, &bytes, sizeof bytes);
                total += whole;
            }
            int32_t sum = 0;
            for (int i = 0; i < kLanes; ++i) sum += total[i];
            scales[first + group] = largest / 127.0f;
            sums[first + group] = float(-sum);
        }
    }
};

// Memory for quantised rows.
struct RowMemory {
    std::vector<int8_t> numbers;
    std::vector<float> scales, sums;

    void prepare_rows(int width, int64_t rows) {
        grow(numbers, rows * width);
        grow(scales, rows * (width / kGroup));
        grow(sums, rows * (width / kGroup));
    }

    // Rows from `first` on.
    Rows rows(int width, int first = 0) {
        const int64_t group = int64_t(first) * (width / kGroup);
        return {numbers.data() + int64_t(first) * width, scales.data() + group, sums.data() + group, width};
    }

    template <class T>
    static void grow(std::vector<T>& memory, int64_t size) {
        if (int64_t(memory.size()) < size) memory.resize(size);
    }
};

inline Float scale_of(Whole code) { return (Float)((code << kScaleShift) | kScaleBits); }

// The code whose scale is next to x: at least 0.
inline Whole code_of(Float x) {
    const Whole code = ((Whole)x - kScaleBits + (1 << (kScaleShift - 1))) >> kScaleShift;
    return code < 0 ? Whole{} : code > 255 ? Whole{} + 255 : code;
}

template <int kBits, int kRows>
inline void multiply(const uint8_t* w, int ahead, const Rows& x, int first, int groups,
                     Float (&sums)[kRows][kVectors]) {
    const int per_row = x.width / kGroup;
    const int8_t* numbers = x.numbers + int64_t(first) * x.width;
    const float* scales = x.scales + int64_t(first) * per_row;
    const float* offsets = x.sums + int64_t(first) * per_row;
    for (auto& row : sums)
        for (auto& sum : row) sum = all(0.0f);
    for (int group = 0; group < groups; ++group) {
        const uint8_t* codes = w;
        if (kBits == 4) w += 2 * kBlock;
        Int dots[kRows][kVectors];
        for (auto& row : dots)
            for (auto& dot : row) dot = all(0);
        for (int step = 0; step < kBits; ++step, w += 4 * kBlock) {
            if (ahead) {
                __builtin_prefetch(w + ahead);
                __builtin_prefetch(w + ahead + 64);
            }
            for (int v = 0; v < kVectors; ++v) {
                const Int bytes = load_bytes(w + 4 * kLanes * v);
                for (int row = 0; row < kRows; ++row) {
                    int32_t four[2];
                    const int8_t* inputs = numbers + int64_t(row) * x.width + group * kGroup;
                    if (kBits == 8) {
                        std::memcpy(four, inputs + 4 * step, 4);
                        dots[row][v] = dot4(dots[row][v], bytes, four[0]);
                    } else {
                        std::memcpy(four, inputs + 8 * step, 8);
                        dots[row][v] = dot4_small(dots[row][v], low_nibbles(bytes), four[0]);
                        dots[row][v] = dot4_small(dots[row][v], high_nibbles(bytes), four[1]);
                    }
                }
            }
        }
        for (int v = 0; v < kVectors; ++v) {
            Float own = all(1.0f), added = all(float(kOffset));
            if (kBits == 4) {
                own = scale_of(widen(codes + kLanes * v));
                added = (Float)(__builtin_convertvector(widen(codes + kBlock + kLanes * v), Vector) / kZeroSteps);
            }
            for (int row = 0; row < kRows; ++row) {
                Float scale = all(scales[row * per_row + group]), sum = to_float(dots[row][v]);
                if (kBits == 4) scale = (Float)((Vector)scale * (Vector)own);
                if (kBits == 4 || kOffset) sum = fma(all(offsets[row * per_row + group]), added, sum);
                sums[row][v] = fma(sum, scale, sums[row][v]);
            }
        }
    }
}

template <int kBits, int kRows, class Store>
inline void block_of(const Linear& layer, int block, const Rows& x, int first, const Store& put) {
    const int groups = padded(layer.inputs) / kGroup;
    const int64_t bytes = int64_t(groups) * (kBits == 4 ? kNibbleGroup : kBlock * kGroup);
    Float sums[kRows][kVectors];
    multiply<kBits, kRows>(layer.weights + block * bytes, layer.ahead, x, first, groups, sums);
    for (int row = 0; row < kRows; ++row) {
        float out[kBlock];
        for (int v = 0; v < kVectors; ++v) {
            Vector y = (Vector)sums[row][v] * (Vector)load(layer.scales + block * kBlock + kLanes * v);
            if (layer.bias) y += (Vector)load(layer.bias + block * kBlock + kLanes * v);
            store(out + kLanes * v, (Float)y);
        }
        put(first + row, block * kBlock, out);
    }
}

// Call put(row, first output, 32 outputs) for each row and each block of a range.
template <int kBits, class Store>
void apply_blocks(const Linear& layer, const Rows& x, int rows, Range blocks, const Store& put) {
    for (int block = blocks.begin; block < blocks.end; ++block) {
        int row = 0;
        for (; row + kTile <= rows; row += kTile) block_of<kBits, kTile>(layer, block, x, row, put);
        switch (rows - row) {
            case 3:
                block_of<kBits, 3>(layer, block, x, row, put);
                break;
            case 2:
                block_of<kBits, 2>(layer, block, x, row, put);
                break;
            case 1:
                block_of<kBits, 1>(layer, block, x, row, put);
                break;
        }
    }
}

template <class Store>
void apply(const Linear& layer, const Rows& x, int rows, Member& member, const Store& put) {
    member.each(layer.blocks, [&](int block) {
        if (layer.bits == 4) apply_blocks<4>(layer, x, rows, {block, block + 1}, put);
        else apply_blocks<8>(layer, x, rows, {block, block + 1}, put);
    });
}

}  // namespace
