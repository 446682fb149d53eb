// SPDX-License-Identifier: MIT
// Pictures on their way to the graphics card: two places, each held until the render thread has
// copied the pixels. Nothing is allocated for a picture, and no pixel is copied here.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

namespace RestBridgeCore {

// `Picture` has Release(), callable on any thread. `Extra` travels with it: what else has to live
// as long (Unreal's region to update). At most `kSlots` pictures are held at a time.
//
// One thread calls Take(). Leases may be copied and dropped on any thread, also after the slots
// themselves are gone.
template <typename Picture, typename Extra, std::size_t kSlots = 2>
class FrameSlots {
  struct Pool;
  struct Slot {
    Pool *owner = nullptr;
    std::atomic<int> holders{0};
    Picture picture{};
    Extra extra{};
  };
  // Lives as long as the slots or any lease.
  struct Pool {
    std::atomic<int> owners{1};
    std::array<Slot, kSlots> slots;
    void Leave() {
      if (owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
  };

 public:
  // Keeps one picture; the last copy that goes gives it back.
  class Lease {
   public:
    Lease() = default;
    Lease(const Lease &other) : slot_(other.slot_) {
      if (slot_ != nullptr) slot_->holders.fetch_add(1, std::memory_order_relaxed);
    }
    Lease(Lease &&other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Lease &operator=(Lease other) noexcept {
      std::swap(slot_, other.slot_);
      return *this;
    }
    ~Lease() { Reset(); }

    explicit operator bool() const { return slot_ != nullptr; }
    Picture &picture() const { return slot_->picture; }
    Extra &extra() const { return slot_->extra; }

    void Reset() {
      Slot *slot = std::exchange(slot_, nullptr);
      if (slot == nullptr) return;
      // Two holders are the pool's mark and this one: whoever goes last frees the picture, then
      // the slot may be taken again.
      if (slot->holders.fetch_sub(1, std::memory_order_acq_rel) != 2) return;
      slot->picture.Release();
      Pool *owner = slot->owner;
      slot->holders.store(0, std::memory_order_release);
      owner->Leave();
    }

   private:
    friend class FrameSlots;
    explicit Lease(Slot *slot) : slot_(slot) {}
    Slot *slot_ = nullptr;
  };

  FrameSlots() : pool_(new Pool) {
    for (Slot &slot : pool_->slots) slot.owner = pool_;
  }
  ~FrameSlots() { pool_->Leave(); }
  FrameSlots(const FrameSlots &) = delete;
  FrameSlots &operator=(const FrameSlots &) = delete;

  // A free place, or an empty lease if all are on their way; fill in picture() at once.
  Lease Take() {
    for (Slot &slot : pool_->slots) {
      int free = 0;
      if (slot.holders.compare_exchange_strong(free, 2, std::memory_order_acq_rel)) {
        pool_->owners.fetch_add(1, std::memory_order_relaxed);
        return Lease(&slot);
      }
    }
    return Lease();
  }

  std::size_t InFlight() const {
    std::size_t count = 0;
    for (const Slot &slot : pool_->slots) {
      count += slot.holders.load(std::memory_order_acquire) != 0 ? 1 : 0;
    }
    return count;
  }

 private:
  Pool *pool_;
};

}  // namespace RestBridgeCore
