// The vector operations of one kind of processor. All other code is written once, in terms of these.
//
// Integers: `dot4` adds to each 32-bit lane the products of its four bytes with four signed bytes that are the same for
// all lanes. A stored byte is a weight plus 128. `kOffset` is how much of the 128 is still in the products of `dot4`:
// all of it if the processor multiplies unsigned by signed bytes. The corrected results of all kinds are the same.
//
// A loaded uint16_t is a bfloat16: the upper half of a float32. A loaded int16_t is an integer.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512VNNI__)
}  // namespace
#include <immintrin.h>
namespace {
#if defined(__AMX_BF16__)
#define KIND "amx"
#else
#define KIND "avx512vnni"
#endif
constexpr int kLanes = 16;
constexpr int kTile = 4;
constexpr int kOffset = 128;
using Int = __m512i;
using Float = __m512;
inline Int load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline Int load_each(const uint8_t* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
inline Int all(int32_t x) { return _mm512_set1_epi32(x); }
inline Int low_nibbles(Int x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline Int high_nibbles(Int x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }
inline Int dot4(Int sum, Int w, int32_t x) { return _mm512_dpbusd_epi32(sum, w, all(x)); }
inline Int dot4_small(Int sum, Int w, int32_t x) { return dot4(sum, w, x); }
inline Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
inline Float load(const float* p) { return _mm512_loadu_ps(p); }
inline Float load(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
inline Float load(const int16_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i*)p)));
}
inline void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
inline Float all(float x) { return _mm512_set1_ps(x); }
inline Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

#elif defined(__AVX2__)
}  // namespace
#include <immintrin.h>
namespace {
constexpr int kLanes = 8;
constexpr int kTile = 2;
using Int = __m256i;
using Float = __m256;
inline Int load_bytes(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
inline Int load_each(const uint8_t* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
inline Int all(int32_t x) { return _mm256_set1_epi32(x); }
inline Int low_nibbles(Int x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline Int high_nibbles(Int x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }
#if defined(__AVXVNNI__)
#define KIND "avxvnni"
constexpr int kOffset = 128;
inline Int dot4(Int sum, Int w, int32_t x) { return _mm256_dpbusd_avx_epi32(sum, w, all(x)); }
inline Int dot4_small(Int sum, Int w, int32_t x) { return dot4(sum, w, x); }
#else
#define KIND "avx2"
constexpr int kOffset = 0;
inline Int pairs(Int sum, Int products) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}
// maddubs multiplies unsigned by signed bytes, so the weight's sign moves to the input. It adds two products in 16
// bits, which suffice if no number is below -127.
inline Int dot4(Int sum, Int w, int32_t x) {
    const Int meant = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return pairs(sum, _mm256_maddubs_epi16(_mm256_abs_epi8(meant), _mm256_sign_epi8(all(x), meant)));
}
inline Int dot4_small(Int sum, Int w, int32_t x) { return pairs(sum, _mm256_maddubs_epi16(w, all(x))); }
#endif
inline Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
inline Float load(const float* p) { return _mm256_loadu_ps(p); }
inline Float load(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
inline Float load(const int16_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
inline Float all(float x) { return _mm256_set1_ps(x); }
inline Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }

#elif defined(__SSE4_1__)
}  // namespace
#include <smmintrin.h>
namespace {
#define KIND "sse41"
constexpr int kLanes = 4;
constexpr int kTile = 2;
constexpr int kOffset = 0;
using Int = __m128i;
using Float = __m128;
inline Int load_bytes(const uint8_t* p) { return _mm_loadu_si128((const __m128i*)p); }
inline Int load_each(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
}
inline Int all(int32_t x) { return _mm_set1_epi32(x); }
inline Int low_nibbles(Int x) { return _mm_and_si128(x, _mm_set1_epi8(15)); }
inline Int high_nibbles(Int x) { return low_nibbles(_mm_srli_epi16(x, 4)); }
inline Int pairs(Int sum, Int products) { return _mm_add_epi32(sum, _mm_madd_epi16(products, _mm_set1_epi16(1))); }
// As for AVX2.
inline Int dot4(Int sum, Int w, int32_t x) {
    const Int meant = _mm_xor_si128(w, _mm_set1_epi8(-128));
    return pairs(sum, _mm_maddubs_epi16(_mm_abs_epi8(meant), _mm_sign_epi8(all(x), meant)));
}
inline Int dot4_small(Int sum, Int w, int32_t x) { return pairs(sum, _mm_maddubs_epi16(w, all(x))); }
inline Float to_float(Int x) { return _mm_cvtepi32_ps(x); }
inline Float load(const float* p) { return _mm_loadu_ps(p); }
inline Float load(const uint16_t* p) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i*)p)), 16));
}
inline Float load(const int16_t* p) { return _mm_cvtepi32_ps(_mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i*)p))); }
inline void store(float* p, Float x) { _mm_storeu_ps(p, x); }
inline Float all(float x) { return _mm_set1_ps(x); }
inline Float fma(Float a, Float b, Float c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }

#elif defined(__ARM_FEATURE_DOTPROD)
}  // namespace
#include <arm_neon.h>
namespace {
#define KIND "dotprod"
constexpr int kLanes = 4;
constexpr int kTile = 2;
constexpr int kOffset = 0;
struct Int {
    int32x4_t v;
};
using Float = float32x4_t;
// To GCC the intrinsics for loading and for products of floats may read any memory, so it would store each sum of a
// loop before them.
template <class Lanes>
inline Lanes read(const void* p) {
    Lanes x;
    std::memcpy(&x, p, sizeof x);
    return x;
}
inline Int load_bytes(const uint8_t* p) { return {read<int32x4_t>(p)}; }
inline Int load_each(const uint8_t* p) {
    return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(read<uint32_t>(p))))))};
}
inline Int all(int32_t x) { return {vdupq_n_s32(x)}; }
inline Int low_nibbles(Int x) { return {vandq_s32(x.v, vdupq_n_s32(0x0f0f0f0f))}; }
inline Int high_nibbles(Int x) { return {vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(x.v), 4))}; }
inline Int dot4_small(Int sum, Int w, int32_t x) {
    return {vdotq_s32(sum.v, vreinterpretq_s8_s32(w.v), vreinterpretq_s8_s32(vdupq_n_s32(x)))};
}
inline Int dot4(Int sum, Int w, int32_t x) {
    return dot4_small(sum, {vreinterpretq_s32_u8(veorq_u8(vreinterpretq_u8_s32(w.v), vdupq_n_u8(128)))}, x);
}
inline Float to_float(Int x) { return vcvtq_f32_s32(x.v); }
inline Float load(const float* p) { return read<Float>(p); }
inline Float load(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(read<uint16x4_t>(p), 16)); }
inline Float load(const int16_t* p) { return vcvtq_f32_s32(vmovl_s16(read<int16x4_t>(p))); }
inline void store(float* p, Float x) { std::memcpy(p, &x, sizeof x); }
inline Float all(float x) { return vdupq_n_f32(x); }
inline Float fma(Float a, Float b, Float c) {
    asm("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
    return c;
}

#else
#define KIND "plain"
constexpr int kLanes = 4;
constexpr int kTile = 1;
constexpr int kOffset = 0;
typedef float Float __attribute__((vector_size(16)));
typedef int32_t Lanes __attribute__((vector_size(16)));
struct Int {
    Lanes v;
};
inline Int load_bytes(const uint8_t* p) {
    Int x;
    std::memcpy(&x.v, p, sizeof x.v);
    return x;
}
inline Int load_each(const uint8_t* p) { return {Lanes{p[0], p[1], p[2], p[3]}}; }
inline Int all(int32_t x) { return {Lanes{x, x, x, x}}; }
inline Int low_nibbles(Int x) { return {x.v & 0x0f0f0f0f}; }
inline Int high_nibbles(Int x) { return {(x.v >> 4) & 0x0f0f0f0f}; }
inline Int dot4_small(Int sum, Int w, int32_t x) {
    for (int i = 0; i < 4; ++i) sum.v += ((w.v << (24 - 8 * i)) >> 24) * int32_t(int8_t(x >> (8 * i)));
    return sum;
}
inline Int dot4(Int sum, Int w, int32_t x) { return dot4_small(sum, {w.v ^ int32_t(0x80808080)}, x); }
inline Float to_float(Int x) { return __builtin_convertvector(x.v, Float); }
inline Float load(const float* p) {
    Float x;
    std::memcpy(&x, p, sizeof x);
    return x;
}
inline Float load(const uint16_t* p) {
    return (Float)Lanes{int32_t(p[0]) << 16, int32_t(p[1]) << 16, int32_t(p[2]) << 16, int32_t(p[3]) << 16};
}
inline Float load(const int16_t* p) { return Float{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }
inline void store(float* p, Float x) { std::memcpy(p, &x, sizeof x); }
inline Float all(float x) { return Float{x, x, x, x}; }
inline Float fma(Float a, Float b, Float c) { return a * b + c; }
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef int32_t Whole __attribute__((vector_size(4 * kLanes)));
typedef int8_t Bytes __attribute__((vector_size(kLanes)));

// Read one byte for each lane.
inline Whole widen(const uint8_t* p) {
    const Int x = load_each(p);
    Whole lanes;
    std::memcpy(&lanes, &x, sizeof lanes);
    return lanes;
}

// The halves are added until one lane is left.
inline float sum_of(Float x) {
#if defined(__AVX512F__)
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
#elif defined(__AVX2__)
    const __m256 eight = x;
#endif
#if defined(__AVX2__)
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

inline float largest_of(Float x) {
    float lanes[kLanes];
    store(lanes, x);
    for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) lanes[i] = lanes[i] < lanes[i + width] ? lanes[i + width] : lanes[i];
    return lanes[0];
}

inline Vector magnitude(Vector x) { return (Vector)((Whole)x & 0x7fffffff); }

// e**x with an error of at most 2 units in the last place, for x clamped to [-87, 88].
inline Float exponential(Float given) {
    Vector x = (Vector)given;
    const Vector low = (Vector)all(-87.0f), high = (Vector)all(88.0f);
    x = x < low ? low : x;
    x = x > high ? high : x;
    const Vector magic = (Vector)all(12582912.0f);  // adding it rounds to an integer
    const Vector n = (Vector)fma((Float)x, all(1.44269504f), (Float)magic) - magic;
    Float r = fma((Float)n, all(-0.693359375f), (Float)x);
    r = fma((Float)n, all(2.12194440e-4f), r);
    Float p = all(1.9875691500e-4f);
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = fma(p, r, all(c));
    const Vector y = (Vector)fma((Float)((Vector)p * (Vector)r), r, r) + 1.0f;
    const Whole power = (__builtin_convertvector(n, Whole) + 127) << 23;
    return (Float)(y * (Vector)power);
}

}  // namespace
