// Rounds weights to 4 bits: a scale and a zero point for each output and 32 inputs, found by least squares.
//
// The range of a group's weights is narrowed at either end in a few steps. For each range the weights are rounded, and
// the scale and the minimum that fit the rounded numbers best are computed. The best of these fits is then rounded to
// what a group can store: the scale to 3 bits of exponent and 5 of mantissa, relative to a factor of the output, and
// the zero point to sixteenths. Lanes are outputs.
#pragma once

#include <algorithm>

#include "linear.h"

namespace {

constexpr float kMostNibble = 15.0f;
constexpr float kRanges[] = {1.0f, 0.9f, 0.8f, 0.7f};
constexpr float kLargestScale = 1.96875f;  // of scale_of: the largest code

// A group's weights of kLanes outputs, and what does not depend on how they are rounded.
struct Group {
    Vector weights[kGroup], lowest, highest, sum;

    // `weights` [.., inputs] begins at the first output and input of the group; its rows are `inputs` long.
    Group(const float* from, int64_t inputs) : lowest{}, highest{}, sum{} {
        for (int i = 0; i < kGroup; ++i) {
            for (int lane = 0; lane < kLanes; ++lane) weights[i][lane] = from[lane * inputs + i];
            lowest = weights[i] < lowest ? weights[i] : lowest;
            highest = weights[i] > highest ? weights[i] : highest;
            sum += weights[i];
        }
    }
};

struct Fit {
    Vector scale, minimum;
};

inline Vector rounded(Vector x) {
    const Vector magic = (Vector)all(12582912.0f);  // adding it rounds to an integer
    return (x + magic) - magic;
}

inline Vector limited(Vector x, float least, float most) {
    const Vector low = (Vector)all(least), high = (Vector)all(most);
    x = x < low ? low : x;
    return x > high ? high : x;
}

inline Vector inverse(Vector x) {
    const Vector zero = (Vector)all(0.0f);
    return x > zero ? 1.0f / x : zero;
}

// The scale and minimum with the smallest squared error, before they are rounded themselves.
inline Fit best_fit(const Group& group) {
    Fit best{{}, {}};
    Vector explained{};
    for (float low : kRanges)
        for (float high : kRanges) {
            const Vector first = group.lowest * low;
            const Vector factor = inverse((group.highest * high - first) / kMostNibble);
            Vector numbers{}, squares{}, products{};
            for (const Vector& weight : group.weights) {
                const Vector number = limited(rounded((weight - first) * factor), 0, kMostNibble);
                numbers += number;
                squares += number * number;
                products += number * weight;
            }
            const Vector spread = float(kGroup) * squares - numbers * numbers;
            const Vector shared = float(kGroup) * products - numbers * group.sum;
            const Vector scale = shared * inverse(spread), here = shared * scale;
            const auto better = here > explained;
            explained = better ? here : explained;
            best.scale = better ? scale : best.scale;
            best.minimum = better ? (group.sum - scale * numbers) / float(kGroup) : best.minimum;
        }
    return best;
}

// The codes of a group, and its numbers from 0 to 15.
struct Codes {
    Whole scale;
    Vector zero, numbers[kGroup];
};

// Round with a given code of the scale; returns the squared error.
inline Vector round_with(const Group& group, const Fit& fit, Vector factor, Whole code, Codes& to) {
    const Vector scale = (Vector)scale_of(code) * factor, per_weight = inverse(scale);
    Vector zero = limited(rounded(-fit.minimum * per_weight * kZeroSteps), 0, 255) / kZeroSteps;
    Vector sum{};
    for (int i = 0; i < kGroup; ++i) {
        to.numbers[i] = limited(rounded(group.weights[i] * per_weight + zero), 0, kMostNibble);
        sum += to.numbers[i];
    }
    const Vector mean = (sum - group.sum * per_weight) / float(kGroup);
    to.zero = limited(rounded(mean * kZeroSteps), 0, 255);
    zero = to.zero / kZeroSteps;
    to.scale = code;
    Vector error{};
    for (int i = 0; i < kGroup; ++i) {
        const Vector apart = scale * (to.numbers[i] - zero) - group.weights[i];
        error += apart * apart;
    }
    return error;
}

inline Codes round_group(const Group& group, Vector factor) {
    const Fit fit = best_fit(group);
    const Whole nearest = code_of((Float)(fit.scale * inverse(factor)));
    Codes best{}, other;
    Vector least = round_with(group, fit, factor, nearest, best);
    for (int step : {-1, 1}) {
        Whole code = nearest + step;
        code = code < 0 ? Whole{} : code > 255 ? Whole{} + 255 : code;
        const Vector error = round_with(group, fit, factor, code, other);
        const auto better = error < least;
        least = better ? error : least;
        best.scale = better ? other.scale : best.scale;
        best.zero = better ? other.zero : best.zero;
        for (int i = 0; i < kGroup; ++i) best.numbers[i] = better ? other.numbers[i] : best.numbers[i];
    }
    return best;
}

// Write the codes of the outputs from `first` on to their places in a group of a block, which is zero there.
inline void place(const Codes& codes, int first, uint8_t* group) {
    for (int lane = 0; lane < kLanes; ++lane) {
        const int output = first + lane;
        group[output] = uint8_t(codes.scale[lane]);
        group[kBlock + output] = uint8_t(codes.zero[lane]);
        for (int i = 0; i < kGroup; ++i) {
            uint8_t* byte = group + 2 * kBlock + i / 8 * 4 * kBlock + 4 * output + i % 4;
            *byte |= uint8_t(uint8_t(codes.numbers[i][lane]) << (i % 8 < 4 ? 0 : 4));
        }
    }
}

// Round a block of outputs, weights [32, inputs] with padded inputs, to data [groups, 576] and scales [32].
inline void round_block(const float* weights, int inputs, uint8_t* data, float* scales) {
    const int groups = inputs / kGroup;
    std::fill_n(data, int64_t(groups) * kNibbleGroup, uint8_t(0));
    for (int first = 0; first < kBlock; first += kLanes) {
        const float* own = weights + int64_t(first) * inputs;
        Vector widest{};
        for (int group = 0; group < groups; ++group) {
            const Group given(own + group * kGroup, inputs);
            const Vector range = given.highest - given.lowest;
            widest = range > widest ? range : widest;
        }
        const Vector factor = widest / (kMostNibble * kLargestScale);
        store(scales + first, (Float)factor);
        for (int group = 0; group < groups; ++group)
            place(round_group(Group(own + group * kGroup, inputs), factor), first,
                  data + int64_t(group) * kNibbleGroup);
    }
}

}  // namespace
