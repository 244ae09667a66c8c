// Threads that work on one call together, phase by phase.
//
// A decode step is hundreds of short phases, and each needs the results of all members in the phase before. So members
// wait for each other by spinning, and sleep if that takes long because another program runs on a member's core. They
// never yield: Linux counts a yield like the use of a whole time slice. If one member fails, all abandon the call.
//
// A phase's items are divided into a share for each member. Cores may differ in speed, so a member that is done takes
// items of the others' shares: which member computes an item must not matter.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <climits>
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

// Return when `word` is woken, or at once if it is not `expected`; maybe earlier.
inline void sleep_on(std::atomic<uint32_t>& word, uint32_t expected) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

inline void wake_all(std::atomic<uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

constexpr int kSpinsInPhase = 4000;        // longer than any phase takes while all members run
constexpr int kSpinsBetweenCalls = 20000;  // about the time between two calls of one frame

// Thrown in a member to abandon a call in which another member has failed.
struct GivenUp {};

// `size` is how many members arrive; it may change when nobody waits.
class Barrier {
   public:
    // Throws GivenUp if the call is abandoned, which sets `failed`.
    void wait(int size, const std::atomic<bool>& failed) {
        if (!arrive(size, failed)) throw GivenUp();
    }

    void wait(int size) {
        static const std::atomic<bool> never{false};
        arrive(size, never);
    }

    // Let the members go on that wait for one that will not arrive. `failed` must be set.
    void abandon() { open(); }

    // Forget members that arrived in an abandoned call. Nobody may be waiting.
    void reset() { arrived_.store(0, std::memory_order_relaxed); }

   private:
    bool arrive(int size, const std::atomic<bool>& failed) {
        const uint32_t round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
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
        sleep_on(round_, round);
        asleep_.fetch_sub(1);
    }

    void open() {
        round_.fetch_add(1);
        if (asleep_.load()) wake_all(round_);
    }

    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> round_{0};
    std::atomic<int> asleep_{0};
};

// A half-open range of items.
struct Range {
    int begin, end;
};

// Return one of `parts` parts of [0, count), which differ in length by one at most.
inline Range part_of(int count, int part, int parts) {
    return {static_cast<int>(int64_t(count) * part / parts), static_cast<int>(int64_t(count) * (part + 1) / parts)};
}

class Team;

// One thread of a team in a call in which `size` members take part.
struct Member {
    Team& team;
    const int number;
    const int size;
    uint64_t section;  // the number of the calls to `each` on the team so far; equal in all members

    // Its part of so many items.
    Range share(int count) const { return part_of(count, number, size); }

    // Call work(item) for items of [0, count), under a million, that no other member takes.
    template <class Work>
    void each(int count, const Work& work);

    // Call work(range) for pieces of [0, count) that no other member takes, of about one length and at most `most`.
    template <class Work>
    void each_piece(int count, int most, const Work& work) {
        const int pieces = (count + most * size - 1) / (most * size) * size;
        each(pieces, [&](int piece) { work(part_of(count, piece, pieces)); });
    }

    void wait() const;
};

// How many items of a member's share are taken in a section.
class alignas(64) Taken {
   public:
    // Return the next item of a share of `count`; `count` or more if all are taken.
    int next(uint64_t section, int count) {
        uint64_t seen = state_.load(std::memory_order_relaxed);
        for (;;) {
            const uint64_t latest = seen >> kItemBits;
            if (latest > section) return count;  // its owner has left the section, because all are taken
            const int taken = latest == section ? int(seen & kItems) : 0;
            if (taken >= count) return taken;
            if (state_.compare_exchange_weak(seen, section << kItemBits | (taken + 1), std::memory_order_relaxed))
                return taken;
        }
    }

   private:
    static constexpr int kItemBits = 20;
    static constexpr uint64_t kItems = (1 << kItemBits) - 1;
    std::atomic<uint64_t> state_{0};
};

class Team {
   public:
    // Throws std::system_error if the system can't start so many threads.
    explicit Team(int size) : size_(size), limit_(size), taken_(size), asleep_(size) {
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

    // From the next call on, only so many members take part, at least 1; the others sleep.
    void limit(int members) { limit_.store(std::clamp(members, 1, size_), std::memory_order_relaxed); }

    // Have the members, of which the caller is one, run `work(Member&)`. Calls from several threads run one after the
    // other. Throws std::bad_alloc if a member throws: members throw only when memory runs out.
    template <class Work>
    void run(const Work& work) {
        std::lock_guard<std::mutex> one_at_a_time(calls_);
        const int members = limit_.load(std::memory_order_relaxed);
        start([](const void* given, Member& member) { (*static_cast<const Work*>(given))(member); }, &work, members);
        const uint64_t last_section = take_part(0, members);
        const bool failed = failed_.load(std::memory_order_acquire);
        section_ = failed ? section_ + kSectionsOfCall : last_section;
        if (!failed) return;
        phase_.reset();
        failed_.store(false, std::memory_order_relaxed);
        throw std::bad_alloc();
    }

    void wait(int members) { phase_.wait(members, failed_); }

    Taken& taken(int member) { return taken_[member]; }

   private:
    using Call = void (*)(const void*, Member&);
    static constexpr uint64_t kSectionsOfCall = 1 << 16;  // more than any call has
    static constexpr int kMemberBits = 16;

    // Returns the member's last section when all members are done or have abandoned the call.
    uint64_t take_part(int number, int members) noexcept {
        Member member{*this, number, members, section_};
        try {
            call_(given_, member);
        } catch (...) {
            failed_.store(true);
            phase_.abandon();
        }
        end_.wait(members);
        return member.section;
    }

    void dismiss() {
        start(nullptr, nullptr, size_);
        for (auto& thread : threads_) thread.join();
    }

    void start(Call call, const void* given, int members) {
        call_ = call;
        given_ = given;
        state_.store(((state_.load(std::memory_order_relaxed) >> kMemberBits) + 1) << kMemberBits | members);
        for (int number = 1; number < members; ++number)
            if (asleep_[number].load() && asleep_[number].exchange(0)) wake_all(asleep_[number]);
    }

    static int members_of(uint64_t state) { return int(state & ((1 << kMemberBits) - 1)); }

    void serve(int number) {
        for (uint64_t seen = 0;;) {
            seen = next_call(number, seen);
            if (call_ == nullptr) return;
            take_part(number, members_of(seen));
        }
    }

    // Return the state of the next call after the one of `seen` in which a member takes part.
    uint64_t next_call(int number, uint64_t seen) {
        for (int spins = 0;; ++spins) {
            const uint64_t state = state_.load(std::memory_order_acquire);
            if (state != seen && number < members_of(state)) return state;
            if (state == seen && spins < kSpinsBetweenCalls) relax();
            else sleep(number, seen);  // also if others go on without it: another team may use the core
        }
    }

    void sleep(int number, uint64_t seen) {
        asleep_[number].store(1);
        const uint64_t state = state_.load();
        if (state == seen || number >= members_of(state)) sleep_on(asleep_[number], 1);
        asleep_[number].store(0);
    }

    const int size_;
    std::atomic<int> limit_;
    Barrier phase_, end_;
    std::atomic<bool> failed_{false};
    std::mutex calls_;
    std::atomic<uint64_t> state_{0};  // the number of calls so far, and how many members take part in the latest
    Call call_ = nullptr;
    const void* given_ = nullptr;
    uint64_t section_ = 0;
    std::vector<Taken> taken_;
    std::vector<std::atomic<uint32_t>> asleep_;
    std::vector<std::thread> threads_;
};

inline void Member::wait() const { team.wait(size); }

template <class Work>
inline void Member::each(int count, const Work& work) {
    ++section;
    for (int turn = 0; turn < size; ++turn) {
        const int owner = (number + turn) % size;
        const Range share = part_of(count, owner, size);
        for (;;) {
            const int item = team.taken(owner).next(section, share.end - share.begin);
            if (item >= share.end - share.begin) break;
            work(share.begin + item);
        }
    }
}

}  // namespace
