// The functions that Python calls to compute a frame's codes and samples on a CPU.
//
// They are C functions on memory that the caller owns. structures.py mirrors the structures and compares them with
// `fields`. Nothing is kept between calls but threads and their workspace. No function throws: those that allocate
// memory return 0, or 1 if memory ran out; their outputs are undefined then.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <numeric>

#include "codec_transformer.h"
#include "rounding.h"
#include "sampling.h"

#define EXPORTED __attribute__((visibility("default")))

namespace {

constexpr int kLayersAtOnce = 4;  // after so many of a stack's layers, another number of threads may go on

// The threads and their workspace.
struct Crew {
    explicit Crew(int size) : team(size) {}
    Team team;
    std::mutex calls;
    Workspace work;
    Convolver convolver;
};

// Run `work` for one caller at a time. Returns 0, or 1 if memory ran out.
template <class Work>
int with(Crew* crew, const Work& work) noexcept {
    try {
        std::lock_guard<std::mutex> lock(crew->calls);
        work();
        return 0;
    } catch (...) {
        return 1;
    }
}

}  // namespace

extern "C" {

// A table of embeddings [codes, width], float32 or bfloat16.
struct Table {
    const void* rows;
    int32_t bfloat16;
};

// tables[0] is the talker's own; head i predicts code i + 1. A projection without weights is skipped.
struct Predictor {
    Stack stack;
    Linear projection;
    const Linear* heads;
    const Table* tables;
    int32_t codebooks, width;  // width is the talker's hidden size
};

EXPORTED const char* kind() noexcept { return KIND; }

// Ask the system for permission to use what this kind of processor needs. Returns 0 if it refuses.
EXPORTED int allowed() noexcept {
#if defined(__AMX_BF16__)
    constexpr int kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return 1;
#endif
}

// Returns null if the system has no memory or threads left.
EXPORTED Crew* crew_new(int threads) noexcept {
    try {
        return new Crew(threads);
    } catch (...) {
        return nullptr;
    }
}
EXPORTED void crew_delete(Crew* crew) noexcept { delete crew; }

// Let only so many threads, at least 1, take part in the next phases; a call that runs may follow after a millisecond.
EXPORTED void crew_limit(Crew* crew, int threads) noexcept { crew->team.limit(threads); }

// Advance tokens: replace inputs float32 [count, hidden] by their hidden states.
EXPORTED int stack_advance(Crew* crew, const Stack* stack, const Token* tokens, int count, float* inputs) noexcept {
    return with(crew, [&] {
        Workspace& work = crew->work;
        work.prepare(*stack, count, crew->team.size());
        for (int t = 0; t < count; ++t) {
            float* state = work.states.data() + int64_t(t) * work.hidden;
            std::copy_n(inputs + int64_t(t) * stack->hidden, stack->hidden, state);
        }
        for (int layer = 0; layer < stack->count; layer += kLayersAtOnce)
            crew->team.run([&](Member& member) {
                const int end = std::min(layer + kLayersAtOnce, stack->count);
                advance(*stack, {layer, end}, work, tokens, count, member);
                if (end == stack->count) norm_states(*stack, work, count, member);
            });
        for (int t = 0; t < count; ++t)
            std::copy_n(work.states.data() + int64_t(t) * work.hidden, stack->hidden,
                        inputs + int64_t(t) * stack->hidden);
    });
}

// Round weights float32 [blocks * 32, inputs], whose inputs are padded to a multiple of 32, to 4 bits: data as a Linear
// has it, and scales [blocks * 32].
EXPORTED int linear_round(Crew* crew, int blocks, int inputs, const float* weights, uint8_t* data,
                          float* scales) noexcept {
    return with(crew, [&] {
        crew->team.run([&](Member& member) {
            const Range own = member.share(blocks);
            for (int block = own.begin; block < own.end; ++block)
                round_block(weights + int64_t(block) * kBlock * inputs, inputs,
                            data + int64_t(block) * (inputs / kGroup) * kNibbleGroup, scales + block * kBlock);
        });
    });
}

// float32 [rows, inputs] -> [rows, outputs].
EXPORTED int linear_apply(Crew* crew, const Linear* layer, int rows, const float* inputs, float* outputs) noexcept {
    return with(crew, [&] {
        const int width = padded(layer->inputs);
        crew->work.prepare_rows(width, rows);
        const Rows quantised = crew->work.rows(width);
        for (int r = 0; r < rows; ++r) quantised.quantise(r, inputs + int64_t(r) * layer->inputs, layer->inputs);
        crew->team.run([&](Member& member) {
            apply(*layer, quantised, rows, member, [&](int r, int first, const float* out) {
                std::copy_n(out, std::min(kBlock, layer->outputs - first),
                            outputs + int64_t(r) * layer->outputs + first);
            });
        });
    });
}
}

namespace {

inline void add_embedding(const Table& table, int64_t code, int width, float* latest, float* sum) {
    for (int i = 0; i < width; ++i) {
        if (table.bfloat16) {
            const uint32_t bits = uint32_t(static_cast<const uint16_t*>(table.rows)[code * width + i]) << 16;
            std::memcpy(latest + i, &bits, 4);
        } else {
            latest[i] = static_cast<const float*>(table.rows)[code * width + i];
        }
    }
    for (int i = 0; i < width; ++i) sum[i] += latest[i];
}

}  // namespace

extern "C" {

// Complete a frame of each row. `hidden` is the talker's state [rows, width]. `codes` is int64 [rows, codebooks], with
// the first code of each row given. `uniforms` [rows, codebooks - 1] are random numbers in [0, 1). Writes the other
// codes, and to `sums` [rows, width] the sums of the embeddings of all codes.
EXPORTED int predictor_frame(Crew* crew, const Predictor* predictor, int rows, const float* hidden, const Warp* warps,
                             const float* uniforms, int64_t* codes, float* sums) noexcept {
    return with(crew, [&] {
        const Predictor& p = *predictor;
        const Stack& s = p.stack;
        const bool projects = p.projection.weights != nullptr;
        Workspace& work = crew->work;
        work.prepare(s, 2 * rows, crew->team.size());
        const int width = padded(std::max(p.width, s.hidden));
        work.prepare_rows(width, 2 * rows);
        const int codes_each = p.heads[0].outputs, logits_each = p.heads[0].blocks * kBlock;
        const int64_t per_cache = int64_t(s.count) * s.kv_heads * p.codebooks * s.head_dim;
        std::vector<uint16_t> keys(rows * per_cache), values(rows * per_cache);
        std::vector<float> inputs(int64_t(2) * rows * width);
        std::vector<float> logits(int64_t(rows) * logits_each);
        std::vector<Token> tokens(2 * rows);
        const auto token = [&](int row, int position) {
            return Token{keys.data() + row * per_cache, values.data() + row * per_cache, p.codebooks, position};
        };
        std::fill_n(sums, int64_t(rows) * p.width, 0.0f);
        for (int row = 0; row < rows; ++row) {
            std::copy_n(hidden + int64_t(row) * p.width, p.width, inputs.data() + int64_t(2 * row) * width);
            add_embedding(p.tables[0], codes[int64_t(row) * p.codebooks], p.width,
                          inputs.data() + int64_t(2 * row + 1) * width, sums + int64_t(row) * p.width);
            tokens[2 * row] = token(row, 0);
            tokens[2 * row + 1] = token(row, 1);
        }
        const auto complete = [&](int step, Member& member) {
            const int each = step == 1 ? 2 : 1, count = each * rows;
            const Range own = member.share(rows), own_tokens = member.share(count);
            if (projects) {
                const Rows quantised = work.rows(width);
                for (int t = own_tokens.begin; t < own_tokens.end; ++t)
                    quantised.quantise(t, inputs.data() + int64_t(t) * width, p.width);
                member.wait();
                apply(p.projection, quantised, count, member, [&](int t, int first, const float* out) {
                    std::copy_n(out, kBlock, work.states.data() + int64_t(t) * work.hidden + first);
                });
            } else {
                for (int t = own_tokens.begin; t < own_tokens.end; ++t)
                    std::copy_n(inputs.data() + int64_t(t) * width, s.hidden,
                                work.states.data() + int64_t(t) * work.hidden);
            }
            member.wait();
            advance(s, {0, s.count}, work, tokens.data(), count, member);
            norm_states(s, work, count, member);
            const Rows quantised = work.rows(work.hidden);
            for (int row = own.begin; row < own.end; ++row) {
                const float* state = work.states.data() + int64_t(each * row + each - 1) * work.hidden;
                quantised.quantise(row, state, s.hidden);
            }
            member.wait();
            apply(p.heads[step - 1], quantised, rows, member, [&](int row, int first, const float* out) {
                std::copy_n(out, kBlock, logits.data() + int64_t(row) * logits_each + first);
            });
            member.wait();
            for (int row = own.begin; row < own.end; ++row) {
                const float uniform = uniforms[int64_t(row) * (p.codebooks - 1) + step - 1];
                const int code = draw(logits.data() + int64_t(row) * logits_each, codes_each, warps[row], uniform);
                codes[int64_t(row) * p.codebooks + step] = code;
                add_embedding(p.tables[step], code, p.width, inputs.data() + int64_t(row) * width,
                              sums + int64_t(row) * p.width);
                tokens[row] = token(row, step + 1);
            }
        };
        for (int step = 1; step < p.codebooks; ++step) crew->team.run([&](Member& member) { complete(step, member); });
    });
}

EXPORTED int convolution_row_width(const Convolution* c) noexcept { return row_width(*c); }

// Bytes of a convolution's packed weights.
EXPORTED int64_t convolution_size(const Convolution* c) noexcept { return packed_size(*c); }

// Pack weights [count, inputs, taps] of the outputs from `first` on into the layout that is multiplied, which is zero
// at first, and write their scales if it has 16 bits.
EXPORTED int convolution_pack(Crew* crew, const Convolution* c, int first, int count, const float* weights,
                              void* packed, float* scales) noexcept {
    return with(crew, [&] {
        const Filters filters{weights, first, count};
        crew->team.run([&](Member& member) { pack_all(*c, filters, packed, scales, member); });
    });
}

// Convolve a piece of each of some signals.
EXPORTED int convolution_apply(Crew* crew, const Convolution* c, const Stream* streams, int count) noexcept {
    return with(crew, [&] {
        const Layout layout(*c, streams, count);
        prepare(*c, layout, crew->convolver, crew->team.size());
        crew->team.run([&](Member& member) { convolution(*c, layout, crew->convolver, member); });
    });
}

// Apply a residual unit of two convolutions to a piece of each of some signals, whose outputs are their inputs.
EXPORTED int residual_apply(Crew* crew, const Convolution* wide, const Convolution* narrow, const Stream* streams,
                            int count) noexcept {
    return with(crew, [&] {
        const Layout layout(*wide, streams, count);
        prepare(*wide, layout, crew->convolver, crew->team.size());
        Convolver::grow(crew->convolver.between, int64_t(layout.steps + kSlack) * row_width(*narrow));
        if (stored_bits(*narrow) == 8) crew->convolver.quantised.prepare_rows(narrow->inputs, layout.steps);
        crew->team.run([&](Member& member) { residual_unit(*wide, *narrow, layout, crew->convolver, member); });
    });
}

// Advance some streams by `steps` through the codec's transformer: x [count * steps, hidden] in place.
EXPORTED int codec_transformer_apply(Crew* crew, const CodecTransformer* transformer, const Past* pasts, int count,
                                     int steps, float* x) noexcept {
    return with(crew, [&] {
        CodecStack stack(*transformer, pasts, count, steps, x);
        crew->team.run([&](Member& member) { stack.advance(member); });
    });
}

EXPORTED int codec_transformer_head_width(const CodecTransformer* t) noexcept {
    return (t->head_dim + kLanes - 1) / kLanes * kLanes;
}

// Read memory with all threads as fast as they can, prefetched as a Linear's weights. A decode step can't be faster.
EXPORTED int read_through(Crew* crew, const uint8_t* bytes, int64_t size, int ahead, uint64_t* found) noexcept {
    return with(crew, [&] {
        std::atomic<uint64_t> total{0};
        crew->team.run([&](Member& member) {
            const int64_t lines = size / 64;
            const uint64_t* from = reinterpret_cast<const uint64_t*>(bytes) + lines * member.number / member.size * 8;
            const uint64_t* to =
                reinterpret_cast<const uint64_t*>(bytes) + lines * (member.number + 1) / member.size * 8;
            uint64_t sums[32] = {};
            for (; from + 32 <= to; from += 32) {
                for (int line = 0; ahead && line < 256; line += 64)
                    __builtin_prefetch(reinterpret_cast<const char*>(from) + ahead + line);
                for (int i = 0; i < 32; ++i) sums[i] ^= from[i];
            }
            for (uint64_t sum : sums) total.fetch_xor(sum, std::memory_order_relaxed);
        });
        *found = total.load();
    });
}

// Offset and size of a structure's member, in bytes. With an empty name: the size of the structure itself.
struct Field {
    const char *structure, *name;
    int64_t offset, size;
};

#define SIZE(type) {#type, "", 0, sizeof(type)}
#define AT(type, name) {#type, #name, offsetof(type, name), sizeof(type::name)}

// All structures that structures.py mirrors; the last entry has a null name.
EXPORTED const Field* fields() noexcept {
    static const Field all[] = {
        // clang-format off
        SIZE(Linear), AT(Linear, weights), AT(Linear, scales), AT(Linear, bias), AT(Linear, outputs),
        AT(Linear, inputs), AT(Linear, bits), AT(Linear, blocks), AT(Linear, ahead),
        SIZE(Layer), AT(Layer, queries_keys), AT(Layer, values), AT(Layer, out), AT(Layer, gate_up), AT(Layer, down), AT(Layer, attention_norm),
        AT(Layer, query_norm), AT(Layer, key_norm), AT(Layer, mlp_norm),
        SIZE(Stack), AT(Stack, layers), AT(Stack, norm), AT(Stack, cosines), AT(Stack, sines), AT(Stack, count),
        AT(Stack, hidden), AT(Stack, inner), AT(Stack, heads), AT(Stack, kv_heads), AT(Stack, head_dim), AT(Stack, eps),
        SIZE(Token), AT(Token, keys), AT(Token, values), AT(Token, capacity), AT(Token, position),
        SIZE(Warp), AT(Warp, temperature), AT(Warp, top_p), AT(Warp, top_k),
        SIZE(Table), AT(Table, rows), AT(Table, bfloat16),
        SIZE(Predictor), AT(Predictor, stack), AT(Predictor, projection), AT(Predictor, heads), AT(Predictor, tables),
        AT(Predictor, codebooks), AT(Predictor, width),
        SIZE(Convolution), AT(Convolution, weights), AT(Convolution, scales), AT(Convolution, bias), AT(Convolution, frequencies),
        AT(Convolution, gains), AT(Convolution, inputs), AT(Convolution, outputs), AT(Convolution, taps),
        AT(Convolution, dilation), AT(Convolution, period), AT(Convolution, bits),
        SIZE(Stream), AT(Stream, input), AT(Stream, history), AT(Stream, output), AT(Stream, steps),
        SIZE(CodecLayer), AT(CodecLayer, qkv), AT(CodecLayer, out), AT(CodecLayer, gate_up), AT(CodecLayer, down),
        AT(CodecLayer, attention_norm), AT(CodecLayer, mlp_norm),
        SIZE(CodecTransformer), AT(CodecTransformer, layers), AT(CodecTransformer, norm),
        AT(CodecTransformer, frequencies), AT(CodecTransformer, count), AT(CodecTransformer, hidden),
        AT(CodecTransformer, inner), AT(CodecTransformer, heads), AT(CodecTransformer, kv_heads),
        AT(CodecTransformer, head_dim), AT(CodecTransformer, window), AT(CodecTransformer, eps),
        SIZE(Past), AT(Past, rows), AT(Past, position),
        {nullptr, nullptr, 0, 0},
        // clang-format on
    };
    return all;
}
}
