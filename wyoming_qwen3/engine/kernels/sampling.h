// Draws a code by the rules of engine/lm/sampling.py, from a given random number.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "simd.h"

extern "C" {
// The sampling parameters. Temperature 0 takes the most likely code; top_k 0 and top_p 1 keep all codes.
struct Warp {
    float temperature, top_p;
    int32_t top_k;
};
}

namespace {

constexpr float kColdest = 1e-5f;

// Returns the index that `uniform`, in [0, 1), draws. Requires finite logits.
inline int draw(float* logits, int size, const Warp& warp, float uniform) {
    if (warp.temperature < kColdest) return int(std::max_element(logits, logits + size) - logits);
    float least = -INFINITY;
    if (warp.top_k > 0 && warp.top_k < size) {
        std::vector<float> order(logits, logits + size);
        std::nth_element(order.begin(), order.begin() + warp.top_k - 1, order.end(), std::greater<float>());
        least = order[warp.top_k - 1];
    }
    std::vector<int> kept;
    for (int i = 0; i < size; ++i)
        if (logits[i] >= least) kept.push_back(i);
    const float largest = *std::max_element(logits, logits + size);
    std::vector<double> weights;
    for (int i : kept) weights.push_back(std::exp(double(logits[i] - largest) / double(warp.temperature)));
    double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (warp.top_p < 1.0f) {
        std::vector<int> order(kept.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return weights[a] < weights[b]; });
        const double spare = (1.0 - double(warp.top_p)) * total;
        double below = 0;
        for (size_t i = 0; i + 1 < order.size(); ++i) {
            below += weights[order[i]];
            if (below > spare) break;
            total -= weights[order[i]];
            weights[order[i]] = 0;
        }
    }
    const double target = double(uniform) * total;
    double sum = 0;
    int drawn = kept.back();
    for (size_t i = 0; i < kept.size(); ++i) {
        if (weights[i] == 0) continue;
        drawn = kept[i];
        if ((sum += weights[i]) > target) break;
    }
    return drawn;
}

}  // namespace
