// Division by a number that is used often: a product and a shift.
#pragma once

#include <cstdint>

namespace topo {

// Exact for dividends below 2^29, which all indices of voxels are. (Granlund, Montgomery, "Division by invariant integers
// using multiplication", 1994: the factor is rounded up, and its error stays below one for 32 bits.)
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(std::uint32_t divisor) : divisor_(divisor) {
    while ((std::uint64_t{1} << shift_) < divisor) ++shift_;
    shift_ += 32;
    factor_ = (std::uint64_t{1} << shift_) / divisor + 1;
  }

  std::uint32_t quotient(std::uint32_t dividend) const {
    return static_cast<std::uint32_t>((dividend * factor_) >> shift_);
  }
  std::uint32_t remainder(std::uint32_t dividend) const { return dividend - quotient(dividend) * divisor_; }

 private:
  std::uint32_t divisor_ = 1;
  int shift_ = 0;
  std::uint64_t factor_ = 0;
};

}  // namespace topo
