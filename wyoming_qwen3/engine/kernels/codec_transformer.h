// The transformer of the codec's decoder, in float32, on pieces of some streams.
//
// A step attends to itself and the window - 1 steps before it; the caller keeps their keys and values.
#pragma once

#include "convolution.h"
#include "stack.h"

extern "C" {
// Products have one tap and no activation. gate_up has all outputs of the gate, then those of the other half.
struct CodecLayer {
    Convolution qkv, out, gate_up, down;
    const float *attention_norm, *mlp_norm;
};

struct CodecTransformer {
    const CodecLayer* layers;
    const float *norm, *frequencies;  // frequencies: angles per step, [head_dim / 2]
    int32_t count, hidden, inner, heads, kv_heads, head_dim, window;
    float eps;
};

// A stream's position, and its rotated keys and its values: [layers, 2, kv_heads, window - 1, padded head_dim].
struct Past {
    float* rows;
    int64_t position;
};
}

namespace {

// One call on `count` streams of `steps` each: replaces the inputs x [count * steps, hidden] by their hidden states.
class CodecStack {
   public:
    CodecStack(const CodecTransformer& t, const Past* pasts, int count, int steps, float* x)
        : t_(t), pasts_(pasts), count_(count), steps_(steps), rows_(count * steps), x_(x),
          dim_((t.head_dim + kLanes - 1) / kLanes * kLanes), group_(t.heads / t.kv_heads),
          projected_(int64_t(rows_) * (t.heads + 2 * t.kv_heads) * t.head_dim), gated_(int64_t(rows_) * 2 * t.inner),
          angles_(int64_t(rows_) * t.head_dim) {
        const int widest = std::max({t.hidden, t.heads * t.head_dim, t.inner});
        Convolver::grow(factors_, int64_t(rows_ + kSlack) * settled_width(widest));
        quantised_.prepare_rows(padded(widest), rows_);
        for (int row = 0; row < rows_; ++row)
            for (int i = 0; i < t.head_dim / 2; ++i) {
                const float angle = float(pasts[row / steps].position + row % steps) * t.frequencies[i];
                angles_[row * t.head_dim + i] = std::cos(angle);
                angles_[row * t.head_dim + t.head_dim / 2 + i] = std::sin(angle);
            }
    }

    void advance(Member& member) {
        for (int number = 0; number < t_.count; ++number) {
            const CodecLayer& layer = t_.layers[number];
            norm(layer.attention_norm, member);
            product(layer.qkv, member, [&](int row, int first, auto count, const float* sums) {
                std::copy_n(sums, count, projected_.data() + int64_t(row) * layer.qkv.outputs + first);
            });
            member.each(count_ * t_.kv_heads, [&](int job) {
                attention(pasts_[job / t_.kv_heads], number, job % t_.kv_heads, job / t_.kv_heads * steps_, layer);
            });
            member.wait();
            settle_rows(layer.out.inputs, member);
            const auto add = [&](int row, int first, auto count, const float* sums) {
                float* out = x_ + int64_t(row) * t_.hidden + first;
                for (int i = 0; i < count; ++i) out[i] += sums[i];
            };
            product(layer.out, member, add);
            norm(layer.mlp_norm, member);
            product(layer.gate_up, member, [&](int row, int first, auto count, const float* sums) {
                std::copy_n(sums, count, gated_.data() + int64_t(row) * 2 * t_.inner + first);
            });
            gate(layer.down.inputs, member);
            product(layer.down, member, add);
        }
        each_row(member, [&](int row) {
            float* x = x_ + int64_t(row) * t_.hidden;
            rms_norm(x, t_.norm, t_.hidden, t_.eps, x);
        });
    }

   private:
    template <class Each>
    void each_row(Member& member, const Each& each) {
        const Range own = member.share(rows_);
        for (int row = own.begin; row < own.end; ++row) each(row);
        member.wait();
    }

    // A row of the next product's input.
    float* factors(int row, int inputs) { return factors_.data()->numbers + int64_t(row) * settled_width(inputs); }

    void norm(const float* weight, Member& member) {
        each_row(member, [&](int row) {
            float* to = factors(row, t_.hidden);
            rms_norm(x_ + int64_t(row) * t_.hidden, weight, t_.hidden, t_.eps, to);
            settle(to, t_.hidden);
        });
    }

    void settle_rows(int inputs, Member& member) {
        each_row(member, [&](int row) { settle(factors(row, inputs), inputs); });
    }

    void gate(int inputs, Member& member) {
        each_row(member, [&](int row) {
            const float* gates = gated_.data() + int64_t(row) * 2 * inputs;
            float* to = factors(row, inputs);
            for (int i = 0; i < inputs; i += kLanes) {
                const int count = std::min(kLanes, inputs - i);
                float x[kLanes] = {};
                std::copy_n(gates + i, count, x);
                store(x, (Float)((Vector)load(x) / (1.0f + (Vector)exponential((Float) - (Vector)load(x)))));
                for (int lane = 0; lane < count; ++lane) to[i + lane] = x[lane] * gates[inputs + i + lane];
            }
            settle(to, inputs);
        });
    }

    // A member's share of a product with all rows: calls put(row, first output, outputs, sums).
    template <class Put>
    void product(const Convolution& c, Member& member, const Put& put) {
        const Stream all{nullptr, nullptr, nullptr, rows_};
        convolve_all(c, Layout(c, &all, 1), factors_.data()->numbers, quantised_, member,
                     [&](int, int row, int first, auto count, const float* sums) { put(row, first, count, sums); });
        member.wait();
    }

    // Attention of one key head over the steps of one stream, whose first row is `first_row`.
    void attention(const Past& past, int layer, int head, int first_row, const CodecLayer& l) {
        const int dim = t_.head_dim, kept = t_.window - 1;
        float* own = past.rows + ((int64_t(layer) * 2) * t_.kv_heads + head) * kept * dim_;
        float* kept_rows[2] = {own, own + int64_t(t_.kv_heads) * kept * dim_};
        const int size = (kept + steps_) * dim_;
        std::vector<float> joined(2 * size + group_ * dim_ * 2), scores;
        float *queries = joined.data() + 2 * size, *out = queries + group_ * dim_;
        for (int part = 0; part < 2; ++part) {
            float* rows = joined.data() + part * size;
            std::copy_n(kept_rows[part], int64_t(kept) * dim_, rows);
            for (int s = 0; s < steps_; ++s)
                turn(first_row + s, t_.heads + part * t_.kv_heads + head, l, part == 0, rows + (kept + s) * dim_);
            std::copy_n(rows + steps_ * dim_, int64_t(kept) * dim_, kept_rows[part]);
        }
        for (int s = 0; s < steps_; ++s) {
            for (int h = 0; h < group_; ++h) turn(first_row + s, head * group_ + h, l, true, queries + h * dim_);
            const int first = int(std::max<int64_t>(s, kept - past.position));
            const float* keys = joined.data() + first * dim_;
            attend(dim_, group_, 1.0f / std::sqrt(float(dim)), queries, keys, keys + size, kept + s + 1 - first, scores,
                   out);
            for (int h = 0; h < group_; ++h)
                std::copy_n(out + h * dim_, dim, factors(first_row + s, l.out.inputs) + (head * group_ + h) * dim);
        }
    }

    // Copy one projected head of a row to `to`, rotated by the row's angles if `turned`.
    void turn(int row, int head, const CodecLayer& l, bool turned, float* to) {
        const int dim = t_.head_dim;
        const float* cosines = angles_.data() + int64_t(row) * dim;
        std::copy_n(projected_.data() + int64_t(row) * l.qkv.outputs + head * dim, dim, to);
        if (turned) rotate(to, cosines, cosines + dim / 2, dim);
    }

    const CodecTransformer& t_;
    const Past* const pasts_;
    const int count_, steps_, rows_;
    float* const x_;
    const int dim_, group_;
    std::vector<float> projected_, gated_, angles_;
    std::vector<Line> factors_;
    RowMemory quantised_;
};

}  // namespace
