// Threads that do one piece of work together, in step with each other.
//
// A decode step is hundreds of short phases, each of which needs what all members made in the one before. So members
// wait for each other by spinning, and sleep only between calls.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <sched.h>
#include <thread>
#include <vector>

namespace {

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

constexpr int kSpinsBeforeYield = 4000;   // longer than any phase takes while all members run
constexpr int kSpinsBeforeSleep = 20000;  // about what passes between two calls of one frame

class Barrier {
   public:
    explicit Barrier(int size) : size_(size) {}

    void wait() {
        const uint32_t round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
            if (spins < kSpinsBeforeYield) relax();
            else sched_yield();  // somebody else has the core of the one that is waited for
        }
    }

   private:
    const int size_;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> round_{0};
};

// A half-open range of things to do.
struct Range {
    int begin, end;
};

class Team;

// One thread's part in the work.
struct Member {
    Team& team;
    const int number;
    const int size;

    Range share(int count) const {
        return {static_cast<int>(int64_t(count) * number / size), static_cast<int>(int64_t(count) * (number + 1) / size)};
    }
    void wait() const;
};

class Team {
   public:
    explicit Team(int size) : size_(size), barrier_(size) {
        for (int number = 1; number < size; ++number) threads_.emplace_back([this, number] { serve(number); });
    }

    ~Team() {
        start(nullptr, nullptr);
        for (auto& thread : threads_) thread.join();
    }

    int size() const { return size_; }

    // Have all members do `work(Member)`; the caller is one of them. Calls of several threads come one after the other.
    template <class Work>
    void run(const Work& work) {
        std::lock_guard<std::mutex> one_at_a_time(calls_);
        start([](const void* given, const Member& member) { (*static_cast<const Work*>(given))(member); }, &work);
        work(Member{*this, 0, size_});
        barrier_.wait();
    }

    void wait() { barrier_.wait(); }

   private:
    using Call = void (*)(const void*, const Member&);

    void start(Call call, const void* given) {
        call_ = call;
        given_ = given;
        {
            std::lock_guard<std::mutex> lock(sleep_);
            call_number_.fetch_add(1, std::memory_order_release);
        }
        awake_.notify_all();
    }

    void serve(int number) {
        for (uint32_t seen = 0;; ++seen) {
            for (int spins = 0; call_number_.load(std::memory_order_acquire) == seen; ++spins) {
                if (spins < kSpinsBeforeSleep) {
                    relax();
                    continue;
                }
                std::unique_lock<std::mutex> lock(sleep_);
                awake_.wait(lock, [&] { return call_number_.load(std::memory_order_acquire) != seen; });
            }
            if (call_ == nullptr) return;
            call_(given_, Member{*this, number, size_});
            barrier_.wait();
        }
    }

    const int size_;
    Barrier barrier_;
    std::mutex calls_, sleep_;
    std::condition_variable awake_;
    std::atomic<uint32_t> call_number_{0};
    Call call_ = nullptr;
    const void* given_ = nullptr;
    std::vector<std::thread> threads_;
};

inline void Member::wait() const { team.wait(); }

}  // namespace
