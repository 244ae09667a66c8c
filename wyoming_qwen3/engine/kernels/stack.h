// A stack of Qwen3 decoder layers: from tokens to hidden states after the final norm.
//
// A token belongs to a sequence with a cache of keys and values. Tokens of one sequence are in order. All tokens pass
// through a layer together. Norms, rotation, attention and activation are computed in float32.
#pragma once

#include <algorithm>
#include <cmath>

#include "linear.h"

extern "C" {
struct Layer {
    Linear queries_keys, values, out, gate_up, down;
    const float *attention_norm, *query_norm, *key_norm, *mlp_norm;
};

// The outputs of gate_up are interleaved: 16 of the gate, then the same 16 of the other half, and so on.
struct Stack {
    const Layer* layers;
    const float *norm, *cosines, *sines;  // the tables are [positions, head_dim / 2]
    int32_t count, hidden, inner, heads, kv_heads, head_dim;
    float eps;
};

// The cache of a token's sequence, bfloat16 [layers, kv_heads, capacity, head_dim], and the token's position in it.
struct Token {
    uint16_t *keys, *values;
    int32_t capacity, position;
};
}

namespace {

constexpr int kFewTokens = 2;  // up to this number each member quantises all of them, which is faster than to wait

// Working memory of a team. It grows as needed, and new memory is zeroed.
struct Workspace : RowMemory {
    std::vector<float> states, projected, mixed, normed;
    std::vector<std::vector<float>> scores;
    int wide = 0, hidden = 0, qkv = 0;

    void prepare(const Stack& s, int tokens, int members) {
        hidden = padded(s.hidden);
        qkv = padded((s.heads + 2 * s.kv_heads) * s.head_dim);
        wide = std::max({hidden, padded(s.heads * s.head_dim), padded(s.inner)});
        grow(states, int64_t(tokens) * hidden);
        grow(projected, int64_t(tokens) * qkv);
        grow(mixed, int64_t(tokens) * wide);
        grow(normed, int64_t(members) * wide);
        prepare_rows(wide, tokens <= kFewTokens ? tokens * members : tokens);
        scores.resize(std::max<size_t>(scores.size(), members));
    }
};

inline void rms_norm(const float* x, const float* weight, int size, float eps, float* out) {
    Float squares = all(0.0f);
    int i = 0;
    for (; i + kLanes <= size; i += kLanes) squares = fma(load(x + i), load(x + i), squares);
    float sum = sum_of(squares);
    for (; i < size; ++i) sum += x[i] * x[i];
    const float factor = 1.0f / std::sqrt(sum / float(size) + eps);
    for (i = 0; i < size; ++i) out[i] = weight[i] * (x[i] * factor);
}

inline void rotate(float* x, const float* cosines, const float* sines, int head_dim) {
    const int half = head_dim / 2;
    for (int i = 0; i < half; ++i) {
        const float low = x[i], high = x[i + half];
        x[i] = low * cosines[i] - high * sines[i];
        x[i + half] = high * cosines[i] + low * sines[i];
    }
}

// Round to bfloat16: to the nearest, and to an even number if two are as near.
inline void shorten(const float* x, int size, uint16_t* to) {
    for (int i = 0; i < size; ++i) {
        uint32_t bits;
        std::memcpy(&bits, x + i, sizeof bits);
        to[i] = uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

// Replace `count` scores by their exponentials, and return the sum by which they must be divided.
inline float softmax(float* scores, int count) {
    float largest = scores[0];
    for (int i = 1; i < count; ++i) largest = std::max(largest, scores[i]);
    for (int i = count; i < (count + kLanes - 1) / kLanes * kLanes; ++i) scores[i] = -INFINITY;
    Vector sum = (Vector)all(0.0f);
    for (int i = 0; i < count; i += kLanes) {
        const Vector power = (Vector)exponential((Float)((Vector)load(scores + i) - largest));
        float lanes[kLanes];
        store(lanes, (Float)power);
        for (int lane = count - i; lane < kLanes; ++lane) lanes[lane] = 0;
        store(scores + i, load(lanes));
        sum += (Vector)load(lanes);
    }
    return sum_of((Float)sum);
}

// Attention of some heads that share keys and values; see `attend`.
template <int kHeads, class Number>
inline void attend_heads(int dim, float scale, const float* queries, const Number* keys, const Number* values,
                         int positions, float* scores, int stride, float* out) {
    for (int p = 0; p < positions; ++p) {
        Float sums[kHeads];
        for (auto& sum : sums) sum = all(0.0f);
        for (int i = 0; i < dim; i += kLanes) {
            const Float key = load(keys + int64_t(p) * dim + i);
            for (int h = 0; h < kHeads; ++h) sums[h] = fma(load(queries + h * dim + i), key, sums[h]);
        }
        for (int h = 0; h < kHeads; ++h) scores[h * stride + p] = scale * sum_of(sums[h]);
    }
    float factors[kHeads];
    for (int h = 0; h < kHeads; ++h) factors[h] = 1.0f / softmax(scores + h * stride, positions);
    const auto mix = [&](int i, auto many) {
        constexpr int kMany = decltype(many)::value;
        Float sums[kHeads][kMany];
        for (auto& head : sums)
            for (auto& sum : head) sum = all(0.0f);
        for (int p = 0; p < positions; ++p)
            for (int v = 0; v < kMany; ++v) {
                const Float value = load(values + int64_t(p) * dim + i + v * kLanes);
                for (int h = 0; h < kHeads; ++h) sums[h][v] = fma(all(scores[h * stride + p]), value, sums[h][v]);
            }
        for (int h = 0; h < kHeads; ++h)
            for (int v = 0; v < kMany; ++v)
                store(out + h * dim + i + v * kLanes, (Float)((Vector)sums[h][v] * (Vector)all(factors[h])));
    };
    int i = 0;
    for (; i + 4 * kLanes <= dim; i += 4 * kLanes) mix(i, std::integral_constant<int, 4>());
    for (; i < dim; i += kLanes) mix(i, std::integral_constant<int, 1>());
}

// Attention of the rotated queries [group][dim] of one key head to all positions up to the token's own. `dim` is a
// multiple of kLanes; keys and values are float32 or bfloat16.
template <class Number>
inline void attend(int dim, int group, float scale, const float* queries, const Number* keys, const Number* values,
                   int positions, std::vector<float>& scores, float* out) {
    const int stride = (positions + kLanes - 1) / kLanes * kLanes;
    if (int(scores.size()) < 2 * stride) scores.resize(4 * stride);
    int h = 0;
    for (; h + 2 <= group; h += 2)
        attend_heads<2>(dim, scale, queries + h * dim, keys, values, positions, scores.data(), stride, out + h * dim);
    if (h < group)
        attend_heads<1>(dim, scale, queries + h * dim, keys, values, positions, scores.data(), stride, out + h * dim);
}

inline void gate(const float* out, float* inner) {
    for (int i = 0; i < kBlock / 2; i += kLanes) {
        const Vector x = (Vector)load(out + i);
        const Vector y = x / (1.0f + (Vector)exponential((Float)-x)) * (Vector)load(out + kBlock / 2 + i);
        store(inner + i, (Float)y);
    }
}

// A member's share of taking `count` tokens through some layers: their states in work.states are replaced.
inline void advance(const Stack& s, Range layers, Workspace& work, const Token* tokens, int count, Member& member) {
    const int dim = s.head_dim, group = s.heads / s.kv_heads;
    const float scale = 1.0f / std::sqrt(float(dim));
    const bool few = count <= kFewTokens;
    const Rows rows = work.rows(work.wide, few ? member.number * count : 0);
    const Range own = member.share(count);
    const Range quantised = few ? Range{0, count} : own;
    float* normed = work.normed.data() + int64_t(member.number) * work.wide;
    const auto state = [&](int t) { return work.states.data() + int64_t(t) * work.hidden; };
    const auto mixed = [&](int t) { return work.mixed.data() + int64_t(t) * work.wide; };
    const auto norm_rows = [&](const float* weight) {
        for (int t = quantised.begin; t < quantised.end; ++t) {
            rms_norm(state(t), weight, s.hidden, s.eps, normed);
            rows.quantise(t, normed, s.hidden);
        }
        if (!few) member.wait();
    };
    const auto quantise_mixed = [&](int size) {
        member.wait();
        for (int t = quantised.begin; t < quantised.end; ++t) rows.quantise(t, mixed(t), size);
        if (!few) member.wait();
    };
    const auto project = [&](const Linear& part, int place) {
        apply(part, rows, count, member, [&](int t, int first, const float* out) {
            std::copy_n(out, std::min(kBlock, part.outputs - first),
                        work.projected.data() + int64_t(t) * work.qkv + place + first);
        });
    };
    const auto add = [&](int t, int first, const float* out) {
        float* x = state(t) + first;
        for (int i = 0; i < kBlock; ++i) x[i] += out[i];
    };
    for (int number = layers.begin; number < layers.end; ++number) {
        const Layer& layer = s.layers[number];
        norm_rows(layer.attention_norm);
        project(layer.queries_keys, 0);
        project(layer.values, layer.queries_keys.outputs);
        member.wait();
        member.each(s.kv_heads, [&](int head) {
            for (int t = 0; t < count; ++t) {
                const Token& token = tokens[t];
                float* queries = work.projected.data() + int64_t(t) * work.qkv + head * group * dim;
                float* key = work.projected.data() + int64_t(t) * work.qkv + (s.heads + head) * dim;
                const int64_t place = (int64_t(number) * s.kv_heads + head) * token.capacity;
                uint16_t *keys = token.keys + place * dim, *values = token.values + place * dim;
                const int64_t here = int64_t(token.position) * dim;
                const float* cosines = s.cosines + int64_t(token.position) * (dim / 2);
                const float* sines = s.sines + int64_t(token.position) * (dim / 2);
                rms_norm(key, layer.key_norm, dim, s.eps, key);
                rotate(key, cosines, sines, dim);
                shorten(key, dim, keys + here);
                shorten(key + s.kv_heads * dim, dim, values + here);
                for (int h = 0; h < group; ++h) {
                    rms_norm(queries + h * dim, layer.query_norm, dim, s.eps, queries + h * dim);
                    rotate(queries + h * dim, cosines, sines, dim);
                }
                attend(dim, group, scale, queries, keys, values, token.position + 1, work.scores[member.number],
                       mixed(t) + head * group * dim);
            }
        });
        quantise_mixed(s.heads * dim);
        apply(layer.out, rows, count, member, add);
        member.wait();
        norm_rows(layer.mlp_norm);
        apply(layer.gate_up, rows, count, member,
              [&](int t, int first, const float* out) { gate(out, mixed(t) + first / 2); });
        quantise_mixed(s.inner);
        apply(layer.down, rows, count, member, add);
        member.wait();
    }
}

// A member's share of the norm after the last layer.
inline void norm_states(const Stack& s, Workspace& work, int count, Member& member) {
    const Range own = member.share(count);
    for (int t = own.begin; t < own.end; ++t) {
        float* state = work.states.data() + int64_t(t) * work.hidden;
        rms_norm(state, s.norm, s.hidden, s.eps, state);
    }
    member.wait();
}

}  // namespace
