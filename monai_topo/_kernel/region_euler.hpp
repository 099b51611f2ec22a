// The Euler characteristic of every component of a volume, from its runs.
//
// Cells of the grid are products of a cell across the rows (a row, an edge between two rows or a corner between four) and
// of a cell along them. With full connectivity voxels are closed cubes, and a cell is present if any voxel around it is:
// along a cell across the rows, those that are present are the union of the runs around it, of which every interval has
// the characteristic 1. With face connectivity voxels are points, and a cell is present if all its voxels are: then it is
// the intersection of the runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "component_map.hpp"

namespace topo {

class RegionEuler {
 public:
  RegionEuler(const ComponentMap& regions, const Mask& mask, bool full)
      : regions_(regions), mask_(mask), full_(full), euler_(static_cast<std::size_t>(regions.count()) + 2, 0) {}

  // By the number of a component plus one.
  Array<std::int64_t> compute() {
    for (std::int64_t z = 0; z <= mask_.planes; ++z)
      for (std::int64_t y = 0; y <= mask_.rows; ++y) {
        const Row here = row(z, y), left = row(z, y - 1), below = row(z - 1, y), diagonal = row(z - 1, y - 1);
        add<1>({here}, 1);
        add<2>({here, left}, -1);
        add<2>({here, below}, -1);
        add<4>({here, left, below, diagonal}, 1);
      }
    return std::move(euler_);
  }

 private:
  using Row = RunsOfRows::Row;

  // Outside of the volume there are no runs.
  Row row(std::int64_t z, std::int64_t y) const {
    const bool is_inside = z >= 0 && z < mask_.planes && y >= 0 && y < mask_.rows;
    return is_inside ? regions_.row(z * mask_.rows + y) : Row{nullptr, nullptr};
  }

  template <std::size_t N>
  void add(std::array<Row, N> rows, std::int64_t sign) {
    full_ ? add_union(rows, sign) : add_intersection(rows, sign);
  }

  void count(const Run& run, std::int64_t sign) {
    euler_[static_cast<std::size_t>(ComponentMap::number_of(run) + 1)] += sign;
  }

  // All runs that touch belong to one component.
  template <std::size_t N>
  void add_union(std::array<Row, N>& rows, std::int64_t sign) {
    for (;;) {
      const Run* first = nullptr;
      for (const Row& row : rows)
        if (row.first != row.last && (first == nullptr || row.first->begin < first->begin)) first = row.first;
      if (first == nullptr) return;
      count(*first, sign);
      std::uint32_t end = first->end;
      for (bool grows = true; grows;) {
        grows = false;
        for (Row& row : rows)
          for (; row.first != row.last && row.first->begin <= end; ++row.first) {
            grows = grows || row.first->end > end;
            end = std::max(end, row.first->end);
          }
      }
    }
  }

  template <std::size_t N>
  void add_intersection(std::array<Row, N>& rows, std::int64_t sign) {
    for (;;) {
      std::uint32_t begin = 0, end = UINT32_MAX;
      for (const Row& row : rows) {
        if (row.first == row.last) return;
        begin = std::max(begin, row.first->begin);
        end = std::min(end, row.first->end);
      }
      if (begin < end) count(*rows[0].first, sign);
      for (Row& row : rows) row.first += row.first->end == end;
    }
  }

  const ComponentMap& regions_;
  const Mask& mask_;
  const bool full_;
  Array<std::int64_t> euler_;
};

inline Array<std::int64_t> euler_characteristics(const ComponentMap& regions, const Mask& mask, bool full) {
  return RegionEuler(regions, mask, full).compute();
}

}  // namespace topo
