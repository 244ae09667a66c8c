// Threads that work on one call together, phase by phase.
//
// A decode step is hundreds of short phases, and each needs the results of all members in the phase before. So members
// wait for each other by spinning, and sleep if that takes long because another program runs on a member's core. They
// never yield: Linux counts a yield like the use of a whole time slice. If one member fails, all abandon the call.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <climits>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <new>
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

constexpr int kSpinsInPhase = 4000;        // longer than any phase takes while all members run
constexpr int kSpinsBetweenCalls = 20000;  // about the time between two calls of one frame

// Thrown in a member to abandon a call in which another member has failed.
struct GivenUp {};

class Barrier {
   public:
    explicit Barrier(int size) : size_(size) {}

    // Throws GivenUp if the call is abandoned, which sets `failed`.
    void wait(const std::atomic<bool>& failed) {
        if (!arrive(failed)) throw GivenUp();
    }

    void wait() {
        static const std::atomic<bool> never{false};
        arrive(never);
    }

    // Let the members go on that wait for one that will not arrive. `failed` must be set.
    void abandon() { open(); }

    // Forget members that arrived in an abandoned call. Nobody may be waiting.
    void reset() { arrived_.store(0, std::memory_order_relaxed); }

   private:
    bool arrive(const std::atomic<bool>& failed) {
        const uint32_t round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            open();
            return true;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
            if (failed.load(std::memory_order_acquire)) return false;
            if (spins < kSpinsInPhase) relax();
            else sleep(round);
        }
        return !failed.load(std::memory_order_acquire);
    }

    // Return when `round` is over, or earlier.
    void sleep(uint32_t round) {
        asleep_.fetch_add(1);
        syscall(SYS_futex, &round_, FUTEX_WAIT_PRIVATE, round, nullptr, nullptr, 0);
        asleep_.fetch_sub(1);
    }

    void open() {
        round_.fetch_add(1);
        if (asleep_.load()) syscall(SYS_futex, &round_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }

    const int size_;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> round_{0};
    std::atomic<int> asleep_{0};
};

// A half-open range of items.
struct Range {
    int begin, end;
};

class Team;

// One thread of a team, and its share of the work.
struct Member {
    Team& team;
    const int number;
    const int size;

    Range share(int count) const {
        return {static_cast<int>(int64_t(count) * number / size),
                static_cast<int>(int64_t(count) * (number + 1) / size)};
    }
    void wait() const;
};

class Team {
   public:
    // Throws std::system_error if the system can't start so many threads.
    explicit Team(int size) : size_(size), phase_(size), end_(size) {
        try {
            threads_.reserve(size);
            for (int number = 1; number < size; ++number) threads_.emplace_back([this, number] { serve(number); });
        } catch (...) {
            dismiss();
            throw;
        }
    }

    ~Team() { dismiss(); }

    int size() const { return size_; }

    // Have all members, of which the caller is one, run `work(Member)`. Calls from several threads run one after the
    // other. Throws std::bad_alloc if a member throws: members throw only when memory runs out.
    template <class Work>
    void run(const Work& work) {
        std::lock_guard<std::mutex> one_at_a_time(calls_);
        start([](const void* given, const Member& member) { (*static_cast<const Work*>(given))(member); }, &work);
        take_part(0);
        if (!failed_.load(std::memory_order_acquire)) return;
        phase_.reset();
        failed_.store(false, std::memory_order_relaxed);
        throw std::bad_alloc();
    }

    void wait() { phase_.wait(failed_); }

   private:
    using Call = void (*)(const void*, const Member&);

    // Returns when all members are done or have abandoned the call.
    void take_part(int number) noexcept {
        try {
            call_(given_, Member{*this, number, size_});
        } catch (...) {
            failed_.store(true);
            phase_.abandon();
        }
        end_.wait();
    }

    void dismiss() {
        start(nullptr, nullptr);
        for (auto& thread : threads_) thread.join();
    }

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
                if (spins < kSpinsBetweenCalls) {
                    relax();
                    continue;
                }
                std::unique_lock<std::mutex> lock(sleep_);
                awake_.wait(lock, [&] { return call_number_.load(std::memory_order_acquire) != seen; });
            }
            if (call_ == nullptr) return;
            take_part(number);
        }
    }

    const int size_;
    Barrier phase_, end_;
    std::atomic<bool> failed_{false};
    std::mutex calls_, sleep_;
    std::condition_variable awake_;
    std::atomic<uint32_t> call_number_{0};
    Call call_ = nullptr;
    const void* given_ = nullptr;
    std::vector<std::thread> threads_;
};

inline void Member::wait() const { team.wait(); }

}  // namespace
